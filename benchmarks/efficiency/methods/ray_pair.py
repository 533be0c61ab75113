"""Ray Tune's own pair, `OptunaSearch` and `ASHAScheduler`, without a cluster.

The objects are Ray's. What is left out is the controller around them, whose order of calls is kept (`TuneController` of Ray
2.60): the scheduler judges every result first; the searcher is told a result only if the trial continues, and otherwise the
end of the trial with its last result.
"""

from __future__ import annotations

import logging
import os
from types import SimpleNamespace
from typing import Any, Final

from benchmarks.efficiency.methods.base import Decision, Method, Resume, Start
from benchmarks.efficiency.methods.optuna_points import replace_parameters, suggest_point
from benchmarks.efficiency.problem import Problem

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

_METRIC: Final = "value"
_TIME: Final = "training_iteration"


class RayPair(Method):
    """`OptunaSearch` with a define-by-run space, as conditions need it, and `ASHAScheduler` with the rungs of the task."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        import optuna
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        logging.getLogger("ray").setLevel(logging.ERROR)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._searcher = OptunaSearch(
            lambda trial: suggest_point(problem, trial), metric=_METRIC, mode="max", seed=seed, study_name=f"r{seed}"
        )
        self._scheduler = ASHAScheduler(
            time_attr=_TIME,
            metric=_METRIC,
            mode="max",
            max_t=problem.epochs,
            grace_period=problem.first_rung,
            reduction_factor=problem.reduction,
        )
        self._asked = 0
        self._ids: dict[int, str] = {}

    def ask(self, *, may_start: bool) -> Start | Resume | None:
        """Return the next suggestion of the searcher."""
        if not may_start:
            return None
        self._asked += 1
        return Start(self._searcher.suggest(f"trial_{self._asked}"))

    def begin(self, trial: int, parameters: dict[str, Any]) -> None:
        """Add the trial to the scheduler."""
        name = self._ids[trial] = f"trial_{self._asked}"
        replace_parameters(self.problem, self._searcher._ot_study, self._searcher._ot_trials[name], parameters)
        self._scheduler.on_trial_add(None, self._ray_trial(trial))

    def _ray_trial(self, trial: int) -> Any:
        return SimpleNamespace(trial_id=self._ids[trial])

    def tell(self, trial: int, epoch: int, value: float | None, seconds: float) -> Decision:
        """Pass a result on in the order of Ray's controller."""
        name = self._ids[trial]
        if value is None:
            self._scheduler.on_trial_error(None, self._ray_trial(trial))
            self._searcher.on_trial_complete(name, error=True)
            return "stop"
        result = {_METRIC: value, _TIME: epoch, "time_this_iter_s": seconds, "trial_id": name}
        if self._scheduler.on_trial_result(None, self._ray_trial(trial), result) == "STOP":
            self._scheduler.on_trial_complete(None, self._ray_trial(trial), result)
            self._searcher.on_trial_complete(name, result)
            return "stop"
        self._searcher.on_trial_result(name, result)
        return "continue"
