"""A launch from the first line to the last: data, study, trials, tests."""

from __future__ import annotations

import fcntl
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from runtime import machine, ray_cluster, uris
from runtime.cli import Console
from runtime.errors import InputError
from search.execution import tune
from search.execution.capacity import ConcurrencyLimit
from search.execution.dataset_provider import DatasetSupplier
from search.execution.test_scores import score_test_splits
from search.execution.trial import Job
from search.plan import Plan
from search.reporting import next_steps
from search.reporting import report as finish
from search.reporting.callback import SearchCallback
from search.reporting.mlflow_logger import MlflowLogger, MlflowStore
from search.reporting.progress import SearchProgress
from search.results import SearchFolder
from search.study import stopping
from search.study import storage as database
from search.study.study import Study
from search.study.trials import Epoch, Outcome
from spaces.schema import Space

INTERRUPTED = 130


class TimeBudget:
    """A point in time after which no trial goes on."""

    def __init__(self, hours: float | None) -> None:
        self._at = None if hours is None else time.monotonic() + hours * 3600

    def is_exhausted(self) -> bool:
        """Whether it is over."""
        return self._at is not None and time.monotonic() >= self._at


class TrialStopper:
    """Ends a trial at its full length, at a lost rung, or when time is up. The baseline is never stopped early."""

    def __init__(self, study: Study, job: Job, deadline: TimeBudget) -> None:
        self._study = study
        self._space = job.space
        self._deadline = deadline
        self._rungs = stopping.rung_epochs(job.space.stopping, job.space.budget.epochs)

    def may_start(self) -> bool:
        """Whether there is time for another trial."""
        return not self._deadline.is_exhausted()

    def __call__(self, number: int, epoch: Epoch) -> tuple[Outcome, str] | None:
        """The outcome and the reason, or None to go on."""
        if epoch.epoch >= self._space.budget.epochs:
            return "finished", ""
        if self._deadline.is_exhausted():
            return "stopped", "out of time"
        trial = self._study.get_trial(number)
        own = trial.best_objectives_until(epoch.epoch, self._space.objectives)
        if epoch.epoch not in self._rungs or trial.is_baseline or own is None:
            return None
        others_there = (t for t in self._study.get_trials() if t.number != number)
        reached = (t.best_objectives_until(epoch.epoch, self._space.objectives) for t in others_there)
        others = [gains for gains in reached if gains is not None]
        reduction = self._space.stopping.reduction
        if stopping.is_promoted(own, others, reduction):
            return None
        return "stopped", f"not in the best 1/{reduction} after epoch {epoch.epoch}"


def run_search(plan: Plan, tracking_uri: str | None, *, resume: bool, fresh: bool, command: Sequence[str]) -> int:
    """Run a search, or go on with one.

    Args:
        plan: Checked by `search.launch`.
        tracking_uri: An MLflow store, or None for the default.
        resume: Whether to go on with what is there.
        fresh: Whether to set aside what is there.
        command: The words of this command line, without `--resume` and `--fresh`.

    Returns:
        The exit status.
    """
    line = Console(sys.stdout)
    command = [uris.redact_argument(word) for word in command]  # from here on it is only said
    again = f"{machine.python_command()} -m search.launch {shlex.join([*command, '--resume'])}"
    with _search_lock(plan.folder):
        try:
            with _sigterm_as_interrupt(), database.readable_errors(plan.study or plan.folder.journal_path):
                return _run_locked(plan, tracking_uri, line, resume=resume, fresh=fresh, command=command)
        except KeyboardInterrupt:
            line.print_line(f"\nStopped. Nothing is lost; go on with\n  {again}")
            return INTERRUPTED


def _run_locked(
    plan: Plan, tracking_uri: str | None, line: Console, *, resume: bool, fresh: bool, command: Sequence[str]
) -> int:
    folder, space = plan.folder, plan.space
    if fresh and folder.is_started():
        line.print_line(f"set aside {folder.archive_search()}")
    elif resume and not folder.is_started():
        line.print_line(f"nothing to resume at {folder.display_path(folder.root_path)}: starting")
    for text in plan.summary_lines():
        line.print_line(text)
    study = _open_study(plan) if folder.is_started() else None
    with _ray_if_needed(plan, line, needed=study is None or study.has_unfinished()) as has_ray:
        folder.write_identity(space.identity())
        study = study or _open_study(plan)
        problems = _run_with_data(plan, study, line, tracking_uri, has_ray=has_ray)
    study.close()
    for problem in problems[:3]:
        line.print_line(f"MLflow could not record: {problem}")
    if problems and plan.tracking.startswith("http"):
        line.print_line(
            "         the study has everything; MLflow is brought up to it by the next launch with --resume"
        )
    next_steps.print_next_steps(line, plan, command)
    return 0


def _open_study(plan: Plan) -> Study:
    if plan.study is None:
        study = Study(plan.folder.journal_path, plan.space)
    else:
        study = Study(plan.study, plan.space, plan.folder.study_name())
    _finalize_completed_trials(study, plan.space.budget.epochs)
    return study


@contextmanager
def _ray_if_needed(plan: Plan, line: Console, *, needed: bool) -> Iterator[bool]:
    """Have Ray while trials are to be run; yield whether it is needed."""
    if not needed:
        yield False
        return
    line.print_line("starting Ray" if plan.address is None else f"joining the cluster at {plan.address}")
    with ray_cluster.ray_session(plan.address, plan.shared_folders()):
        ConcurrencyLimit(plan.space.resources, ray_cluster.alive_nodes, plan.at_once).require_capacity()
        yield True


