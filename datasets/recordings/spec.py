"""What a dataset of recordings is (section III-A, "real world with augmentation")."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from datasets.spec import FileName, TestSpec
from datasets.spec import RoomSpec as LocalizerSpec

PAPER_TESTS: Final = {
    "A0": TestSpec(samples=5000, sources=(1, 2)),
    "A1": TestSpec(samples=2500, sources=(3, 3)),
    "A2": TestSpec(samples=5000, sources=(1, 2), genres="held_out"),
    "R0": TestSpec(samples=600, sources=(1, 2)),
    "R1": TestSpec(samples=300, sources=(3, 3)),
    "R2": TestSpec(samples=600, sources=(1, 2), genres="held_out"),
}
"""Table I: A from superposed recordings, R from recordings of several sources at once."""
_SUPERPOSED: Final = ("A0", "A1", "A2")


class RecordingsSpec(LocalizerSpec):
    """Recordings of single sources that are superposed, and recordings of several that are used as they are.

    The gate is relative to each clip: a segment of 160 ms is heard if its mean |x| over all microphones is at least
    `gate` · RMS / 0.1, with the RMS of the whole clip. `level_db` and `gain_db` act on superposed samples alone.
    """

    kind: Literal["recordings"] = "recordings"  # type: ignore[assignment]
    manifest: str = Field(min_length=1, description="the CSV file that lists the recordings; see docs/data.md")
    tests: dict[FileName, TestSpec] = Field(
        default_factory=lambda: {name: PAPER_TESTS[name] for name in _SUPERPOSED}, min_length=1
    )
    gain_db: tuple[float, float] = Field(
        (-6.0, 0.0), description="gain of each source of a superposition over how it was recorded, drawn uniformly, dB"
    )

    @model_validator(mode="before")
    @classmethod
    def _recorded_tests_by_name(cls, data: object) -> object:
        """Read `tests: [A0, R0]` and `A0: 500` as the base class reads the simulated sets' names."""
        tests = data.get("tests") if isinstance(data, dict) else None
        if isinstance(tests, list) and tests and all(isinstance(name, str) and name in PAPER_TESTS for name in tests):
            tests = {name: PAPER_TESTS[name] for name in tests}
        elif isinstance(tests, dict):
            tests = {name: _resized(name, test) for name, test in tests.items()}
        return data if tests is None or not isinstance(data, dict) else data | {"tests": tests}

    @model_validator(mode="after")
    def _consistent_gains(self) -> Self:
        if self.gain_db[0] > self.gain_db[1]:
            raise ValueError(f"gain_db is reversed: {list(self.gain_db)}; write the lower gain first")
        return self

    def fingerprint(self, sound_files: dict[str, str] | None = None) -> str:
        """Identity of the samples: the spec and the content of the recordings, wherever they lie.

        Args:
            sound_files: From `manifest.hashes`.
        """
        content = json.dumps(sorted((sound_files or {}).items()))
        return LocalizerSpec.fingerprint(self.model_copy(update={"manifest": content}))

    def manifest_path(self) -> Path:
        """Where the CSV file lies; its sound files are named relative to its folder."""
        return Path(self.manifest)


def _resized(name: object, test: object) -> object:
    if name in PAPER_TESTS and isinstance(test, int) and not isinstance(test, bool):
        return PAPER_TESTS[str(name)].model_dump() | {"samples": test}
    return test
