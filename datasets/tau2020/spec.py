"""Folds of TAU-NIGENS 2020, and the description of a folder in its layout."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from datasets.building.spec import DatasetSpec

GROUPS: Final[dict[str, tuple[int, ...]]] = {"train": (3, 4, 5, 6), "validate": (2,), "test": (1,)}
"""Folds of each split (DOAnet, section on the data set); no sound file belongs to two of the groups."""


class FolderSpec(DatasetSpec):
    """Existing recordings: the unpacked data set, or others in its layout."""

    kind: Literal["tau2020"] = "tau2020"
    folder: str = Field("data/tau2020", min_length=1, description="holds foa_dev, mic_dev and metadata_dev")

    def test_names(self) -> tuple[str, ...]:
        """Return the names of the test splits."""
        return ("test",)