def _run_with_data(plan: Plan, study: Study, line: Console, tracking_uri: str | None, *, has_ray: bool) -> list[str]:
    """Make the data, run what is left of the search if Ray runs, and conclude; returns what MLflow could not record."""
    job = Job(plan.space, plan.folder, plan.source, plan.store)
    supply = (
        DatasetSupplier.on_ray(job, line, _background_builders(plan.space))
        if has_ray
        else DatasetSupplier.in_process(job, line)
    )
    supply.ensure_dataset(plan.source)
    if has_ray:
        job = _with_measured_resources(job, plan, line)
    tracker = MlflowLogger(MlflowStore.from_uri(plan.folder.storage, tracking_uri), plan.space.name)
    try:
        _open_search(tracker, study, plan, supply)
        at_once = ConcurrencyLimit(job.space.resources, ray_cluster.alive_nodes, plan.at_once)
        screen = SearchProgress(line, job.space, at_once() if has_ray else 1)
        recorder = _make_callback(job, study, tracker, screen, plan, supply)
        tracker.reconcile(study, recorder.open_run)
        if has_ray:
            _run_trials(job, study, recorder, supply, at_once)
            if tracker.problems:  # what MLflow has missed while it was away
                tracker.reconcile(study, recorder.open_run)
        finish.write_final_report(study, job, tracker, line, tune.score_models if has_ray else _score_in_process)
        _close_search(tracker, study, "FINISHED")
    except BaseException:
        study.stop_retrying()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _close_search(tracker, study, "KILLED")
        raise
    finally:
        tracker.close()
    return tracker.problems


def _background_builders(space: Space) -> int:
    """How many processes make data beside trials: as a trial's cores, or as many as no trial takes."""
    return max(1, int(space.resources.cpu), ConcurrencyLimit(space.resources, ray_cluster.alive_nodes).idle_cores())


def _with_measured_resources(job: Job, plan: Plan, line: Console) -> Job:
    """The job with resources that are numbers."""
    resources = tune.resolve_resources(job, alone=plan.address is None)
    if resources != job.space.resources:
        line.print_line(f"each     {resources.cpu:g} CPU, {resources.gpu_share:g} GPU, as measured")
    return replace(job, space=replace(job.space, resources=resources))


def _score_in_process(job: Job, numbers: Sequence[int]) -> dict[int, dict[str, dict[str, float]]]:
    """Score in this process: where no trial is left to run, Ray is not worth starting."""
    return {number: score_test_splits(job, number, tune.default_device()) for number in numbers}


def _make_callback(
    job: Job, study: Study, tracker: MlflowLogger, screen: SearchProgress, plan: Plan, supply: DatasetSupplier
) -> SearchCallback:
    for trial in study.get_trials():
        screen.trials[trial.number] = trial
    return SearchCallback(job, study, tracker, screen, provenance_tags(plan), supply)


def _run_trials(
    job: Job, study: Study, recorder: SearchCallback, supply: DatasetSupplier, at_once: ConcurrencyLimit
) -> None:
    at_once.require_capacity()
    decide = TrialStopper(study, job, TimeBudget(job.space.budget.hours))
    try:
        tune.run_trials(job, study, recorder, decide, supply, at_once)
    except BaseException:
        study.stop_retrying()
        recorder.on_interrupt()
        raise


def _finalize_completed_trials(study: Study, epochs: int) -> None:
    """End trials whose last epoch was recorded right before the crash."""
    for trial in study.get_trials():
        if trial.outcome == "running" and len(trial.epochs) >= epochs:
            study.end_trial(trial.number, "finished", "")


def provenance_tags(plan: Plan) -> dict[str, str]:
    """What every run is tagged with, so that its figures can be reproduced."""
    versions = {f"version.{package}": version for package, version in machine.package_versions().items()}
    return {
        "git.commit": machine.git_commit(),
        "version.project": machine.project_digest(),  # on a cluster the code is without its repository
        "dataset": plan.source.fingerprint,
        "seed": str(plan.space.seed),
        "profile": plan.space.profile or "full",
        **versions,
    }


def _open_search(tracker: MlflowLogger, study: Study, plan: Plan, supply: DatasetSupplier) -> None:
    space = plan.space
    parameters: dict[str, Any] = {
        "epochs": space.budget.epochs,
        "objectives": ", ".join(f"{direction} {name}" for name, direction in space.objectives),
        **{f"fixed.{name}": value for name, value in space.fixed.items()},
    }
    run_id = tracker.open_run(
        study.parent_run_id(), f"search {space.name}", parameters, provenance_tags(plan) | {"role": "search"}
    )
    if run_id is None:
        raise InputError(
            "--tracking-uri",
            "MLflow must take the search's own run",
            value=tracker.problems[-1],
            remedy="see to the server; then go on with --resume",
        )
    if study.parent_run_id() is None:
        tracker.log_data(run_id, plan.store, plan.source)
    study.set_parent_run_id(run_id)
    tracker.log_file(run_id, plan.folder.fetch_file(plan.folder.identity_path))
    supply.report_seconds(plan.source, lambda seconds: tracker.log_values(run_id, {"data_seconds": seconds}))


def _close_search(tracker: MlflowLogger, study: Study, status: Any) -> None:
    run_id = study.parent_run_id()
    if run_id is not None:
        tracker.end_run(run_id, status, {"trials": str(study.count_started())})


@contextmanager
def _search_lock(folder: SearchFolder) -> Iterator[None]:
    """Hold the search's lock; it is released even by a crash."""
    lock = folder.storage / "searches" / f".{folder.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                folder.display_path(folder.root_path),
                "one launch at a time may run a search",
                remedy="wait for the other one, or choose another --name",
            ) from None
        yield


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let a termination request end the search as Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before: Callable[..., Any] | int | None = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
