"""What a dataset of recordings is (section III-A, "real world with augmentation")."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from datasets.spec import RoomSpec as LocalizerSpec


class RecordingsSpec(LocalizerSpec):
    """Recordings of single sources that are superposed, and recordings of several that are used as they are.

    The gate is relative to each clip: a segment of 160 ms is heard if its mean |x| over all microphones is at least
    `gate` · RMS / 0.1, with the RMS of the whole clip. `level_db` and `gain_db` act on superposed samples alone.
    """

    kind: Literal["recordings"] = "recordings"  # type: ignore[assignment]
    manifest: str = Field(min_length=1, description="the CSV file that lists the recordings; see docs/data.md")
    gain_db: tuple[float, float] = Field(
        (-6.0, 0.0), description="gain of each source of a superposition over how it was recorded, drawn uniformly, dB"
    )

    @model_validator(mode="after")
    def _consistent_gains(self) -> Self:
        if self.gain_db[0] > self.gain_db[1]:
            raise ValueError(f"gain_db is reversed: {list(self.gain_db)}; write the lower gain first")
        return self

    def manifest_path(self) -> Path:
        """Where the CSV file lies; its sound files are named relative to its folder."""
        return Path(self.manifest)
