"""The durable state of a search: an Optuna study with suggestions, epoch results, outcomes and MLflow run ids."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.study import artifacts, confirmations, encoding, readable, sampler
from search.study import storage as database
from search.study.editing import FIXED_PARAMS, apply_edits, list_named_points
from search.study.edits import EDITS, EditedTrials, Editing
from search.study.encoding import (
    BASELINE,
    CONFIRMS,
    EPOCH,
    OUTSIDE,
    PAUSED,
    RETRY_OF,
    ROLE,
    SEED,
    decode_trial,
    drop_retried,
    is_paused,
    select_confirmations,
    select_search_trials,
)
from search.study.journal_storage import open_journal_snapshot
from search.study.samplers.results import TrialHistory
from search.study.stopping.rule import StoppingRule
from search.study.stored_forms import StoredForms
from search.study.trials import Epoch, Outcome, Trial
from spaces import feasibility
from spaces.constraints import Constraint
from spaces.points import complete_point
from spaces.schema import Space, Value

_ENDED: Final = "ended"
_OF_ONE_ATTEMPT: Final = (_ENDED, "reason", "run_id", RETRY_OF)
"""Attributes of a failed trial that its retry does not share."""
_CONFIRMATION: Final = "confirm"
_LAUNCHES: Final = "launches"


class Study:
    """Study in a journal file or a database. Every method leaves it consistent if the process dies at any point.

    Args:
        location: Path of the journal, or URI of a database (see `search.study.storage`).
        space: Search space, with objectives and budget.
        name: Name of the study; defaults to the name of the space.
        joins: Whether another process created the study and may be running its trials. If so, no running trial is
            reclaimed and nothing is enqueued.
        editing: Edits of the space with which the study is resumed; None leaves those that it has.
    """

    def __init__(
        self,
        location: Path | str,
        space: Space,
        name: str | None = None,
        *,
        joins: bool = False,
        editing: Editing | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._joins = joins
        self._live: dict[int, optuna.trial.Trial] = {}
        self._interrupted: list[int] = []
        self._paused: set[int] = set()
        self._encoder = encoding.PointEncoder(space.search)
        self._history = TrialHistory(space)
        self._decoder = encoding.TrialDecoder(
            functools.partial(encoding.decode_stored, space.search), space.constraints
        )
        self.exhausted: str | None = None
        self._guard: Callable[[], None] = lambda: None
        self.failure_count = 0
        self._storage = database.open_storage(location)
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=name or space.name,
            directions=[direction for _, direction in space.objectives],
            load_if_exists=True,
        )
        if not joins:
            readable.name_objectives(self._study, [objective for objective, _ in space.objectives])
        if editing is not None:
            apply_edits(self._study, space, editing)
        self._forms = StoredForms(space.search, self._read_stored())
        if not joins:
            self._reclaim_orphaned_trials(self._read_stored())
            self._enqueue_initial_points()
        trials = self.get_trials()
        self._paused = {trial.number for trial in trials if trial.outcome == "paused"}
        self.rule = StoppingRule(space, trials)

    def _enqueue_initial_points(self) -> None:
        """Enqueue the baseline and the initial points of the space, unless already in the study, and each only once."""
        for role, point in list_named_points(self._study, self._space, self.edits):
            self._enqueue(point, {ROLE: role})

    def _enqueue(self, point: Mapping[str, Value], attributes: Mapping[str, Any]) -> None:
        """Enqueue a trial; values that are outside of their dimensions become an attribute."""
        inside, outside = self._encoder.split_point(point)
        self._study.enqueue_trial(dict(inside), user_attrs=dict(attributes) | ({OUTSIDE: outside} if outside else {}))

    @property
    def edits(self) -> list[dict[str, Any]]:
        """Edits of the space so far as plain values, the oldest first."""
        return list(self._study.user_attrs.get(EDITS, []))

    def stop_retrying(self) -> None:
        """Let pending and further requests fail instead of waiting for an unreachable database."""
        database.stop_retrying(self._storage)

    def guard_writes(self, check: Callable[[], None]) -> None:
        """Call a function before every write; a KeyboardInterrupt that it raises prevents the write."""
        self._guard = check
        database.guard_writes(self._storage, check)

    def is_writable(self) -> bool:
        """Return whether the guard of writes permits them."""
        try:
            self._guard()
        except KeyboardInterrupt:
            return False
        return True

    def attribute(self, name: str) -> database.StudyAttribute:
        """Return access to an attribute of the study for another thread."""
        return database.StudyAttribute(self._storage, self._study._study_id, name)

    def close(self) -> None:
        """Close the connections to the database."""
        database.close_storage(self._storage)

    def next_trial(self) -> Trial | None:
        """Return the next trial to run.

        Interrupted trials come first, the baseline before all others; then a paused trial that is among the better ones after
        all; then new trials.

        Returns:
            The trial; None once the budget of trials is used up, or no point of the space is left.
        """
        stored = self._read_stored()
        self._reclaim_orphaned_trials(stored)
        self._interrupted = [number for number in self._interrupted if number in self._live]
        self._interrupted.sort(key=lambda number: self._live[number].user_attrs.get(ROLE) != BASELINE)
        if self._interrupted:
            trial = self._live[self._interrupted.pop(0)]
            if self.get_trial(trial.number).test_scores:  # of its best epoch so far, when a budget was used up
                self.set_test_scores(trial.number, {})
        elif (number := self._choose_paused(stored)) is not None:
            trial = self._continue_paused(number)
        elif self._may_start(stored) and self._enqueue_next(stored):
            trial = self._study.ask()
            self._live[trial.number] = trial
        else:
            return None
        self._complete_parameters(trial)
        self._record_seed(trial)
        return self.get_trial(trial.number)

    def _record_seed(self, trial: optuna.trial.Trial) -> None:
        """Record the seed of a trial that starts, if the space varies it."""
        if self._space.vary_seeds and SEED not in trial.user_attrs:
            trial.set_user_attr(SEED, confirmations.trial_seed(self._space.seed, trial.number))

    def next_confirmation(self, planned: Sequence[confirmations.Confirmation]) -> Trial | None:
        """Return the next confirmation to run, an interrupted one or a new one; None if all have ended or run already.

        Confirmations are trials of the same study that no other method but `get_trial` and `get_confirmations` returns.

        Args:
            planned: All confirmations that are to exist.
        """
        existing = {(trial.confirms, trial.seed): trial for trial in reversed(self.get_confirmations())}
        for confirmation in planned:
            found = existing.get(confirmation)
            if found is None:
                self._study.add_trial(self._copy_as_confirmation(confirmation))
                frozen = self._read_stored()[-1]
            else:
                frozen = self._frozen_trial(found.number)
            if frozen.state == TrialState.RUNNING and frozen.number not in self._live:
                self._take_up(frozen)
                return self.get_trial(frozen.number)
        return None

    def _copy_as_confirmation(self, confirmation: confirmations.Confirmation) -> FrozenTrial:
        """Return a running trial without epochs that has the parameters of another one."""
        frozen = self._frozen_trial(confirmation.confirms)
        return optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=frozen.params,
            distributions=frozen.distributions,
            user_attrs=self._attribute_values(frozen)
            | {ROLE: _CONFIRMATION, CONFIRMS: confirmation.confirms, SEED: confirmation.seed},
        )

    def _attribute_values(self, frozen: FrozenTrial) -> dict[str, Any]:
        """Return the attribute of a copy of a trial with the values that are not among its parameters; empty without any."""
        earlier = EditedTrials(self.edits).earlier_values(frozen.number)
        values = {name: value for name, value in earlier.items() if name not in frozen.params}
        values |= frozen.user_attrs.get(OUTSIDE, {})
        return {OUTSIDE: values} if values else {}

    def _take_up(self, frozen: FrozenTrial) -> None:
        """Make this process the one that records the results of a running trial."""
        self._live.setdefault(frozen.number, optuna.trial.Trial(self._study, frozen._trial_id))

    def _enqueue_next(self, stored: Sequence[FrozenTrial]) -> bool:
        """Enqueue a suggestion unless a trial is waiting; return whether there is a trial to run."""
        if any(frozen.state == TrialState.WAITING for frozen in stored):
            return True
        trials = self._as_trials(select_search_trials(stored))
        try:
            self._enqueue(sampler.suggest_parameters(self._space, trials, len(trials), self._history), {})
        except sampler.ExhaustedError as error:
            self.exhausted = str(error)
            return False
        return True

    def _complete_parameters(self, trial: optuna.trial.Trial) -> None:
        """Set the parameters of a trial that starts: those enqueued, or set before a crash, and the defaults of all others.

        Earlier versions enqueued points of which only some parameters were given.
        """
        frozen = self._frozen_trial(trial.number)
        enqueued = frozen.system_attrs.get(FIXED_PARAMS, {})
        attributes = dict(frozen.user_attrs.get(OUTSIDE, {}))
        set_before = encoding.decode_stored(self._space.search, frozen)
        has_started = bool(set_before) or any(name.startswith(EPOCH) for name in frozen.user_attrs)
        earlier = EditedTrials(self.edits).earlier_values(trial.number) if has_started else {}
        given = {**encoding.decode_parameters(self._space.search, enqueued), **earlier, **attributes, **set_before}
        point = complete_point(self._space, given)
        forms, outside = self._forms.split_point({name: v for name, v in point.items() if name not in set_before})
        if has_started:  # it keeps the values of dimensions that were removed since
            outside = {**outside, **attributes}
        if outside != attributes:
            trial.set_user_attr(OUTSIDE, outside)
        for name, (stored, distribution) in forms.items():
            if name not in outside:
                internal = distribution.to_internal_repr(stored)
                trial.storage.set_trial_param(trial._trial_id, name, internal, distribution)

    def _may_start(self, stored: Sequence[FrozenTrial] | None = None) -> bool:
        """Return whether budget is left, and a point of a small space."""
        if self.exhausted is not None or self._has_all_trials(self._read_stored() if stored is None else stored):
            return False
        if self._space.distinct_points is None:
            return True
        started = [trial.parameters for trial in self.get_trials() if not trial.is_outside]
        return len(feasibility.distinct_points(self._space.search, started)) < self._space.distinct_points

    def explain_early_end(self) -> str | None:
        """Return the reason for which no trial is left although the budget is not used up; None if there is no such reason."""
        if self.exhausted is not None or self._live or self.count_started() >= self._space.budget.trials:
            return self.exhausted
        return None if self._may_start() else "all possible points of the space have run"

    def _reclaim_orphaned_trials(self, stored: Sequence[FrozenTrial]) -> None:
        """Reclaim RUNNING trials of an earlier process, or whose creation succeeded on a server but whose reply was lost."""
        if self._joins:
            return
        for frozen in stored:
            if frozen.state != TrialState.RUNNING or frozen.number in self._live or frozen.number in self._paused:
                continue
            if CONFIRMS not in frozen.user_attrs and not is_paused(frozen):
                self._take_up(frozen)
                self._interrupted.append(frozen.number)

    def retry_failed(self, *, only_baseline: bool = False) -> dict[int, int]:
        """Take up failed trials: create running trials with their parameters and epochs, which replace them.

        Optuna reopens no trial that has ended. A failed trial without a replacement stays as it is.

        Args:
            only_baseline: Whether to leave all trials but the baseline as they are.

        Returns:
            The numbers of the new trials, by those of the failed ones.
        """
        retries: dict[int, int] = {}
        for frozen in drop_retried(self._read_stored()):
            is_wanted = not only_baseline or frozen.user_attrs.get(ROLE) == BASELINE
            if frozen.state == TrialState.FAIL and is_wanted:
                self._study.add_trial(self._copy_as_running(frozen))
                retries[frozen.number] = self._read_stored()[-1].number
        self._reclaim_orphaned_trials(self._read_stored())
        self.rule = StoppingRule(self._space, self.get_trials())
        return retries

    def _copy_as_running(self, failed: FrozenTrial) -> FrozenTrial:
        """Return a running copy of a failed trial; without its epochs if there are all of them, since none was of use."""
        is_complete = sum(name.startswith(EPOCH) for name in failed.user_attrs) >= self._space.budget.epochs
        kept = {
            name: value
            for name, value in failed.user_attrs.items()
            if name not in _OF_ONE_ATTEMPT
            and not name.startswith(readable.BEST)
            and not (is_complete and name.startswith(EPOCH))
        }
        return optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=failed.params,
            distributions=failed.distributions,
            user_attrs=kept | self._attribute_values(failed) | {RETRY_OF: failed.number},
            intermediate_values={} if is_complete else failed.intermediate_values,
        )

    def count_started(self) -> int:
        """Return the number of trials, without enqueued ones that have not started and failed ones that were taken up."""
        return len(select_search_trials(self._read_stored()))

    def _has_all_trials(self, stored: Sequence[FrozenTrial]) -> bool:
        """Return whether the budget of trials is used up; they are counted only once there may be enough of them."""
        most = self._space.budget.trials
        return len(stored) >= most and len(select_search_trials(stored)) >= most

    def has_running(self) -> bool:
        """Return whether any trial of this process has not ended."""
        return bool(self._live)

    def has_unfinished(self) -> bool:
        """Return whether any trial remains to be run."""
        return bool(self._live) or self._has_next()

    def has_unfinished_trials(self) -> bool:
        """Return whether any trial remains to be run, not counting confirmations."""
        is_running = any(CONFIRMS not in trial.user_attrs for trial in self._live.values())
        return is_running or self._has_next()

    def _has_next(self) -> bool:
        """Return whether a new trial may start, or a paused one continue."""
        return self._may_start() or self._choose_paused() is not None

    def record_epoch(self, number: int, result: Epoch) -> bool:
        """Record the result of an epoch, unless it is already recorded.

        Returns:
            Whether the epoch was new; a restarted process reports again the epochs since its checkpoint.
        """
        attribute = f"{EPOCH}{result.epoch:05d}"
        if number not in self._live or attribute in self._live[number].user_attrs:
            return False
        defined = {name: value for name, value in result.metrics.items() if math.isfinite(value)}
        content: dict[str, Any] = {
            "metrics": defined,
            "setting": dict(result.setting),
            "seconds": round(result.seconds, 3),
        }
        content |= {"usage": dict(result.usage)} if result.usage else {}
        self._live[number].set_user_attr(attribute, content)
        if len(self._space.objectives) == 1:  # Optuna keeps intermediate values of single-objective studies only
            name, direction = self._space.objectives[0]
            worst = -1e9 if direction == "maximize" else 1e9
            self._live[number].report(defined.get(name, worst), result.epoch)
        if CONFIRMS not in self._live[number].user_attrs:
            self.rule.record(self.get_trial(number))
        return True

    def may_continue(self, number: int) -> bool:
        """Return whether the stopping rule lets a trial continue after its newest epoch."""
        trial = self.get_trial(number)
        return not self.rule.is_decision(trial) or self.rule.may_continue(trial, at_end=not self._may_start())

    def pause_trial(self, number: int, reason: str) -> None:
        """Let a running trial wait until it is among the better ones."""
        live = self._live.pop(number, None)
        if live is not None:
            live.set_user_attr(PAUSED, {"epoch": len(self.get_trial(number).epochs), "reason": reason})
            self._paused.add(number)

    def list_paused(self) -> list[int]:
        """Return the numbers of the paused trials, the least promising first."""
        return self.rule.list_worst(self._paused)

    def stop_paused(self, number: int, reason: str) -> None:
        """End a paused trial, which cannot continue any more."""
        self._continue_paused(number)
        self.end_trial(number, "stopped", reason)

    def _choose_paused(self, stored: Sequence[FrozenTrial] | None = None) -> int | None:
        """Return the paused trial that continues now; None if there is none."""
        if self._joins or not self._paused:
            return None
        return self.rule.choose_paused(self._paused, at_end=not self._may_start(stored))

    def _continue_paused(self, number: int) -> optuna.trial.Trial:
        """Make a paused trial a running one of this process."""
        self._take_up(self._frozen_trial(number))
        self._paused.discard(number)
        self._live[number].set_user_attr(PAUSED, None)
        return self._live[number]

    def end_trial(self, number: int, outcome: Outcome, reason: str) -> None:
        """Record the outcome of a trial; a trial that has already ended is left unchanged."""
        if number not in self._live:
            return
        best = self.get_trial(number).best_epoch(self._space.objectives)
        values = [] if best is None else [best.metrics.get(name, math.nan) for name, _ in self._space.objectives]
        if outcome == "finished" and (not values or any(math.isnan(value) for value in values)):
            outcome, reason = "failed", "no epoch has all objectives"
        live = self._live.pop(number)
        # Several entries of a journal: if this process is killed in between, `finalize_ended_trials` adds the others.
        live.set_user_attr(_ENDED, {"outcome": outcome, "reason": reason})
        live.set_user_attr("reason", reason)
        for name, value in readable.best_epoch_attributes(best, self._space.objectives).items():
            live.set_user_attr(name, value)
        if outcome == "finished":
            self._study.tell(live, values)
        else:
            self.failure_count += outcome == "failed"
            self._study.tell(live, state=TrialState.PRUNED if outcome == "stopped" else TrialState.FAIL)

    def record_measured(self, number: int, measured: Mapping[str, float]) -> None:
        """Record what was measured on the model of a trial that ends before its first epoch."""
        if number in self._live:
            self._live[number].set_user_attr(encoding.MEASURED, dict(measured))

    def finalize_ended_trials(self) -> None:
        """End the trials whose end an earlier process has not recorded completely, or that had their last epoch."""
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            ended = frozen.user_attrs.get(_ENDED)
            if ended is not None:
                self._take_up(frozen)
                self.end_trial(frozen.number, ended["outcome"], ended["reason"])
            elif len(self.get_trial(frozen.number).epochs) >= self._space.budget.epochs:
                self._take_up(frozen)
                self.end_trial(frozen.number, "finished", "")

    def set_run_id(self, number: int, run_id: str) -> None:
        """Store the MLflow run of a trial.

        Optuna accepts attributes of running trials only; for ended trials the id becomes an attribute of the study.
        """
        attribute = f"run:{number:05d}"
        if number in self._live and attribute not in self._study.user_attrs:  # which would hide that of the trial
            self._live[number].set_user_attr("run_id", run_id)
        else:
            self._study.set_user_attr(attribute, run_id)

    def forget_runs(self) -> None:
        """Remove the MLflow runs of the search and of all its trials from the study."""
        for frozen in self._read_stored():
            if frozen.state != TrialState.WAITING:
                self._study.set_user_attr(f"run:{frozen.number:05d}", None)
        self._study.set_user_attr("run_id", None)

    def parent_run_id(self) -> str | None:
        """Return the MLflow run of the search; None while there is none."""
        run_id = self._study.user_attrs.get("run_id")
        return None if run_id is None else str(run_id)

    def set_parent_run_id(self, run_id: str) -> None:
        """Store the MLflow run of the search."""
        self._study.set_user_attr("run_id", run_id)

    @property
    def launches(self) -> list[dict[str, Any]]:
        """Launches of the search as plain values, the oldest first: `first`, the number of the first new trial, and `tags`."""
        return list(self._study.user_attrs.get(_LAUNCHES, []))

    def record_launch(self, tags: Mapping[str, str]) -> None:
        """Record what the results of the trials from here on depend on, unless it is the same as before."""
        launches = self.launches
        if not launches or launches[-1]["tags"] != tags:
            first = max((trial.number for trial in self.get_trainings()), default=-1) + 1
            self._study.set_user_attr(_LAUNCHES, [*launches, {"first": first, "tags": dict(tags)}])

    def set_test_scores(self, number: int, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Store the test scores of a trial, per test split."""
        defined = {split: {n: v for n, v in metrics.items() if math.isfinite(v)} for split, metrics in scores.items()}
        self._study.set_user_attr(f"tests:{number:05d}", defined)
        for name, text in readable.score_attributes(number, defined, self._study.user_attrs).items():
            self._study.set_user_attr(name, text)

    def name_artifacts(self, paths: Iterable[str]) -> None:
        """Name files of the search as artifacts of the study; see `search.study.artifacts.name_artifacts`."""
        artifacts.name_artifacts(self._study, paths)

    def get_trial(self, number: int) -> Trial:
        """Return a trial by its number."""
        return self._as_trials([self._frozen_trial(number)])[0]

    def get_trials(self) -> list[Trial]:
        """Return all started trials of the search by number, without failed ones that were taken up by another trial."""
        return self._as_trials(select_search_trials(self._read_stored()))

    def get_confirmations(self) -> list[Trial]:
        """Return all confirmations by number, without failed ones that were taken up by another one."""
        return self._as_trials(select_confirmations(self._read_stored()))

    def get_trainings(self) -> list[Trial]:
        """Return all trials of the search, and then all confirmations."""
        return [*self.get_trials(), *self.get_confirmations()]

    def get_retried(self) -> list[Trial]:
        """Return the failed trials that were taken up by another one."""
        stored = self._read_stored()
        retried = {frozen.user_attrs.get(RETRY_OF) for frozen in stored}
        return self._as_trials([frozen for frozen in stored if frozen.number in retried])

    def _read_stored(self) -> list[FrozenTrial]:
        """Return all trials of Optuna as they are now; reading them takes milliseconds per thousand."""
        return self._study.get_trials(deepcopy=False)

    def _as_trials(self, frozen: Sequence[FrozenTrial]) -> list[Trial]:
        attributes = self._study.user_attrs  # read once: every access queries the database
        trials = self._decoder.decode_trials(frozen, attributes)
        edits = attributes.get(EDITS)
        return list(map(EditedTrials(edits, self._space.search).view_trial, trials)) if edits else trials

    def _frozen_trial(self, number: int) -> FrozenTrial:
        """Return a trial of Optuna in a time that does not grow with the number of trials."""
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        return self._storage.get_trial(trial_id)


