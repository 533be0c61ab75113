"""A localizer small enough for tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spaces.schema import nest_names
from trainables.localizer.config import GridConfig, LocalizerConfig
from trainables.localizer.grid import CellGrid

SMALL: dict[str, int | float | str] = {
    "representation": "rg",
    "encoder": "array",
    "precision": "fp32",
    "network.width": 4,
    "network.tail_width": 4,
    "network.decoder_width": 16,
    "network.strides": "early",
    "optimizer.lr": 3e-3,
    "optimizer.batch_size": 16,
}

FINE = CellGrid.over_area(GridConfig(cells=81, margin_m=1.05), (6.0, 6.0))
"""TG's and HM's grid: centres at -1.0, -0.9, … 7.0 m."""
COARSE = CellGrid.over_area(GridConfig(cells=6, margin_m=0.0), (6.0, 6.0))
"""RG's grid: cells of 1 m."""


def small(**changes: Any) -> LocalizerConfig:
    """The small localizer with other values; a double underscore stands for the dot."""
    return LocalizerConfig.model_validate(
        nest_names({**SMALL, **{name.replace("__", "."): v for name, v in changes.items()}})
    )


def paper(representation: str, **changes: Any) -> LocalizerConfig:
    """The paper's values."""
    dotted = {name.replace("__", "."): value for name, value in changes.items()}
    return LocalizerConfig.model_validate(nest_names({"representation": representation} | dotted))


def places(*samples: list[tuple[float, float]], slots: int = 3) -> Tensor:
    """True positions, shape (samples, slots, 2); NaN where nobody stands."""
    result = torch.full((len(samples), slots, 2), torch.nan)
    for row, sample in enumerate(samples):
        for slot, position in enumerate(sample):
            result[row, slot] = torch.tensor(position)
    return result
