"""Searcher, scheduler and failure counting for Tune, without a cluster."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.execution import tune_controller

from runtime.errors import StorageError
from search.execution import tune as runner
from search.execution.hooks import DatasetReadiness, StoppingPolicy, TrialCallback
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

    def must_pause(self) -> bool:
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
    assert searching.suggest("f") == "FINISHED"


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
    losses = runner.WorkerFailures(study, recorder, lambda: clock[0])
    trial = tune_trial(config, 0)
    errors = tmp_path / "error.txt"
    errors.write_text("Failure # 1 (occurred at …)\nanother\nFailure # 2 (occurred at …)\n\nsocket closed\nat once\n")
    trial.trial_id, trial.error_file = "a", str(errors)
    counted = []
    for clock[0] in (100.0, 101.0, 118.0, 200.0, 201.0, 300.0):
        trial.run_metadata.num_failures += 1  # as Tune does
        losses.on_trial_recover(1, [], trial)
        counted.append(trial.run_metadata.num_failures)
    losses_of = [count // runner._FAILURE_WEIGHT for count in counted]
    assert losses_of == [1, 1, 1, 2, 2, 3]
    assert max(counted) < (runner.MAX_CONSECUTIVE_FAILURES + 1) * runner._FAILURE_WEIGHT  # the limit that Tune is given
    assert recorder.events[1:] == [("socket closed", 0)] * 3


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
