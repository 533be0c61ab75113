"""Description of arrays in files, with named splits. Imports no reader of files."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from datasets.building.spec import DatasetSpec

Rows = str | int | tuple[str | int, ...]
"""File of a split; or, of a file with all splits, the values that mark its rows."""
SplitName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

_RESERVED: Final = ("train", "validate")


class ArraysSpec(DatasetSpec):
    """Arrays in files: one file or folder per split, or one file with an array that names the split of each row."""

    kind: Literal["arrays"] = "arrays"
    train: Rows | None = Field(
        None, description="file or folder of the training split; with `file`, the values of its rows in `split`"
    )
    validate_: float | Rows | None = Field(
        None,
        alias="validate",
        description="the same of the validation split; or the share of the training rows that is divided off, such as 0.1",
    )
    tests: dict[SplitName, Rows] | None = Field(None, description="the same of each test split, by name")
    file: str | None = Field(None, min_length=1, description="file or folder with the rows of all splits")
    split: str = Field("split", min_length=1, description="array of `file` whose values name the split of each row")
    seed: int = Field(0, ge=0, description="seed of the division of the training rows")

    def test_names(self) -> tuple[str, ...]:
        """Return the names of the test splits."""
        return tuple(self.rows_of_tests())

    def rows_of_tests(self) -> dict[str, Rows]:
        """Return the rows of the test splits by name; by default those marked `test` in a file with all splits."""
        if self.tests is not None:
            return dict(self.tests)
        return {} if self.file is None else {"test": "test"}

    @property
    def share(self) -> float | None:
        """Share of the training rows that is the validation split; None if it has rows of its own."""
        return self.validate_ if isinstance(self.validate_, float) else None

    def rows_of(self, name: str) -> Rows:
        """Return the file of a split or the values of its rows; for a divided validation split, those of training."""
        if name in self.rows_of_tests():
            return self.rows_of_tests()[name]
        written = self.train if name == "train" or self.share is not None else self.validate_
        return ("train" if self.share is not None else name) if written is None else written  # type: ignore[return-value]

    @model_validator(mode="after")
    def _check_splits(self) -> ArraysSpec:
        share = self.share
        if share is not None and not 0 < share < 1:
            raise ValueError(f"the share of the training rows for validation lies between 0 and 1, not {share:g}")
        if clash := [name for name in _RESERVED if name in (self.tests or {})]:
            raise ValueError(f"a test split cannot be called {clash[0]}")
        if self.file is None:
            self._check_files()
        return self

    def _check_files(self) -> None:
        written = {"train": self.train, "validate": "" if self.share else self.validate_, **(self.tests or {})}
        for name, rows in written.items():
            if rows is None:
                more = " or a share of the training rows such as 0.1" if name == "validate" else ""
                raise ValueError(
                    f"`{name}` must name a file or folder{more}, unless `file` holds the rows of all splits"
                )
            if not isinstance(rows, str) or (not rows and not (name == "validate" and self.share)):
                raise ValueError(f"`{name}` must name one file or folder, unless `file` holds the rows of all splits")
