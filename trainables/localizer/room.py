"""The room that a localizer was trained for: what it needs to know of its data, besides its weights."""

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
    """A room seen from above.

    Attributes:
        size_m: The area, x and y.
        microphones_m: Shape (arrays, microphones, 2).
    """

    size_m: tuple[float, float]
    microphones_m: NDArray[np.float64]

    @classmethod
    def from_weights(cls, weights: Mapping[str, Any]) -> ArrayLayout:
        """Read it from a localizer's weights.

        Raises:
            KeyError: If it is not among them.
        """
        width, depth = weights[_SIZE].tolist()
        return cls((width, depth), weights[_MICROPHONES].numpy())

    def weights(self) -> dict[str, Tensor]:
        """What is added to a localizer's weights."""
        return {
            _SIZE: torch.tensor(self.size_m, dtype=torch.float64),
            _MICROPHONES: torch.from_numpy(self.microphones_m.astype(np.float64)),
        }


def layout_of_network(weights: Mapping[str, Any]) -> dict[str, Any]:
    """A localizer's weights without the room; searches begun before it was kept have none."""
    return {name: value for name, value in weights.items() if name not in (_SIZE, _MICROPHONES)}
