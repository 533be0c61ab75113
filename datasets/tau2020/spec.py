"""Folds of TAU-NIGENS 2020, and the description of a folder in its layout."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from datasets.building.spec import DatasetSpec, Frozen

GROUPS: Final[dict[str, tuple[int, ...]]] = {"train": (3, 4, 5, 6), "validate": (2,), "test": (1,)}
"""Folds of each split (DOAnet, section on the data set); no sound file belongs to two of the groups."""


class SplitFolds(Frozen):
    """Folds of each split."""

    train: tuple[int, ...] = Field(min_length=1, description="folds of the training split")
    validate_: tuple[int, ...] = Field(alias="validate", min_length=1, description="folds of the validation split")
    test: tuple[int, ...] = Field(min_length=1, description="folds of the test split")

    def by_split(self) -> dict[str, tuple[int, ...]]:
        """Return the folds by name of the split."""
        return {"train": self.train, "validate": self.validate_, "test": self.test}


class FolderSpec(DatasetSpec):
    """Existing recordings: the unpacked data set, or others in its layout."""

    kind: Literal["tau2020"] = "tau2020"
    folder: str = Field("data/tau2020", min_length=1, description="holds foa_dev, mic_dev and metadata_dev")
    folds: SplitFolds | None = Field(
        None,
        description="folds of each split, such as {train: [3, 4, 5, 6], validate: [2], test: [1]}; by default those of "
        "TAU-NIGENS 2020, TAU-NIGENS 2021 or STARSS22 and 23, as the names of the files show",
    )

    def test_names(self) -> tuple[str, ...]:
        """Return the names of the test splits."""
        return ("test",)

    @field_validator("folds")
    @classmethod
    def _check_folds(cls, folds: SplitFolds | None) -> SplitFolds | None:
        every = [] if folds is None else [fold for group in folds.by_split().values() for fold in group]
        if len(set(every)) < len(every):
            raise ValueError("no fold may belong to two splits")
        return folds

    @model_serializer(mode="wrap")
    def _leave_out_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the folds of the convention, so that existing searches keep their identity."""
        return {name: value for name, value in handler(self).items() if name != "folds" or value is not None}
