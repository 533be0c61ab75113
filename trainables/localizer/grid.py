"""Output grid in metres, and the training targets on it (section II-B)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.localizer.config import GridConfig


@dataclass(frozen=True)
class CellGrid:
    """Grid of cells over a room, with equally many cells along both axes.

    Attributes:
        cells: Number of cells along each axis.
        origin_m: Lower corner of the first cell, x and y, in metres.
        cell_m: Size of a cell along x and y, in metres.
    """

    cells: int
    origin_m: tuple[float, float]
    cell_m: tuple[float, float]

    @classmethod
    def over_area(cls, grid: GridConfig, size_m: tuple[float, float]) -> CellGrid:
        """Build the grid of a Config over a room.

        Args:
            grid: Number of cells and margin.
            size_m: Size of the room along x and y, in metres.
        """
        edge = tuple((size + 2 * grid.margin_m) / grid.cells for size in size_m)
        return cls(grid.cells, (-grid.margin_m, -grid.margin_m), (edge[0], edge[1]))

    def centres_m(self, device: torch.device | str = "cpu") -> Float[Tensor, "cells cells 2"]:
        """Return the centres of all cells in metres, indexed by x, then y."""
        steps = torch.arange(self.cells, device=device) + 0.5
        x = self.origin_m[0] + steps * self.cell_m[0]
        y = self.origin_m[1] + steps * self.cell_m[1]
        return torch.stack(torch.meshgrid(x, y, indexing="ij"), dim=-1)

    def locate_sources(
        self, positions_m: Float[Tensor, "batch slots 2"]
    ) -> tuple[Int[Tensor, "batch slots 2"], Float[Tensor, "batch slots 2"]]:
        """Return the cell of each position, and the position within that cell, from 0 to 1.

        The far edge of the grid belongs to the last cell. NaN positions are empty slots; their values are meaningless.
        """
        positions = positions_m.nan_to_num().double()
        relative = (positions - positions.new_tensor(self.origin_m)) / positions.new_tensor(self.cell_m)
        # Rounded to a ten-thousandth of a cell, so that single-precision positions on an edge all fall on its upper side.
        relative = (relative * 1e4).round() / 1e4
        index = relative.floor().clamp(0, self.cells - 1)
        return index.long(), (relative - index).to(positions_m.dtype)


def tight_grid_target(
    grid: CellGrid, positions_m: Float[Tensor, "batch slots 2"]
) -> Float[Tensor, "batch cells cells"]:
    """Return the TG target: 1 in every cell that contains a source. NaN positions are empty slots."""
    return refined_grid_target(grid, positions_m)[:, 0]


def heat_map_target(
    grid: CellGrid, positions_m: Float[Tensor, "batch slots 2"], sigma_m: float
) -> Float[Tensor, "batch cells cells"]:
    """Return the HM target: exp(-|c - s|² / 2σ²) of the nearest source s at every cell centre c.

    Args:
        grid: Output grid.
        positions_m: Positions of the sources, in metres; NaN in empty slots.
        sigma_m: σ of the Gaussians, in metres.
    """
    present = _present_sources(positions_m)
    positions = positions_m.nan_to_num()
    maps = []
    for axis in range(2):  # a Gaussian is the product of one along x and one along y
        centres = grid.origin_m[axis] + (torch.arange(grid.cells, device=positions.device) + 0.5) * grid.cell_m[axis]
        maps.append(torch.exp(-((positions[..., axis, None] - centres) ** 2) / (2 * sigma_m**2)))
    each = maps[0][..., :, None] * maps[1][..., None, :] * present[..., None, None]
    return each.amax(dim=1)


def refined_grid_target(
    grid: CellGrid, positions_m: Float[Tensor, "batch slots 2"]
) -> Float[Tensor, "batch 3 cells cells"]:
    """Return the RG target: activity, and the position of the source within its cell along x and y."""
    batch, slots, _ = positions_m.shape
    index, within = grid.locate_sources(positions_m)
    target = positions_m.new_zeros(batch, 3, grid.cells, grid.cells)
    present = _present_sources(positions_m)
    sample = torch.arange(batch, device=positions_m.device)[:, None].expand(batch, slots)[present]
    x, y = index[present].unbind(-1)
    target[sample, 0, x, y] = 1.0
    target[sample, 1, x, y], target[sample, 2, x, y] = within[present].unbind(-1)
    return target


def _present_sources(positions_m: Float[Tensor, "batch slots 2"]) -> Bool[Tensor, "batch slots"]:
    return ~positions_m.isnan().any(dim=-1)
