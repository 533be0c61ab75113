"""Errors of a model on a split by position and by what makes a scene difficult: what `Trainable.analyse_errors` returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

SIMULTANEOUS: Final = "sources at the same time"
"""Factor that both sources and estimates have, so that F1 can be computed for each of its values."""


@dataclass(frozen=True, eq=False)
class PositionAxes:
    """The two coordinates of sources, and how errors are measured.

    Attributes:
        names: Names of the coordinates with their units, e.g. "x, m".
        limits: Lowest and highest value of each coordinate.
        unit: Unit of errors, e.g. "m".
        gates: Largest errors at which a source counts as found, in increasing order.
        landmarks: Microphones, shape (microphones, 2).
        is_circular: Whether the first coordinate is an angle of 360°.
    """

    names: tuple[str, str]
    limits: tuple[tuple[float, float], tuple[float, float]]
    unit: str
    gates: tuple[float, ...]
    landmarks: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    is_circular: bool = False


@dataclass(frozen=True, eq=False)
class SourceErrors:
    """True sources; one that is active in several frames counts once per frame.

    Attributes:
        positions: Coordinates, shape (sources, 2).
        errors: Distance to the estimate that is matched at each gate, shape (gates, sources); NaN where none is.
        biases: Estimate minus truth at the largest gate, shape (sources, 2); NaN where none is matched.
        factors: What may make a source difficult, by a name with its unit; shape (sources,) each.
    """

    positions: NDArray[np.float64]
    errors: NDArray[np.float64]
    biases: NDArray[np.float64]
    factors: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimated sources.

    Attributes:
        positions: Coordinates, shape (estimates, 2).
        is_false: Whether an estimate is matched with no source at each gate, shape (gates, estimates).
        factors: Those of `SourceErrors.factors` that are properties of the scene; shape (estimates,) each.
    """

    positions: NDArray[np.float64]
    is_false: NDArray[np.bool_]
    factors: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Example:
    """Scene of a split with truth and estimates.

    Attributes:
        title: Which scene it is, and how good it is.
        time_s: Times of the frames in seconds, shape (frames,); a scene without motion has one frame.
        truth: Coordinates of each source, shape (frames, sources, 2); NaN while it is inactive.
        estimates: Coordinates of each output, shape (frames, outputs, 2); NaN while it is inactive.
        sound: One channel with full scale 1, shape (samples,); empty if there is none.
        rate_hz: Its sample rate.
    """

    title: str
    time_s: NDArray[np.float64]
    truth: NDArray[np.float64]
    estimates: NDArray[np.float64]
    sound: NDArray[np.float32]
    rate_hz: int


@dataclass(frozen=True, eq=False)
class ErrorAnalysis:
    """Errors of a model on a split.

    Attributes:
        axes: Coordinates and gates.
        sources: True sources.
        estimates: Estimated sources.
        scene_scores: Quality of each scene, shape (scenes,); larger is better.
        score_name: Name of that quality.
        examples: The best, a median and the worst scene.
        switches: Number of changes of the output that follows a source; None where sources are not followed.
    """

    axes: PositionAxes
    sources: SourceErrors
    estimates: Estimates
    scene_scores: NDArray[np.float64]
    score_name: str
    examples: tuple[Example, ...]
    switches: int | None = None

    def check_shapes(self) -> None:
        """Check that all arrays belong together.

        Raises:
            ValueError: If one does not; the message names it and both shapes.
        """
        gates, sources, estimates = len(self.axes.gates), len(self.sources.positions), len(self.estimates.positions)
        expected = {
            "axes.landmarks": (self.axes.landmarks, (len(self.axes.landmarks), 2)),
            "sources.positions": (self.sources.positions, (sources, 2)),
            "sources.errors": (self.sources.errors, (gates, sources)),
            "sources.biases": (self.sources.biases, (sources, 2)),
            "estimates.positions": (self.estimates.positions, (estimates, 2)),
            "estimates.is_false": (self.estimates.is_false, (gates, estimates)),
            **{f"sources.factors[{n!r}]": (values, (sources,)) for n, values in self.sources.factors.items()},
            **{f"estimates.factors[{n!r}]": (values, (estimates,)) for n, values in self.estimates.factors.items()},
            "scene_scores": (self.scene_scores, (len(self.scene_scores),)),
        }
        for number, example in enumerate(self.examples):
            for name, positions in (("truth", example.truth), ("estimates", example.estimates)):
                shape = (len(example.time_s), *positions.shape[1:2], 2)
                expected[f"examples[{number}].{name}"] = (positions, shape)
        for name, (array, shape) in expected.items():
            if array.shape != shape:
                raise ValueError(f"{name} has the shape {array.shape} instead of {shape}")
        if SIMULTANEOUS not in self.sources.factors or SIMULTANEOUS not in self.estimates.factors:
            raise ValueError(f"sources and estimates must have the factor {SIMULTANEOUS!r}")


def choose_examples(scores: NDArray[np.float64]) -> dict[str, int]:
    """Return the best, a median and the worst scene, by their names; fewer if there are fewer scenes.

    Args:
        scores: Quality of each scene, shape (scenes,).
    """
    order = np.argsort(-scores, kind="stable")
    places = {"best": 0, "median": (len(order) - 1) // 2, "worst": len(order) - 1}
    chosen: dict[str, int] = {}
    for name, place in places.items():
        if len(order) and int(order[place]) not in chosen.values():
            chosen[name] = int(order[place])
    return chosen


def separations(
    positions: Sequence[NDArray[np.float64]], distance: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the distance of each source to the nearest other one of its scene; NaN for a single source.

    Args:
        positions: Positions of the sources of each scene, shape (sources, …).
        distance: Function from positions to the distances between them, shape (sources, sources).
    """
    result = []
    for scene in positions:
        if not len(scene):
            continue
        between = np.array(distance(scene), np.float64)
        np.fill_diagonal(between, np.inf)
        nearest = between.min(axis=1)
        result.append(np.where(np.isfinite(nearest), nearest, np.nan))
    return np.concatenate(result) if result else np.zeros(0)
