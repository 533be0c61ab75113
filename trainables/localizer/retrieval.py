"""Retrieval of keypoints from the network's output (section II-C), for a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from trainables.contract import InferenceParams
from trainables.localizer.config import LocalizerConfig, RetrievalConfig
from trainables.localizer.grid import CellGrid

_MOST_PEAKS: Final = 32
"""Number of strongest local maxima of a map that are considered; a sample has at most four sources."""
_REFINE_M: Final = 0.5
"""Half the width of the window of HM's sub-cell mean: 5 cells of 10 cm to each side, 11 in all. The paper's 10 × 10
window is off-centre."""


@dataclass(frozen=True)
class Candidates:
    """Possible keypoints, strongest first.

    Attributes:
        positions_m: Positions in metres, shape (batch, candidates, 2).
        scores: Scores, shape (batch, candidates).
    """

    positions_m: Float[Tensor, "batch candidates 2"]
    scores: Float[Tensor, "batch candidates"]


@dataclass(frozen=True)
class Keypoints:
    """Predicted sources of one sample, strongest first.

    Attributes:
        positions_m: Positions in metres, shape (sources, 2).
        scores: Scores, shape (sources,).
    """

    positions_m: Tensor
    scores: Tensor


def complete_params(retrieval: RetrievalConfig, inference_params: InferenceParams) -> dict[str, float]:
    """Return inference parameters with the Config's values for missing ones."""
    defaults = {
        "threshold": retrieval.threshold,
        "nms_radius_m": retrieval.nms_radius_m,
        "smoothing_m": retrieval.smoothing_m,
    }
    return defaults | dict(inference_params)


def find_candidates(
    config: LocalizerConfig, grid: CellGrid, output: Float[Tensor, "batch out cells cells"], smoothing_m: float
) -> Candidates:
    """Return all keypoints before thresholding and suppression.

    Args:
        config: Hyperparameters; the representation and `retrieval.peaks` determine how the output is read.
        grid: Output grid.
        output: Raw output of the network.
        smoothing_m: σ of the Gaussian that smooths TG and HM maps, in metres; 0 disables smoothing.
    """
    if config.representation == "rg":
        return _refine_positions(grid, output)
    activity = output[:, 0] if config.representation == "hm" else output[:, 0].sigmoid()
    if not config.retrieval.peaks:
        return _all_cells(grid, activity)
    # TG: a single cell smoothed by a kernel of unit sum falls to 0.016, hence the paper's threshold of 0.1.
    # HM: a Gaussian must keep height 1 when smoothed, or no peak would exceed the paper's threshold of 0.6.
    smoothed = smooth_heat_map(
        activity, grid, smoothing_m, normalise="peak" if config.representation == "hm" else "sum"
    )
    return _local_maxima(grid, smoothed, refine=activity if config.representation == "hm" else None)


def smooth_heat_map(
    maps: Float[Tensor, "batch cells cells"], grid: CellGrid, sigma_m: float, *, normalise: Literal["sum", "peak"]
) -> Float[Tensor, "batch cells cells"]:
    """Convolve maps with a Gaussian.

    Args:
        maps: Maps to smooth.
        grid: Output grid.
        sigma_m: σ of the Gaussian, in metres; 0 leaves the maps unchanged.
        normalise: `sum` preserves the sum of a map; `peak` preserves the height of a Gaussian of the same σ.
    """
    if sigma_m == 0:
        return maps
    for axis in range(2):
        sigma = sigma_m / grid.cell_m[axis]
        steps = torch.arange(-round(4 * sigma), round(4 * sigma) + 1, device=maps.device)
        kernel = torch.exp(-(steps**2) / (2 * sigma**2)).to(maps.dtype)
        kernel = kernel / (kernel.sum() if normalise == "sum" else kernel.square().sum())
        maps = _smooth_axis(maps, kernel, axis)
    return maps


def _smooth_axis(maps: Tensor, kernel: Tensor, axis: int) -> Tensor:
    shape = (1, 1, -1, 1) if axis == 0 else (1, 1, 1, -1)
    return functional.conv2d(maps[:, None], kernel.reshape(shape), padding="same")[:, 0]


