"""Description of a dataset of recordings (section III-A, "real world with augmentation")."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from datasets.building.spec import Range
from datasets.rooms.spec import LocalizerSpec
from datasets.rooms.split_spec import FileName, Split, SplitSpec
from runtime.uris import expand_home

PAPER_TESTS: Final = {
    "A0": SplitSpec(samples=5000, sources=(1, 2)),
    "A1": SplitSpec(samples=2500, sources=(3, 3)),
    "A2": SplitSpec(samples=5000, sources=(1, 2), genres="held_out"),
    "R0": SplitSpec(samples=600, sources=(1, 2)),
    "R1": SplitSpec(samples=300, sources=(3, 3)),
    "R2": SplitSpec(samples=600, sources=(1, 2), genres="held_out"),
}
"""Test splits of Table I: A from superposed recordings, R from recordings of several sources at once."""
_SUPERPOSED: Final = ("A0", "A1", "A2")


class RecordingsSpec(LocalizerSpec):
    """Dataset of recordings: those of single sources are superposed, those of several sources are used unchanged.

    The gate is relative to each clip: a segment of 160 ms is audible if its mean |x| over all microphones is at least
    `gate` · RMS / 0.1, with the RMS of the whole clip. `level_db` and `gain_db` apply to superposed samples only.
    """

    papers: ClassVar[Mapping[str, SplitSpec]] = PAPER_TESTS

    kind: Literal["recordings"] = "recordings"
    manifest: str = Field(min_length=1, description="CSV file that lists the recordings; see docs/data.md")
    tests: dict[FileName, Split] = Field(
        default_factory=lambda: {name: PAPER_TESTS[name] for name in _SUPERPOSED},
        min_length=1,
        description="test splits by name",
    )
    gain_db: Range = Field(
        (-6.0, 0.0), description="gain of each source of a superposition relative to its recording, drawn uniformly, dB"
    )

    @model_validator(mode="after")
    def _check_gains(self) -> Self:
        if self.gain_db[0] > self.gain_db[1]:
            raise ValueError(f"gain_db is reversed: {list(self.gain_db)}; write the lower gain first")
        return self

    def split_identity(self, split: str) -> dict[str, Any]:
        """Return all values that the samples of a split depend on, except for the content of the recordings."""
        described = super().split_identity(split)
        described.pop("manifest")
        return described

    def manifest_path(self) -> Path:
        """Return the path of the CSV file, which names sound files relative to its folder."""
        return expand_home(self.manifest)
