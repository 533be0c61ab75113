"""Searcher, scheduler and failure counting for Tune, without a cluster."""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.execution import tune_controller

from runtime.errors import StorageError
from search.execution import tune as runner
from search.execution import worker_failures
from search.execution.hooks import DatasetReadiness, StoppingPolicy, TrialCallback
from search.results import SearchFolder
from search.study.study import Study
from search.study.trials import Epoch, Outcome, Trial
from spaces.schema import Budget, Resources, Value
from tests.search.support import epoch, space


class Recorder(TrialCallback, StoppingPolicy, DatasetReadiness):
    """All interfaces of the trial loop in one: records the events, ends trials after epoch 3, has all datasets or none."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.ready = True
        self.time_is_up = False

    def must_interrupt(self) -> bool:
        return self.time_is_up

    def on_trial_start(self, trial: Trial) -> None:
        self.events.append(("started", trial.number))

    def on_trial_lost(self, trial: Trial, reason: str) -> None:
        self.events.append((reason, trial.number))

    def on_trial_result(self, trial: Trial, epoch: Epoch) -> None:
        self.events.append((f"epoch {epoch.epoch}", trial.number))

    def on_trial_end(self, trial: Trial) -> None:
        self.events.append((trial.outcome, trial.number))

    def may_start(self) -> bool:
        return True

    def __call__(self, number: int, epoch: Epoch) -> tuple[Outcome, str] | None:
        del number
        return ("finished", "") if epoch.epoch == 3 else None

    def is_ready(self, parameters: Mapping[str, Value]) -> bool:
        del parameters
        return self.ready


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "study.journal", space(budget=Budget(trials=3, epochs=3)))


def searcher(study: Study, recorder: Recorder, at_once: int) -> Any:
    return runner._StudySearcher(study, recorder, recorder, recorder, lambda: at_once)


def tune_trial(config: dict[str, Any], failures: int) -> Any:
    return SimpleNamespace(config=config, run_metadata=SimpleNamespace(num_failures=failures))


def test_no_more_trials_are_handed_out_than_there_is_room_for(study: Study, recorder: Recorder) -> None:
    searching = searcher(study, recorder, 2)
    assert [searching.suggest(name) is None for name in "abcd"] == [False, False, True, True]
    searching.on_trial_complete("a")
    assert searching.suggest("e")["number"] == 2
    searching.on_trial_complete("b")
    assert searching.suggest("f") is None  # a paused trial may follow the running one
    searching.on_trial_complete("e")
    assert searching.suggest("g") == "FINISHED"


def test_a_trial_whose_data_is_on_its_way_takes_no_room(study: Study, recorder: Recorder) -> None:
    searching = searcher(study, recorder, 1)
    recorder.ready = False
    assert searching.suggest("a") is None
    assert study.count_started() == 1
    recorder.ready = True
    assert searching.suggest("b")["number"] == 0


def test_a_trial_that_lost_its_node_repeats_itself_and_is_recorded_once(study: Study, recorder: Recorder) -> None:
    scheduler = runner._StudyScheduler(study, recorder, recorder)
    trial = tune_trial(searcher(study, recorder, 1).suggest("a"), failures=0)
    decisions = [scheduler.on_trial_result(None, trial, {"result": epoch(number, 0.1)}) for number in (1, 2, 1, 2, 3)]
    assert decisions == ["CONTINUE"] * 4 + ["STOP"]
    assert [e.epoch for e in study.get_trial(0).epochs] == [1, 2, 3]
    assert recorder.events == [("started", 0), ("epoch 1", 0), ("epoch 2", 0), ("epoch 3", 0), ("finished", 0)]


def test_lost_nodes_count_only_as_long_as_a_trial_gets_nowhere(study: Study, recorder: Recorder) -> None:
    scheduler = runner._StudyScheduler(study, recorder, recorder)
    trial = tune_trial(searcher(study, recorder, 1).suggest("a"), failures=1)
    scheduler.on_trial_result(None, trial, {"result": epoch(1, 0.1)})
    assert trial.run_metadata.num_failures == 0
    trial.run_metadata.num_failures = 2
    scheduler.on_trial_result(None, trial, {"result": epoch(1, 0.1)})  # it died before its second epoch
    assert trial.run_metadata.num_failures == 2


def test_auto_is_no_gpu_where_there_is_none_and_refused_on_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    from runtime.errors import InputError

    experiment: Any = SimpleNamespace(space=space(resources=Resources(gpu="auto")))
    monkeypatch.setattr(runner, "on_every_node", lambda _: {})
    assert runner.resolve_resources(experiment, alone=True).gpu == 0.0
    with pytest.raises(InputError, match="a node with a GPU"):
        runner.resolve_resources(experiment, alone=False)


def test_a_number_is_not_measured() -> None:
    experiment: Any = SimpleNamespace(space=space(resources=Resources(gpu=0.25)))
    assert runner.resolve_resources(experiment, alone=False).gpu == 0.25


def test_a_trial_that_cannot_keep_its_state_stops_the_search_and_has_not_failed(
    study: Study, recorder: Recorder
) -> None:
    searching = searcher(study, recorder, 2)
    config = searching.suggest("a")
    scheduler = runner._StudyScheduler(study, recorder, recorder)
    stopper = runner._StopOnStorageError(scheduler)
    assert not stopper.stop_all()
    away = StorageError("s3://b", "a trial's checkpoint must be written", remedy="--resume")
    assert scheduler.on_trial_result(None, tune_trial(config, 0), {runner._STORAGE_ERROR: away}) == "STOP"
    searching.on_trial_complete("a")
    assert stopper.stop_all()
    assert scheduler.storage_error is away
    assert study.get_trial(0).outcome == "running"
    assert pickle.loads(pickle.dumps(away)).place == "s3://b"
    assert isinstance(pickle.loads(pickle.dumps(away)), StorageError)


def test_a_node_that_is_gone_costs_a_trial_one_loss_however_often_it_is_asked(
    study: Study, recorder: Recorder, tmp_path: Path
) -> None:
    config = searcher(study, recorder, 1).suggest("a")
    clock = [0.0]
    losses = runner._FailureCallback(study, recorder, SearchFolder(tmp_path, "toy"), pytest.fail, lambda: clock[0])
    trial = tune_trial(config, 0)
    errors = tmp_path / "error.txt"
    errors.write_text("Failure # 1 (occurred at …)\nanother\nFailure # 2 (occurred at …)\n\nsocket closed\nat once\n")
    trial.trial_id, trial.error_file = "a", str(errors)
    counted = []
    for clock[0] in (100.0, 101.0, 118.0, 200.0, 201.0, 300.0):
        trial.run_metadata.num_failures += 1  # as Tune does
        losses.on_trial_recover(1, [], trial)
        counted.append(trial.run_metadata.num_failures)
    losses_of = [count // worker_failures.FAILURE_WEIGHT for count in counted]
    assert losses_of == [1, 1, 1, 2, 2, 3]
    assert (
        max(counted) < (worker_failures.MAX_CONSECUTIVE_FAILURES + 1) * worker_failures.FAILURE_WEIGHT
    )  # the limit that Tune is given
    assert recorder.events[1:] == [("socket closed", 0)] * 3


class Deaths:
    """Process of trial 0 that dies repeatedly, with what Ray and the log say about it."""

    def __init__(self, study: Study, recorder: Recorder, folder: Path) -> None:
        self.study = study
        self.stopped: list[Any] = []
        self.results = SearchFolder(folder, "toy")
        self.trial = tune_trial(searcher(study, recorder, 1).suggest("a"), 0)
        self.trial.trial_id, self.trial.error_file = "a", str(folder / "error.txt")
        self.failures = runner._FailureCallback(study, recorder, self.results, self.stopped.append, lambda: 100.0)

    def die(self, log: str | None, error: str = "The actor is dead because its worker process has died.") -> None:
        Path(self.trial.error_file).write_text(f"Failure # 1 (occurred at …)\n{error}\n")
        if log is not None:
            path = self.results.log_path(0)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(f"── attempt started {time.monotonic_ns()}\n{log}")
        self.failures.on_trial_recover(1, [], self.trial)

    @property
    def reason(self) -> str:
        return self.study.get_trial(0).reason


EXITS = "── the process ends itself: os._exit(7) at toy.py:3\n"


def test_a_process_that_ends_itself_twice_in_the_same_place_fails_its_trial_at_once(
    study: Study, recorder: Recorder, tmp_path: Path
) -> None:
    deaths = Deaths(study, recorder, tmp_path)
    deaths.die(EXITS)
    assert recorder.events[-1] == ("os._exit(7) at toy.py:3", 0)
    assert not deaths.stopped
    deaths.die(EXITS)
    assert recorder.events[-1] == ("failed", 0)
    assert deaths.stopped == [deaths.trial]
    assert deaths.reason.startswith(
        "its process ended twice without completing an epoch: os._exit(7) at toy.py:3 (see "
    )
    assert deaths.reason.endswith("trials/0000/log.txt)")


def test_an_epoch_between_two_ends_of_a_process_lets_the_trial_go_on(
    study: Study, recorder: Recorder, tmp_path: Path
) -> None:
    deaths = Deaths(study, recorder, tmp_path)
    for number in (1, 2):
        deaths.die(EXITS)
        study.record_epoch(0, epoch(number, 0.1))
    assert study.get_trial(0).outcome == "running"


def test_a_process_that_leaves_no_trace_has_three_more_tries_without_waiting(
    study: Study, recorder: Recorder, tmp_path: Path
) -> None:
    deaths = Deaths(study, recorder, tmp_path)
    for _ in range(3):
        deaths.die("training\n")
    assert study.get_trial(0).outcome == "running"
    deaths.die("training\n")
    assert "4 times without completing an epoch: it left no trace" in deaths.reason


@pytest.mark.parametrize("error", ["The actor is dead because its node has died.", "OutOfMemoryError: 2 were killed"])
def test_a_process_that_is_lost_with_its_machine_is_no_fault_of_the_trial(
    study: Study, recorder: Recorder, tmp_path: Path, error: str
) -> None:
    deaths = Deaths(study, recorder, tmp_path)
    for log in ("training\n", None, None, None, "training\n", None):  # within the same minute
        deaths.die(log, error)
    assert study.get_trial(0).outcome == "running"
    assert len(recorder.events) == 2
    assert ("memory" in recorder.events[-1][0]) == ("OutOfMemory" in error)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("Worker exits with an exit code 3.", "exit status 3"),
        ("Worker exits with an exit code 1. The process receives a SIGTERM.", "exit status 1, on SIGTERM"),
        ("ray::step()\nTraceback (most recent call last)\nTypeError: cannot pickle", "TypeError: cannot pickle"),
    ],
)
def test_what_ray_reports_names_the_cause_where_the_log_does_not(error: str, cause: str) -> None:
    assert worker_failures._cause_from_ray(error) == cause


def test_a_trial_whose_machine_was_lost_too_often_names_the_last_reason(
    study: Study, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "ray_log_folder", lambda: "a folder")
    searching = runner._StudySearcher(
        study, recorder, recorder, recorder, lambda: 1, {0: worker_failures._OUT_OF_MEMORY}
    )
    searching.suggest("a")
    searching.on_trial_complete("a", error=True)
    assert "memory monitor" in study.get_trial(0).reason


@pytest.mark.parametrize("spoils", [True, False])
def test_a_process_that_a_failure_may_have_spoilt_runs_no_other_trial(
    study: Study, recorder: Recorder, spoils: bool
) -> None:
    scheduler = runner._StudyScheduler(study, recorder, recorder)
    trial = tune_trial(searcher(study, recorder, 1).suggest("a"), failures=0)
    controller = SimpleNamespace(_reuse_actors=True)
    result = {runner._FAILURE_REASON: "CUDA error", runner._SPOILS_PROCESS: spoils}
    assert scheduler.on_trial_result(controller, trial, result) == "STOP"
    assert controller._reuse_actors is not spoils


def test_the_trials_are_interrupted_when_the_policy_asks_for_it(recorder: Recorder) -> None:
    check = runner._PauseCheck(recorder)
    check.on_step_begin(1, [])
    recorder.time_is_up = True
    with pytest.raises(runner._PausedError):
        check.on_step_begin(2, [])
    assert not issubclass(runner._PausedError, Exception)  # Tune would wait for the epochs of its actors


def test_a_process_that_ray_ended_for_want_of_memory_is_a_lost_process() -> None:
    errors: list[Exception] = []
    actor = SimpleNamespace(actor_id=1, _on_error=None)
    task = SimpleNamespace(_tracked_actor=actor, _on_error=lambda _, error: errors.append(error))
    manager = tune_controller.RayActorManager(resource_manager=SimpleNamespace())  # as Tune makes its own
    manager._cleanup_actor = lambda **_: None
    manager._actor_task_failed(task, OutOfMemoryError("2 workers were killed"))
    assert isinstance(errors[0], RayActorError)
    assert str(errors[0]) == "OutOfMemoryError: 2 workers were killed"
    with pytest.raises(RuntimeError, match="unexpected"):
        manager._actor_task_failed(task, ValueError("of something else"))
