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
from runtime.cli import Line
from runtime.errors import InputError
from search.execution import tune
from search.execution.capacity import ConcurrencyLimit
from search.execution.dataset_provider import Supply
from search.execution.test_scores import score_tests
from search.execution.trial import Job
from search.plan import Plan
from search.reporting import next_steps
from search.reporting import report as finish
from search.reporting.callback import Recorder
from search.reporting.mlflow_logger import MlflowLogger, Store
from search.reporting.progress import SearchProgress
from search.results import SearchFolder
from search.study import stopping
from search.study import storage as database
from search.study.study import Study
from search.study.trials import Epoch, Outcome
from spaces.schema import Space

INTERRUPTED = 130


class Deadline:
    """A point in time after which no trial goes on."""

    def __init__(self, hours: float | None) -> None:
        self._at = None if hours is None else time.monotonic() + hours * 3600

    def passed(self) -> bool:
        """Whether it is over."""
        return self._at is not None and time.monotonic() >= self._at


class Decide:
    """Ends a trial at its full length, at a lost rung, or when time is up. The baseline is never stopped early."""

    def __init__(self, study: Study, job: Job, deadline: Deadline) -> None:
        self._study = study
        self._space = job.space
        self._deadline = deadline
        self._rungs = stopping.rungs(job.space.stopping, job.space.budget.epochs)

    def may_start(self) -> bool:
        """Whether there is time for another trial."""
        return not self._deadline.passed()

    def __call__(self, number: int, epoch: Epoch) -> tuple[Outcome, str] | None:
        """The outcome and the reason, or None to go on."""
        if epoch.epoch >= self._space.budget.epochs:
            return "finished", ""
        if self._deadline.passed():
            return "stopped", "out of time"
        trial = self._study.trial(number)
        own = trial.best_objectives_until(epoch.epoch, self._space.objectives)
        if epoch.epoch not in self._rungs or trial.is_baseline or own is None:
            return None
        others_there = (t for t in self._study.trials() if t.number != number)
        reached = (t.best_objectives_until(epoch.epoch, self._space.objectives) for t in others_there)
        others = [gains for gains in reached if gains is not None]
        reduction = self._space.stopping.reduction
        if stopping.goes_on(own, others, reduction):
            return None
        return "stopped", f"not in the best 1/{reduction} after epoch {epoch.epoch}"


def run(plan: Plan, tracking_uri: str | None, *, resume: bool, fresh: bool, command: Sequence[str]) -> int:
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
    line = Line(sys.stdout)
    command = [uris.hidden(word) for word in command]  # from here on it is only said
    again = f"{machine.python()} -m search.launch {shlex.join([*command, '--resume'])}"
    with _alone(plan.folder):
        try:
            with _signals(), database.told(plan.study or plan.folder.journal):
                return _run(plan, tracking_uri, line, resume=resume, fresh=fresh, command=command)
        except KeyboardInterrupt:
            line.say(f"\nStopped. Nothing is lost; go on with\n  {again}")
            return INTERRUPTED


def _run(plan: Plan, tracking_uri: str | None, line: Line, *, resume: bool, fresh: bool, command: Sequence[str]) -> int:
    folder, space = plan.folder, plan.space
    if fresh and folder.exists():
        line.say(f"set aside {folder.set_aside()}")
    elif resume and not folder.exists():
        line.say(f"nothing to resume at {folder.shown(folder.root)}: starting")
    for text in plan.lines():
        line.say(text)
    study = _open_study(plan) if folder.exists() else None
    with _ray(plan, line, needed=study is None or study.unfinished()) as has_ray:
        folder.write_identity(space.identity())
        study = study or _open_study(plan)
        problems = _with_data(plan, study, line, tracking_uri, has_ray=has_ray)
    study.close()
    for problem in problems[:3]:
        line.say(f"MLflow could not record: {problem}")
    if problems and plan.tracking.startswith("http"):
        line.say("         the study has everything; MLflow is brought up to it by the next launch with --resume")
    next_steps.say_next(line, plan, command)
    return 0


def _open_study(plan: Plan) -> Study:
    if plan.study is None:
        study = Study(plan.folder.journal, plan.space)
    else:
        study = Study(plan.study, plan.space, plan.folder.study_name())
    _settle(study, plan.space.budget.epochs)
    return study


@contextmanager
def _ray(plan: Plan, line: Line, *, needed: bool) -> Iterator[bool]:
    """Have Ray while trials are to be run; yield whether it is needed."""
    if not needed:
        yield False
        return
    line.say("starting Ray" if plan.address is None else f"joining the cluster at {plan.address}")
    with ray_cluster.at(plan.address, plan.shared()):
        ConcurrencyLimit(plan.space.resources, ray_cluster.alive, plan.at_once).require()
        yield True


