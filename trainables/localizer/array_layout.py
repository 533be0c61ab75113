"""Geometry that a localizer was trained for: the only thing it needs from its dataset besides its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SIZE: Final = "room.size_m"
_MICROPHONES: Final = "room.microphones_m"


@dataclass(frozen=True, eq=False)
class ArrayLayout:
    """Floor plan of a room with its microphone arrays.

    Attributes:
        size_m: Size of the room along x and y, in metres.
        microphones_m: Positions of the microphones, in metres, shape (arrays, microphones, 2), or 3 with heights above the
            sources.
    """

    size_m: tuple[float, float]
    microphones_m: NDArray[np.float64]

    @classmethod
    def from_weights(cls, weights: Mapping[str, Any]) -> ArrayLayout:
        """Read the layout from the weights of a localizer.

        Raises:
            KeyError: If the weights contain no layout.
        """
        width, depth = weights[_SIZE].tolist()
        return cls((width, depth), weights[_MICROPHONES].numpy())

    def weights(self) -> dict[str, Tensor]:
        """Return the entries that are added to the weights of a localizer."""
        return {
            _SIZE: torch.tensor(self.size_m, dtype=torch.float64),
            _MICROPHONES: torch.from_numpy(self.microphones_m.astype(np.float64)),
        }


def network_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights of a localizer without the layout, which early searches did not store."""
    return {name: value for name, value in weights.items() if name not in (_SIZE, _MICROPHONES)}
