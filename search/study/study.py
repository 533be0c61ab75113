"""The one durable truth: an Optuna study that holds proposals, every epoch's result, outcomes and MLflow run ids."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.study import sampler
from search.study import storage as database
from search.study.trials import Epoch, Outcome, Trial
from spaces.schema import Space, Value

_EPOCH: Final = "epoch:"
_ROLE: Final = "role"
BASELINE: Final = "baseline"


class Study:
    """A study on a journal file or in a database. Every method leaves it consistent, whenever the process dies.

    Args:
        where: The journal, or a URI (see `search.study.storage`).
        space: What is searched.
        name: Of the study; the search's by default.
        joins: Whether another process began the study and may be running trials of it: then none is taken over, and
            nothing is enqueued.
    """

    def __init__(self, where: Path | str, space: Space, name: str | None = None, *, joins: bool = False) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._joins = joins
        self._live: dict[int, optuna.trial.Trial] = {}
        self._to_continue: list[int] = []
        self._storage = database.open_storage(where)
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=name or space.name,
            directions=[direction for _, direction in space.objectives],
            load_if_exists=True,
        )
        if not joins:
            self._enqueue_initial_points()

    def _enqueue_initial_points(self) -> None:
        """Take interrupted trials over; enqueue those that every search begins with."""
        self._reclaim_orphaned_trials()
        roles = {trial.user_attrs.get(_ROLE) for trial in self._study.get_trials(deepcopy=False)}
        starts = ((f"start {n}", point) for n, point in enumerate(self._space.start))
        for role, point in [(BASELINE, self._space.baseline), *starts]:
            if role not in roles:
                self._study.enqueue_trial(dict(point), user_attrs={_ROLE: role})

    def stop_retrying(self) -> None:
        """Wait no longer for a database that is away."""
        database.stop_retrying(self._storage)

    def close(self) -> None:
        """Let go of the database."""
        database.close_storage(self._storage)

    def next_trial(self) -> Trial | None:
        """The next trial to run: an interrupted one first, then a new one, None when there are as many as asked for."""
        self._reclaim_orphaned_trials()
        self._to_continue = [number for number in self._to_continue if number in self._live]
        if self._to_continue:
            trial = self._live[self._to_continue.pop(0)]
        elif self.count_started() < self._space.budget.trials:
            if not self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                known = self.get_trials()
                self._study.enqueue_trial(dict(sampler.suggest_parameters(self._space, known, len(known))))
            trial = self._study.ask()
            self._live[trial.number] = trial
        else:
            return None
        parameters: dict[str, Value] = {}
        for dimension in self._space.search:
            if dimension.is_active(
                parameters
            ):  # the trial answers what was enqueued, or what it was given before a crash
                parameters[dimension.name] = sampler.suggest_value(trial, dimension)
        return self.get_trial(trial.number)

    def _reclaim_orphaned_trials(self) -> None:
        """Take over trials that began without our knowing: a server did as it was told, and was gone before it said so."""
        if self._joins:
            return
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if frozen.number not in self._live:
                self._live[frozen.number] = optuna.trial.Trial(self._study, frozen._trial_id)
                self._to_continue.append(frozen.number)

    def count_started(self) -> int:
        """How many trials exist, without those that wait to be asked for."""
        return sum(t.state != TrialState.WAITING for t in self._study.get_trials(deepcopy=False))

    def has_unfinished(self) -> bool:
        """Whether any trial is still to be run."""
        return bool(self._live) or self.count_started() < self._space.budget.trials

    def record_epoch(self, number: int, result: Epoch) -> bool:
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

    def end_trial(self, number: int, outcome: Outcome, reason: str) -> None:
        """Tell the study how a trial ended; a trial that has ended stays as it is."""
        if number not in self._live:
            return
        kept = self.get_trial(number).best_epoch(self._space.objectives)
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
        """Remember the MLflow run of a trial; Optuna takes attributes of running ones only."""
        if number in self._live:
            self._live[number].set_user_attr("run_id", run_id)
        else:
            self._study.set_user_attr(f"run:{number:05d}", run_id)

    def parent_run_id(self) -> str | None:
        """The MLflow run of the search."""
        found = self._study.user_attrs.get("run_id")
        return None if found is None else str(found)

    def set_parent_run_id(self, run_id: str) -> None:
        """Remember the MLflow run of the search."""
        self._study.set_user_attr("run_id", run_id)

    def set_test_scores(self, number: int, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Keep the test scores of a trial."""
        defined = {split: {n: v for n, v in metrics.items() if math.isfinite(v)} for split, metrics in scores.items()}
        self._study.set_user_attr(f"tests:{number:05d}", defined)

    def get_trial(self, number: int) -> Trial:
        """One trial."""
        return self._as_trial(self._frozen_trial(number), self._study.user_attrs)

    def get_trials(self) -> list[Trial]:
        """All trials that were started, by number."""
        frozen = self._study.get_trials(deepcopy=False)
        kept = self._study.user_attrs  # read once: a database is asked every time
        return [self._as_trial(trial, kept) for trial in frozen if trial.state != TrialState.WAITING]

    def _frozen_trial(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _as_trial(self, frozen: FrozenTrial, kept: Mapping[str, Any]) -> Trial:
        return _as_trial(frozen, kept, [dimension.name for dimension in self._space.search])


def read_trials(journal: Path) -> list[Trial]:
    """All trials that were started, by number, as somebody sees them who does not take part in the search.

    Raises:
        KeyError: If there is no study.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = database.open_storage(journal)
    names = [summary.study_name for summary in storage.get_all_studies()]
    if not names:
        raise KeyError(str(journal))
    study = optuna.load_study(study_name=names[0], storage=storage)
    trials = study.get_trials(deepcopy=False)
    return [_as_trial(t, study.user_attrs, list(t.params)) for t in trials if t.state != TrialState.WAITING]


def _as_trial(frozen: FrozenTrial, kept: Mapping[str, Any], names: Sequence[str]) -> Trial:
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
        parameters={name: frozen.params[name] for name in names if name in frozen.params},
        outcome=outcomes.get(frozen.state, "running"),
        reason=attributes.get("reason", ""),
        epochs=epochs,
        run_id=kept.get(f"run:{frozen.number:05d}", attributes.get("run_id")),
        is_baseline=attributes.get(_ROLE) == BASELINE,
        tests=kept.get(f"tests:{frozen.number:05d}", {}),
    )
