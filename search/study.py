"""The one durable truth: an Optuna study that holds proposals, every epoch's result, outcomes and MLflow run ids."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from search import choose
from spaces.schema import Dimension, Space, Value

Outcome = Literal["running", "finished", "stopped", "failed"]

_EPOCH: Final = "epoch:"
_ROLE: Final = "role"
BASELINE: Final = "baseline"


@dataclass(frozen=True)
class Epoch:
    """What one epoch of a trial came to.

    Attributes:
        epoch: Counted from 1.
        metrics: Of the training and of the validation with the best setting; undefined ones are absent.
        setting: The inner parameters that were best.
        seconds: How long it took, validation included.
    """

    epoch: int
    metrics: Mapping[str, float]
    setting: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Trial:
    """A trial as the study knows it."""

    number: int
    parameters: Mapping[str, Value]
    outcome: Outcome
    reason: str
    epochs: tuple[Epoch, ...]
    run_id: str | None
    is_baseline: bool
    tests: Mapping[str, Mapping[str, float]]

    def kept(self, objectives: choose.Objectives) -> Epoch | None:
        """The epoch whose weights are kept: the best so far."""
        if not self.epochs:
            return None
        return self.epochs[choose.best([epoch.metrics for epoch in self.epochs], objectives)]

    def gains_at(self, epoch: int, objectives: choose.Objectives) -> tuple[float, ...] | None:
        """The best up to an epoch, or None if the trial did not get there."""
        seen = [e.metrics for e in self.epochs if e.epoch <= epoch]
        if len(seen) < epoch:
            return None
        return choose.gains(seen[choose.best(seen, objectives)], objectives)


class Study:
    """A study on a journal file. Every method leaves it consistent, whenever the process dies."""

    def __init__(self, journal: Path, space: Space) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        storage = JournalStorage(JournalFileBackend(str(journal)))
        self._study = optuna.create_study(
            storage=storage,
            study_name=space.name,
            directions=[direction for _, direction in space.objectives],
            load_if_exists=True,
        )
        self._study.sampler = _sampler(space, len(self._study.trials))
        interrupted = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        self._live = {trial.number: optuna.trial.Trial(self._study, trial._trial_id) for trial in interrupted}
        self._to_continue = list(self._live)
        roles = {trial.user_attrs.get(_ROLE) for trial in self._study.get_trials(deepcopy=False)}
        for role, point in [(BASELINE, space.baseline), *((f"start {n}", p) for n, p in enumerate(space.start))]:
            if role not in roles:
                self._study.enqueue_trial(dict(point), user_attrs={_ROLE: role})

    def next(self) -> Trial | None:
        """The next trial to run: an interrupted one first, then a new one, None when there are as many as asked for."""
        self._to_continue = [number for number in self._to_continue if number in self._live]
        if self._to_continue:
            trial = self._live[self._to_continue.pop(0)]
        elif self.started() < self._space.budget.trials:
            trial = self._study.ask()
            self._live[trial.number] = trial
        else:
            return None
        parameters: dict[str, Value] = {}
        for dimension in self._space.search:
            if dimension.active(parameters):  # an interrupted trial answers what was proposed before
                parameters[dimension.name] = _suggest(trial, dimension)
        return self.trial(trial.number)

    def started(self) -> int:
        """How many trials exist, without those that wait to be asked for."""
        return sum(t.state != TrialState.WAITING for t in self._study.get_trials(deepcopy=False))

    def unfinished(self) -> bool:
        """Whether any trial is still to be run."""
        return bool(self._live) or self.started() < self._space.budget.trials

    def record(self, number: int, result: Epoch) -> bool:
        """Write down an epoch; doing so again changes nothing.

        Returns:
            Whether it was news: a process that died and was restarted repeats itself.
        """
        attribute = f"{_EPOCH}{result.epoch:05d}"
        if number not in self._live or attribute in self._live[number].user_attrs:
            return False
        defined = {name: value for name, value in result.metrics.items() if math.isfinite(value)}
        content = {"metrics": defined, "setting": dict(result.setting), "seconds": round(result.seconds, 3)}
        self._live[number].set_user_attr(attribute, content)
        if len(self._space.objectives) == 1:  # Optuna keeps intermediate values of single-objective studies only
            name, direction = self._space.objectives[0]
            worst = -1e9 if direction == "maximize" else 1e9
            self._live[number].report(defined.get(name, worst), result.epoch)
        return True

    def end(self, number: int, outcome: Outcome, reason: str) -> None:
        """Tell the study how a trial ended; a trial that has ended stays as it is."""
        if number not in self._live:
            return
        kept = self.trial(number).kept(self._space.objectives)
        values = [] if kept is None else [kept.metrics.get(name, math.nan) for name, _ in self._space.objectives]
        if outcome == "finished" and (not values or any(math.isnan(value) for value in values)):
            outcome, reason = "failed", "no epoch has all objectives"
        live = self._live.pop(number)
        live.set_user_attr("reason", reason)
        if outcome == "finished":
            self._study.tell(live, values)
        else:
            self._study.tell(live, state=TrialState.PRUNED if outcome == "stopped" else TrialState.FAIL)

    def set_run_id(self, number: int, run_id: str) -> None:
        """Remember the MLflow run of a running trial."""
        self._live[number].set_user_attr("run_id", run_id)

    def parent_run_id(self) -> str | None:
        """The MLflow run of the search."""
        found = self._study.user_attrs.get("run_id")
        return None if found is None else str(found)

    def set_parent_run_id(self, run_id: str) -> None:
        """Remember the MLflow run of the search."""
        self._study.set_user_attr("run_id", run_id)

    def set_tests(self, number: int, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Keep the test scores of a trial."""
        defined = {split: {n: v for n, v in metrics.items() if math.isfinite(v)} for split, metrics in scores.items()}
        self._study.set_user_attr(f"tests:{number:05d}", defined)

    def trial(self, number: int) -> Trial:
        """One trial."""
        return self._as_trial(self._frozen(number))

    def trials(self) -> list[Trial]:
        """All trials that were started, by number."""
        frozen = self._study.get_trials(deepcopy=False)
        return [self._as_trial(trial) for trial in frozen if trial.state != TrialState.WAITING]

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _as_trial(self, frozen: FrozenTrial) -> Trial:
        outcomes: dict[TrialState, Outcome] = {
            TrialState.COMPLETE: "finished",
            TrialState.PRUNED: "stopped",
            TrialState.FAIL: "failed",
        }
        attributes: dict[str, Any] = frozen.user_attrs
        epochs = tuple(
            Epoch(int(name.removeprefix(_EPOCH)), content["metrics"], content["setting"], content["seconds"])
            for name, content in sorted(attributes.items())
            if name.startswith(_EPOCH)
        )
        return Trial(
            number=frozen.number,
            parameters={d.name: frozen.params[d.name] for d in self._space.search if d.name in frozen.params},
            outcome=outcomes.get(frozen.state, "running"),
            reason=attributes.get("reason", ""),
            epochs=epochs,
            run_id=attributes.get("run_id"),
            is_baseline=attributes.get(_ROLE) == BASELINE,
            tests=self._study.user_attrs.get(f"tests:{frozen.number:05d}", {}),
        )


