"""Errors of the localizer by position in the room, distance, separation and number of sources."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from datasets.acoustics.arrays import SAMPLE_RATE_HZ
from trainables.error_analysis import (
    SIMULTANEOUS,
    ErrorAnalysis,
    Estimates,
    Example,
    PositionAxes,
    SourceErrors,
    choose_examples,
    separations,
)
from trainables.localizer.array_layout import ArrayLayout

_BEYOND_M: Final = 1e6
"""Cost of a pair that is not permitted: larger than the sum of all distances of a scene."""


@dataclass(frozen=True, eq=False)
class LocatedScene:
    """Sample with its true and estimated sources.

    Attributes:
        truth_m: True positions in metres, shape (sources, 2).
        estimates_m: Estimated positions in metres, shape (estimates, 2).
    """

    truth_m: NDArray[np.float64]
    estimates_m: NDArray[np.float64]


def match_pairs(scene: LocatedScene, gate_m: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pairs of sources and estimates closer than a gate: as many as possible, at the least sum of distances."""
    distance = cdist(scene.truth_m, scene.estimates_m)
    sources, estimates = linear_sum_assignment(np.where(distance < gate_m, distance, _BEYOND_M))
    reached = distance[sources, estimates] < gate_m
    return sources[reached], estimates[reached]


def analyse_scenes(
    layout: ArrayLayout,
    scenes: Sequence[LocatedScene],
    gates_m: Sequence[float],
    read_sound: Callable[[int], NDArray[np.float32]],
) -> ErrorAnalysis:
    """Return the errors of samples.

    Args:
        layout: Room and arrays.
        scenes: Samples.
        gates_m: Resolutions of the metrics, in increasing order.
        read_sound: Function from the number of a sample to one of its channels.
    """
    found = [[match_pairs(scene, gate) for scene in scenes] for gate in gates_m]
    scores = _score_scenes(scenes, found)
    axes = PositionAxes(
        ("x, m", "y, m"),
        ((0.0, layout.size_m[0]), (0.0, layout.size_m[1])),
        "m",
        tuple(gates_m),
        np.asarray(layout.microphones_m, np.float64)[..., :2].reshape(-1, 2),
    )
    counts = [len(scene.truth_m) for scene in scenes]
    estimate_counts = [len(scene.estimates_m) for scene in scenes]
    simultaneous = np.array(counts, np.float64)
    name = "mean F1 over the resolutions"
    return ErrorAnalysis(
        axes,
        SourceErrors(
            _stack([scene.truth_m for scene in scenes]),
            np.stack([_distances(scenes, pairs) for pairs in found]),
            _biases(scenes, found[-1]),
            {SIMULTANEOUS: np.repeat(simultaneous, counts), **_find_factors(layout, scenes)},
        ),
        Estimates(
            _stack([scene.estimates_m for scene in scenes]),
            np.stack([_false_estimates(scenes, pairs) for pairs in found]),
            {SIMULTANEOUS: np.repeat(simultaneous, estimate_counts)},
        ),
        scores,
        name,
        tuple(
            Example(
                f"{place}: sample {number}, {name} {scores[number]:.2f}",
                np.zeros(1),
                scenes[number].truth_m[None],
                scenes[number].estimates_m[None],
                read_sound(number),
                SAMPLE_RATE_HZ,
            )
            for place, number in choose_examples(scores).items()
        ),
    )


def _find_factors(layout: ArrayLayout, scenes: Sequence[LocatedScene]) -> Mapping[str, NDArray[np.float64]]:
    """Return distances to the arrays, and distances and angles between sources."""
    centres = np.asarray(layout.microphones_m, np.float64)[..., :2].mean(axis=1)
    truth = _stack([scene.truth_m for scene in scenes])
    away = cdist(truth, centres)
    all_truth = [scene.truth_m for scene in scenes]
    angles = [separations(all_truth, functools.partial(_angles_deg, centre=centre)) for centre in centres]
    smallest = np.fmin.reduce(angles) if angles else np.zeros(0)
    return {
        "distance to the nearest array, m": away.min(axis=1),
        "distance to the farthest array, m": away.max(axis=1),
        "distance to the nearest other source, m": separations(
            all_truth, lambda positions: cdist(positions, positions)
        ),
        "smallest angle to another source, seen from an array, °": smallest,
    }


def _angles_deg(positions: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angles between positions as seen from a centre, in degrees, shape (positions, positions)."""
    vectors = positions - centre
    direction = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0]))
    difference: NDArray[np.float64] = np.abs((direction[:, None] - direction + 180) % 360 - 180)
    return difference


def _score_scenes(
    scenes: Sequence[LocatedScene], found: Sequence[Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]]
) -> NDArray[np.float64]:
    """Return the mean F1 over the gates of each scene; 1 for an empty scene without estimates."""
    sizes = np.array([len(scene.truth_m) + len(scene.estimates_m) for scene in scenes], np.float64)
    hits = np.array([[len(sources) for sources, _ in pairs] for pairs in found], np.float64).mean(axis=0)
    return np.where(sizes > 0, 2 * hits / np.maximum(sizes, 1), 1.0)


def _distances(
    scenes: Sequence[LocatedScene], pairs: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.linalg.norm(_biases(scenes, pairs), axis=1)
    return distances


def _biases(
    scenes: Sequence[LocatedScene], pairs: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
) -> NDArray[np.float64]:
    parts = []
    for scene, (sources, estimates) in zip(scenes, pairs, strict=True):
        bias = np.full(scene.truth_m.shape, np.nan)
        bias[sources] = scene.estimates_m[estimates] - scene.truth_m[sources]
        parts.append(bias)
    return _stack(parts)


def _false_estimates(
    scenes: Sequence[LocatedScene], pairs: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
) -> NDArray[np.bool_]:
    parts = []
    for scene, (_, estimates) in zip(scenes, pairs, strict=True):
        is_false = np.ones(len(scene.estimates_m), np.bool_)
        is_false[estimates] = False
        parts.append(is_false)
    return np.concatenate(parts) if parts else np.zeros(0, np.bool_)


def _stack(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate(parts) if parts else np.zeros((0, 2))
