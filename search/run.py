"""A launch from the first line to the last: data, study, trials, tests."""

from __future__ import annotations

import fcntl
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets import build
from datasets.blueprint import Source, excerpts_of
from datasets.command import Line
from datasets.errors import InputError
from search import finish, machine, runner, stopping
from search.folder import SearchFolder
from search.plan import Plan
from search.recorder import Recorder
from search.records import Epoch, Outcome
from search.scoring import score_tests
from search.study import Study
from search.terminal import DataProgress, SearchProgress
from search.tracking import Store, Tracker
from search.trial import Job

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
        own = trial.gains_at(epoch.epoch, self._space.objectives)
        if epoch.epoch not in self._rungs or trial.is_baseline or own is None:
            return None
        others_there = (t for t in self._study.trials() if t.number != number)
        reached = (t.gains_at(epoch.epoch, self._space.objectives) for t in others_there)
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
    again = f"{machine.python()} -m search.launch {shlex.join([*command, '--resume'])}"
    with _alone(plan.folder):
        try:
            with _signals():
                return _run(plan, tracking_uri, line, resume=resume, fresh=fresh, command=command)
        except KeyboardInterrupt:
            line.say(f"\nStopped. Nothing is lost; go on with\n  {again}")
            return INTERRUPTED


def _run(plan: Plan, tracking_uri: str | None, line: Line, *, resume: bool, fresh: bool, command: Sequence[str]) -> int:
    folder, space = plan.folder, plan.space
    if fresh and folder.exists():
        line.say(f"set aside {folder.set_aside()}")
    elif resume and not folder.exists():
        line.say(f"nothing to resume at {folder.root}: starting")
    for text in plan.lines():
        line.say(text)
    folder.write_identity(space.identity())
    dataset = build.build(plan.source, folder.datasets, DataProgress(line))
    job = Job(space, folder, dataset.folder)
    study = Study(folder.journal, space)
    store = Store.at(folder.storage, tracking_uri)
    tracker = Tracker(store, space.name)
    try:
        _open_search(tracker, study, plan)
        _settle(study, space.budget.epochs)  # first, so that the runs of what it ends are reconciled too
        tracker.reconcile(study)
        if study.unfinished():
            line.say("starting Ray")
            with runner.cluster(space.resources) as at_once:
                _search(job, study, tracker, line, at_once, plan)
                finish.conclude(study, job, tracker, line, runner.score)
        else:
            finish.conclude(study, job, tracker, line, _score_here)
        _close_search(tracker, study, "FINISHED")
    except BaseException:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _close_search(tracker, study, "KILLED")
        raise
    finally:
        tracker.close()
    for problem in tracker.problems[:3]:
        line.say(f"MLflow could not record: {problem}")
    _say_next(line, plan, command)
    return 0


def _score_here(job: Job, numbers: Sequence[int]) -> dict[int, dict[str, dict[str, float]]]:
    """Score in this process: where no trial is left to run, Ray is not worth starting."""
    return {number: score_tests(job, number, runner.device()) for number in numbers}


def _search(job: Job, study: Study, tracker: Tracker, line: Line, at_once: int, plan: Plan) -> None:
    screen = SearchProgress(line, job.space, at_once)
    for trial in study.trials():
        screen.trials[trial.number] = trial
    recorder = Recorder(job, study, tracker, screen, tags_of(plan))
    decide = Decide(study, job, Deadline(job.space.budget.hours))
    try:
        runner.run_trials(job, study, recorder, decide, at_once)
    except BaseException:
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
        "dataset": plan.source.fingerprint,
        "seed": str(plan.space.seed),
        "profile": plan.space.profile or "full",
        **versions,
    }


def _open_search(tracker: Tracker, study: Study, plan: Plan) -> None:
    space = plan.space
    parameters: dict[str, Any] = {
        "epochs": space.budget.epochs,
        "objectives": ", ".join(f"{direction} {name}" for name, direction in space.objectives),
        **{f"fixed.{name}": value for name, value in space.fixed.items()},
    }
    run_id = tracker.open(study.parent_run_id(), f"search {space.name}", parameters, tags_of(plan) | {"role": "search"})
    study.set_parent_run_id(run_id)
    tracker.log_file(run_id, plan.folder.identity)


def _close_search(tracker: Tracker, study: Study, status: Any) -> None:
    run_id = study.parent_run_id()
    if run_id is not None:
        tracker.end(run_id, status, {"trials": str(study.started())})


def _say_next(line: Line, plan: Plan, command: Sequence[str]) -> None:
    more = [*_without(command, "--trials"), "--resume", "--trials", str(plan.space.budget.trials + 12)]
    storage = _option(command, "--storage")
    line.say("\nNext")
    line.say(
        f"  {machine.python()} -m search.ui {plan.space.name}{storage}    # compare the trials side by side in MLflow"
    )
    line.say(f"  {machine.python()} -m search.launch {shlex.join(more)}    # go on with 12 more")


def _without(command: Sequence[str], option: str) -> list[str]:
    """A command line without an option and its value."""
    kept, skip = [], False
    for word in command:
        if not skip and not word.startswith(f"{option}="):
            skip = word == option
            if not skip:
                kept.append(word)
        else:
            skip = False
    return kept


def _option(command: Sequence[str], option: str) -> str:
    """An option of a command line with its value, as it was written, or nothing."""
    for place, word in enumerate(command):
        if word == option and place + 1 < len(command):
            return " " + shlex.join([word, command[place + 1]])
        if word.startswith(f"{option}="):
            return " " + shlex.quote(word)
    return ""


def data_seconds(source: Source) -> float:
    """How long a dataset will take to build, from building a miniature of it right now."""
    spec = source.spec
    tests = {name: test.model_copy(update={"samples": 8}) for name, test in spec.tests.items()}
    miniature = spec.model_copy(update={"train": 1000, "validate_": 8, "tests": tests, "excerpts": 8})
    reached: dict[str, tuple[float, int]] = {}

    def mark(what: str, done: int, _total: int) -> None:
        reached[what] = (time.perf_counter(), done)

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        build.build(Source(miniature, source.pieces, source.sound_files, source.fingerprint), Path(folder), mark)
    (music_end, excerpts), (end, made) = reached["music"], reached["samples"]
    samples = sum(split.samples for split in spec.splits().values())
    return (music_end - started) / excerpts * excerpts_of(source) + (end - music_end) / made * samples


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
                str(folder.root),
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
