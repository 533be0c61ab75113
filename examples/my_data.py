"""Data of your own that needs code: a CSV table with a label column, every fifth row of which is for validation."""

from typing import Any

import numpy as np
from pydantic import Field

from datasets.custom import CustomData


class Table(CustomData):
    """The fields are keys under `dataset:`, checked like all others."""

    path: str = "examples/my_arrays/table.csv"
    label: str = "y"
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the training rows that is left out")

    def files(self) -> list[str]:
        """Return the files whose content is part of the fingerprint."""
        return [self.path]

    def split(self, name: str) -> dict[str, Any]:
        """Return features and labels of a split."""
        rows = np.genfromtxt(self.path, delimiter=",", names=True)
        fold = np.arange(len(rows)) % 5
        rows = rows[{"train": fold > 1, "validate": fold == 0, "test": fold == 1}[name]]
        if name == "train":
            rows = rows[: round(len(rows) * (1 - self.dropout))]
        names = [column for column in rows.dtype.names or () if column != self.label]
        return {"x": np.stack([rows[column] for column in names], axis=1), "y": rows[self.label]}

    def count_samples(self, name: str) -> int:
        """Return the number of samples, for the plan and the records."""
        return len(self.split(name)["y"])