def _local_maxima(grid: CellGrid, maps: Float[Tensor, "batch cells cells"], refine: Tensor | None) -> Candidates:
    """Return local maxima of maps; with `refine`, moved to the mean position around them, weighted by that map."""
    highest = functional.max_pool2d(maps[:, None], 3, stride=1, padding=1)[:, 0]
    scores = torch.where((maps >= highest) & (maps > 0), maps, 0.0).flatten(1)
    positions = grid.centres_m(maps.device) if refine is None else _window_means(grid, refine)
    top = scores.topk(min(_MOST_PEAKS, scores.shape[1]), dim=1)
    return Candidates(_take_candidates(positions, top.indices), top.values)


def _window_means(grid: CellGrid, maps: Float[Tensor, "batch cells cells"]) -> Float[Tensor, "batch cells cells 2"]:
    """Return the weighted mean position in the symmetric window around every cell, clipped at the border."""
    reach = [max(1, round(_REFINE_M / cell)) for cell in grid.cell_m]
    boxes = [torch.ones(2 * cells + 1, device=maps.device, dtype=maps.dtype) for cells in reach]
    weights = maps.clamp(min=0)

    def total(values: Tensor) -> Tensor:
        return _smooth_axis(_smooth_axis(values, boxes[0], 0), boxes[1], 1)

    centres = grid.centres_m(maps.device).to(maps.dtype)
    mass = total(weights)
    moments = torch.stack([total(weights * centres[..., axis]) for axis in range(2)], dim=-1)
    return torch.where(mass[..., None] > 1e-6, moments / mass.clamp(min=1e-6)[..., None], centres)


def _refine_positions(grid: CellGrid, output: Float[Tensor, "batch 3 cells cells"]) -> Candidates:
    """Return the candidates of RG: the score of every cell, at the position predicted within it."""
    corner = grid.centres_m(output.device) - output.new_tensor(grid.cell_m) / 2
    positions = corner + output[:, 1:].sigmoid().movedim(1, -1) * output.new_tensor(grid.cell_m)
    scores = output[:, 0].sigmoid().flatten(1)
    top = scores.topk(min(2 * _MOST_PEAKS, scores.shape[1]), dim=1)
    return Candidates(_take_candidates(positions, top.indices), top.values)


def _all_cells(grid: CellGrid, activity: Float[Tensor, "batch cells cells"]) -> Candidates:
    order = activity.flatten(1).sort(dim=1, descending=True)
    return Candidates(_take_candidates(grid.centres_m(activity.device), order.indices), order.values)


def _take_candidates(positions_m: Tensor, indices: Tensor) -> Tensor:
    """Return the positions of the selected cells.

    Args:
        positions_m: Position per cell, shape (cells, cells, 2), with or without a batch axis before.
        indices: Selected cells, shape (batch, candidates).
    """
    flat = positions_m.flatten(-3, -2)
    if flat.dim() == 2:
        return flat[indices]
    return flat.gather(1, indices[..., None].expand(-1, -1, 2))


def suppress_neighbours(candidates: Candidates, radius_m: float) -> Bool[Tensor, "batch candidates"]:
    """Suppress non-maxima by distance: a candidate stays unless a stronger one that stays is closer than the radius.

    Distances are those of refined positions, not of cells: for true sources 2 m apart, one in a hundred pairs is in adjacent
    cells. The result does not depend on the threshold, since only stronger candidates suppress.

    Args:
        candidates: Possible keypoints, strongest first.
        radius_m: Radius of suppression, in metres; 0 keeps all candidates.

    Returns:
        Whether each candidate stays.
    """
    keep = torch.ones_like(candidates.scores, dtype=torch.bool)
    if radius_m == 0:
        return keep
    near = (
        torch.cdist(candidates.positions_m, candidates.positions_m, compute_mode="donot_use_mm_for_euclid_dist")
        < radius_m
    )
    for candidate in range(keep.shape[1] - 1):
        keep[:, candidate + 1 :] &= ~(near[:, candidate, candidate + 1 :] & keep[:, candidate, None])
    return keep


def keep_candidates(
    retrieval: RetrievalConfig, candidates: Candidates, radius_m: float
) -> Bool[Tensor, "batch candidates"]:
    """Return whether each candidate stays; without `retrieval.peaks`, suppression is off."""
    return suppress_neighbours(candidates, radius_m if retrieval.peaks else 0.0)