def read_trials(journal: Path, *, confirming: bool = False, constraints: tuple[Constraint, ...] = ()) -> list[Trial]:
    """Return all started trials by number, without joining the study or changing its journal; none of a study not yet created.

    Args:
        journal: Journal of the study.
        confirming: Whether to return the confirmations instead of the trials of the search.
        constraints: Constraints of the space.

    Raises:
        InputError: If the journal is corrupt.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_journal_snapshot(journal)
    names = [summary.study_name for summary in storage.get_all_studies()]
    if not names:
        return []
    study = optuna.load_study(study_name=names[0], storage=storage)
    chosen = select_confirmations if confirming else select_search_trials
    attributes = study.user_attrs
    edited = EditedTrials(attributes.get(EDITS, []))
    return [
        edited.view_trial(decode_trial(t, attributes, lambda trial: trial.params, constraints))
        for t in chosen(study.get_trials(deepcopy=False))
    ]


def read_parent_run_id(location: Path | str, name: str | None = None) -> str | None:
    """Return the MLflow run of a search without joining its study; None if there is none.

    Args:
        location: Path of the journal, or URI of a database.
        name: Name of the study; None for the only study of a journal.

    Raises:
        InputError: If the journal is corrupt.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if isinstance(location, Path) and not location.is_file():
        return None
    storage = open_journal_snapshot(location) if isinstance(location, Path) else database.open_storage(location)
    studies = {summary.study_name: summary.user_attrs for summary in optuna.get_all_study_summaries(storage)}
    attributes = studies.get(name, {}) if name is not None else next(iter(studies.values()), {})
    run_id = attributes.get("run_id")
    return None if run_id is None else str(run_id)
