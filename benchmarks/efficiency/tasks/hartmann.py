"""Multi-fidelity Hartmann functions in three and six dimensions (Kandasamy et al. 2017, arXiv 1703.06240).

The fidelity of epoch e of E is z = ln e / ln E. The function is the sum of four bumps with the heights α - b (1 - z), and its
observations are lowered by |ε| (1 - z), where ε is normal with the standard deviation σ: a last epoch is exact, earlier
ones are biased and noisy. The pairs (b, σ) are those that mf-prior-bench (Mallik et al. 2023) calls good, (2.5, 2.0), and bad,
(3.5, 4.0); a third one, (2.5, 0.2), has the same bias and hardly any noise. Signs are turned so that larger is better.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.efficiency.problem import Point, Problem, Variable
from benchmarks.efficiency.tasks.base import Scale, Session, Step, Task

EPOCHS: Final = 27
_HEIGHTS: Final = np.array([1.0, 1.2, 3.0, 3.2])
_WIDTHS: Final = {
    3: np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]]),
    6: np.array(
        [
            [10, 3, 17, 3.5, 1.7, 8],
            [0.05, 10, 17, 0.1, 8, 14],
            [3, 3.5, 1.7, 10, 17, 8],
            [17, 8, 0.05, 10, 0.1, 14],
        ]
    ),
}
_CENTRES: Final = {
    3: 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]]),
    6: 1e-4
    * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    ),
}
MAXIMA: Final = {3: 3.86278, 6: 3.32237}
_SAMPLED: Final = 1001


def hartmann(x: NDArray[np.float64], bias: float = 0.0) -> float:
    """Return the function at a point of three or six dimensions in [0, 1].

    Args:
        x: Point.
        bias: Number that is subtracted from all heights.
    """
    exponents = (_WIDTHS[len(x)] * (x - _CENTRES[len(x)]) ** 2).sum(axis=1)
    return float((_HEIGHTS - bias) @ np.exp(-exponents))


class HartmannTask(Task):
    """Multi-fidelity Hartmann function.

    Args:
        name: Name on the command line.
        dimensions: Three or six.
        bias: Bias of the heights in the first epoch.
        noise: Standard deviation of the noise in the first epoch.
    """

    unit = "value"

    def __init__(self, name: str, dimensions: int, bias: float, noise: float) -> None:
        self.name = name
        self.dimensions = dimensions
        self.bias = bias
        self.noise = noise
        self.digest = f"1-{bias}-{noise}"
        variables = tuple(Variable(f"x{index}", "uniform", 0.0, 1.0) for index in range(dimensions))
        self.problem = Problem(variables, EPOCHS, baseline={variable.name: 0.5 for variable in variables})

    def open_session(self, seed: int) -> Session:
        """Return the trainings of a replay."""
        return _HartmannSession(self, seed)

    @functools.cache  # noqa: B019  # tasks live as long as the process
    def scale(self) -> Scale:
        """Return the median over random points, and the known maximum."""
        values = np.random.default_rng(0).random((_SAMPLED, self.dimensions))
        return Scale(float(np.median([hartmann(x) for x in values])), MAXIMA[self.dimensions])


class _HartmannSession(Session):
    def __init__(self, task: HartmannTask, seed: int) -> None:
        self.problem = task.problem
        self._task = task
        self._seed = seed

    def start(self, point: Point, trial: int) -> tuple[dict[str, Any], Iterator[Step]]:
        """Return the parameters and the epochs of a trial, each of which takes a second."""
        return dict(point), self._epochs(point, random.Random(f"{self._seed} {trial}"))

    def _epochs(self, point: Point, generator: random.Random) -> Iterator[Step]:
        x = np.array([point[variable.name] for variable in self.problem.variables])
        for epoch in range(1, EPOCHS + 1):
            distance = 1 - math.log(epoch) / math.log(EPOCHS)
            true = hartmann(x, self._task.bias * distance)
            noise = abs(generator.gauss(0, self._task.noise)) * distance
            yield Step(true - noise, true, 1.0)