def _with_data(plan: Plan, study: Study, line: Line, tracking_uri: str | None, *, has_ray: bool) -> list[str]:
    """Make the data, run what is left of the search if Ray runs, and conclude; returns what MLflow could not record."""
    job = Job(plan.space, plan.folder, plan.source, plan.store)
    supply = Supply.over_ray(job, line, _beside(plan.space)) if has_ray else Supply.here(job, line)
    supply.have(plan.source)
    if has_ray:
        job = _measured(job, plan, line)
    tracker = MlflowLogger(Store.at(plan.folder.storage, tracking_uri), plan.space.name)
    try:
        _open_search(tracker, study, plan, supply)
        at_once = ConcurrencyLimit(job.space.resources, ray_cluster.alive, plan.at_once)
        screen = SearchProgress(line, job.space, at_once() if has_ray else 1)
        recorder = _recorder(job, study, tracker, screen, plan, supply)
        tracker.reconcile(study, recorder.reopen)
        if has_ray:
            _search(job, study, recorder, supply, at_once)
            if tracker.problems:  # what MLflow has missed while it was away
                tracker.reconcile(study, recorder.reopen)
        finish.conclude(study, job, tracker, line, tune.score if has_ray else _score_here)
        _close_search(tracker, study, "FINISHED")
    except BaseException:
        study.hurry()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _close_search(tracker, study, "KILLED")
        raise
    finally:
        tracker.close()
    return tracker.problems


def _beside(space: Space) -> int:
    """How many processes make data beside trials: as a trial's cores, or as many as no trial takes."""
    return max(1, int(space.resources.cpu), ConcurrencyLimit(space.resources, ray_cluster.alive).spare_cores())


def _measured(job: Job, plan: Plan, line: Line) -> Job:
    """The job with resources that are numbers."""
    resources = tune.measured(job, alone=plan.address is None)
    if resources != job.space.resources:
        line.say(f"each     {resources.cpu:g} CPU, {resources.gpu_share:g} GPU, as measured")
    return replace(job, space=replace(job.space, resources=resources))


def _score_here(job: Job, numbers: Sequence[int]) -> dict[int, dict[str, dict[str, float]]]:
    """Score in this process: where no trial is left to run, Ray is not worth starting."""
    return {number: score_tests(job, number, tune.device()) for number in numbers}


def _recorder(
    job: Job, study: Study, tracker: MlflowLogger, screen: SearchProgress, plan: Plan, supply: Supply
) -> Recorder:
    for trial in study.trials():
        screen.trials[trial.number] = trial
    return Recorder(job, study, tracker, screen, tags_of(plan), supply)


def _search(job: Job, study: Study, recorder: Recorder, supply: Supply, at_once: ConcurrencyLimit) -> None:
    at_once.require()
    decide = Decide(study, job, Deadline(job.space.budget.hours))
    try:
        tune.run_trials(job, study, recorder, decide, supply, at_once)
    except BaseException:
        study.hurry()
        recorder.interrupted()
        raise


def _settle(study: Study, epochs: int) -> None:
    """End trials whose last epoch was recorded right before the crash."""
    for trial in study.trials():
        if trial.outcome == "running" and len(trial.epochs) >= epochs:
            study.end(trial.number, "finished", "")


def tags_of(plan: Plan) -> dict[str, str]:
    """What every run is tagged with, so that its figures can be reproduced."""
    versions = {f"version.{package}": version for package, version in machine.versions().items()}
    return {
        "git.commit": machine.git_commit(),
        "version.project": machine.project_digest(),  # on a cluster the code is without its repository
        "dataset": plan.source.fingerprint,
        "seed": str(plan.space.seed),
        "profile": plan.space.profile or "full",
        **versions,
    }


def _open_search(tracker: MlflowLogger, study: Study, plan: Plan, supply: Supply) -> None:
    space = plan.space
    parameters: dict[str, Any] = {
        "epochs": space.budget.epochs,
        "objectives": ", ".join(f"{direction} {name}" for name, direction in space.objectives),
        **{f"fixed.{name}": value for name, value in space.fixed.items()},
    }
    run_id = tracker.open(study.parent_run_id(), f"search {space.name}", parameters, tags_of(plan) | {"role": "search"})
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
    tracker.log_file(run_id, plan.folder.fetched(plan.folder.identity))
    supply.report(plan.source, lambda seconds: tracker.log_values(run_id, {"data_seconds": seconds}))


def _close_search(tracker: MlflowLogger, study: Study, status: Any) -> None:
    run_id = study.parent_run_id()
    if run_id is not None:
        tracker.end(run_id, status, {"trials": str(study.started())})


@contextmanager
def _alone(folder: SearchFolder) -> Iterator[None]:
    """Hold the search's lock; it is released even by a crash."""
    lock = folder.storage / "searches" / f".{folder.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                folder.shown(folder.root),
                "one launch at a time may run a search",
                remedy="wait for the other one, or choose another --name",
            ) from None
        yield


@contextmanager
def _signals() -> Iterator[None]:
    """Let a termination request end the search as Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before: Callable[..., Any] | int | None = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