def _suggest(trial: optuna.trial.Trial, dimension: Dimension) -> Value:
    if dimension.kind == "choice":
        return cast(Value, trial.suggest_categorical(dimension.name, dimension.choices))
    log = dimension.kind.startswith("log")
    if dimension.kind in ("int", "log_int"):
        return trial.suggest_int(dimension.name, int(dimension.low), int(dimension.high), log=log)
    return trial.suggest_float(dimension.name, dimension.low, dimension.high, log=log)


def distribution(dimension: Dimension) -> BaseDistribution:
    """Optuna's form of a dimension."""
    if dimension.kind == "choice":
        return CategoricalDistribution(dimension.choices)
    log = dimension.kind.startswith("log")
    if dimension.kind in ("int", "log_int"):
        return IntDistribution(int(dimension.low), int(dimension.high), log=log)
    return FloatDistribution(dimension.low, dimension.high, log=log)


def _sampler(space: Space, started: int) -> optuna.samplers.BaseSampler:
    """Multivariate TPE; after a restart it draws on from another seed, not the same proposals again."""
    random_first = max(4, min(10, space.budget.trials // 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=space.seed + 7919 * started, multivariate=True, group=True, n_startup_trials=random_first
        )


def ranking(trials: Sequence[Trial], space: Space) -> list[Trial]:
    """Trials that have a result, best first."""
    usable = [trial for trial in trials if trial.epochs and trial.outcome != "failed"]
    points = [
        choose.gains(kept.metrics, space.objectives) for t in usable if (kept := t.kept(space.objectives)) is not None
    ]
    return [usable[index] for index in choose.order(points)]


def importances(trials: Sequence[Trial], space: Space) -> dict[str, float]:
    """How much each hyperparameter decides of the first objective (fANOVA), judged where all trials can be compared.

    Trials that were stopped count with their best up to the first epoch that all of them reached. Empty if fewer than eight
    trials have a value, or if the values do not differ.
    """
    usable = [trial for trial in trials if trial.epochs]
    if len(usable) < 8:
        return {}
    shared = min(len(trial.epochs) for trial in usable)
    values = [(trial.gains_at(shared, space.objectives) or (-math.inf,))[0] for trial in usable]
    known = [(trial, value) for trial, value in zip(usable, values, strict=True) if math.isfinite(value)]
    if len({value for _, value in known}) < 2:
        return {}
    scratch = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    dimensions = {dimension.name: dimension for dimension in space.search if not dimension.when}
    for trial, value in known:
        parameters = {name: trial.parameters[name] for name in dimensions}
        distributions = {name: distribution(dimension) for name, dimension in dimensions.items()}
        scratch.add_trial(optuna.trial.create_trial(params=parameters, distributions=distributions, value=value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(scratch, evaluator=evaluator))
