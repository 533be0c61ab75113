"""Maps of responses over the area, which SRP-PHAT and MUSIC compute: cells, frequencies, scores and inference parameters."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from torch import Tensor

from datasets.acoustics.arrays import SAMPLE_RATE_HZ
from trainables.localizer.config import EvaluationConfig, LocalizerConfig
from trainables.localizer.features import BINS, WINDOW

_BAND_HZ: Final = (200.0, 7500.0)
"""Frequencies of the responses: below, a small array resolves nothing; above, the simulated delays are not exact."""
_LARGEST: Final = 1 - 1e-6
"""Largest score, below 1 so that it has a logit."""
_CELL_M: Final = 0.1
"""Size of a cell, at most."""
_MOST_CELLS: Final = 81
_THRESHOLDS: Final = tuple(round(0.02 * number, 2) for number in range(1, 50))
_RADII: Final = (0.5, 1.0, 1.5, 2.0)
"""Radii of the suppression, in units of the coarsest resolution."""
_MOST_RADIUS_M: Final = 5.0
LEAST: Final = 1e-12

_Forward = TypeVar("_Forward", bound=Callable[[Any, Tensor], Tensor])


def reading_config(size_m: tuple[float, float], evaluation: EvaluationConfig) -> LocalizerConfig:
    """Return the Config with which maps of the steered response are read: local maxima on cells of at most 10 cm.

    Args:
        size_m: Size of the area, x and y.
        evaluation: Resolutions of the metrics.
    """
    cells = min(_MOST_CELLS, math.ceil(max(size_m) / _CELL_M) + 1)
    unused = {
        "encoder": "single",
        "network": {"width": 4, "tail_width": 4, "decoder_width": 16},
    }  # the network is replaced
    grid = {"cells": cells, "margin_m": 0.0}
    values = {"representation": "tg", "grid": grid, "evaluation": evaluation, "precision": "fp32"}
    return LocalizerConfig.model_validate(values | unused)


def list_inference_params(resolutions_m: Sequence[float]) -> list[dict[str, float]]:
    """Return the thresholds and radii from which validation chooses, given the resolutions of the metrics."""
    return [
        {"threshold": threshold, "nms_radius_m": min(radius * max(resolutions_m), _MOST_RADIUS_M), "smoothing_m": 0.0}
        for radius in _RADII
        for threshold in _THRESHOLDS
    ]


def list_band(step: int = 1) -> tuple[list[int], Float[Tensor, " bins"]]:
    """Return the bins of `features.stft_features` that responses are computed from, and their frequencies in Hz.

    Args:
        step: Step between the bins.
    """
    frequency_hz = torch.arange(1, BINS + 1, dtype=torch.float64) * SAMPLE_RATE_HZ / WINDOW
    within = ((frequency_hz >= _BAND_HZ[0]) & (frequency_hz <= _BAND_HZ[1])).nonzero()[::step, 0]
    return within.tolist(), frequency_hz[within]


def place_grid(
    microphones_m: NDArray[np.float64], cells_m: Float[Tensor, "cells cells 2"]
) -> tuple[Float[Tensor, "groups mics axes"], Float[Tensor, "points axes"]]:
    """Return the microphones of each array, of which single ones are one array, and the centres of the cells on their plane."""
    arrays, mics, axes = microphones_m.shape
    placed = torch.from_numpy(microphones_m.reshape(1 if mics == 1 else arrays, -1, axes).astype(np.float64))
    flat = cells_m.double().reshape(-1, 2)
    return placed, torch.cat([flat, torch.zeros(len(flat), axes - 2, dtype=torch.float64)], dim=1)


def group_spectra(
    spectra: Float[Tensor, "batch arrays channels frames bins"], groups: int
) -> Complex[Tensor, "batch groups mics frames bins"]:
    """Return the complex spectra of the microphones of each array, of which single ones are one array."""
    parts = spectra.unflatten(2, (2, spectra.shape[2] // 2))
    waves = torch.complex(parts[:, :, 0], parts[:, :, 1])
    return waves.reshape(len(waves), groups, -1, *waves.shape[3:])


def without_autocast(forward: _Forward) -> _Forward:
    """Let a `forward` compute in single precision under autocast, too: bf16 cannot resolve the noise subspace of MUSIC."""

    @functools.wraps(forward)
    def compute(module: Any, spectra: Tensor) -> Tensor:
        with torch.autocast(spectra.device.type, enabled=False):
            return forward(module, spectra.float())

    return cast("_Forward", compute)


def relative_logits(responses: Float[Tensor, "batch arrays points"]) -> Float[Tensor, "batch points"]:
    """Multiply the responses of the arrays, and return the logits of the products relative to the largest one of a sample."""
    joined = responses.clamp(min=LEAST).log().mean(dim=1).exp()
    relative = joined / joined.amax(dim=1, keepdim=True)
    return (relative * _LARGEST).clamp(min=LEAST).logit()
