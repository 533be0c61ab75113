"""Descriptions of the splits of a dataset for the 2D localizer, and the paper's test splits. Imports neither torch nor scipy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer

from datasets.building.spec import Frozen, Range, validate_range
from datasets.rooms.acoustics_spec import Acoustics

Count = Annotated[int, Field(ge=1, le=4)]
SourceRange = Annotated[tuple[Count, Count], BeforeValidator(validate_range)]
Noise = Literal["white", "pink", "diffuse", "recorded"]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]


class SplitSpec(Frozen):
    """Split of a dataset; absent fields have the values of the dataset."""

    samples: int = Field(gt=0, le=10**9, description="number of samples")
    sources: SourceRange | None = Field(None, description="number of sources per sample, in equal shares")
    genres: Literal["seen", "held_out"] = Field(
        "seen", description="genres of the music: those of the training, or the held-out one"
    )
    acoustics: Acoustics | None = Field(None, description="reverberant rooms; those of the dataset if absent")
    snr_db: Range | None = Field(None, description="signal-to-noise ratio, dB; that of the dataset if absent")
    noise: Noise | None = Field(None, description="kind of the noise; that of the dataset if absent")

    @model_serializer(mode="wrap")
    def _omit_noise(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out an absent kind of noise, as in the descriptions of versions that lack it."""
        described: dict[str, Any] = serialize(self)
        return {name: value for name, value in described.items() if name != "noise" or value is not None}


def _parse_split(value: object) -> object:
    """Read `4000` as `{samples: 4000}`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {"samples": value}
    if not isinstance(value, Mapping | SplitSpec):  # pydantic's message would name the class
        raise ValueError("a split is a number of samples, an integer, or a mapping such as {samples: 4000, snr_db: 20}")
    return value


Split = Annotated[SplitSpec, BeforeValidator(_parse_split)]

PAPER_TESTS: Final = {
    "S0": SplitSpec(samples=5000, sources=(1, 2)),
    "S1": SplitSpec(samples=2500, sources=(3, 3)),
    "S2": SplitSpec(samples=5000, sources=(1, 2), genres="held_out"),
}
"""Table I, synthetic."""


def source_range(split: SplitSpec) -> tuple[int, int]:
    """Return the range of the number of sources of a split from `LocalizerSpec.resolve_splits`."""
    if split.sources is None:
        raise ValueError("the split has not been filled in by its dataset")
    return split.sources


def with_paper_values(paper: SplitSpec | None, test: object) -> object:
    """Fill absent fields of a test split with the values of the paper's split of the same name."""
    test = _parse_split(test)
    if paper is not None and isinstance(test, dict):
        return paper.model_dump(exclude_none=True) | test
    return test
