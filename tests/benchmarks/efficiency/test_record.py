"""Recorded learning curves: what is recorded, that nothing is recorded twice, and the file that holds it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from benchmarks.efficiency import record
from benchmarks.efficiency.curves import Curve, CurveEpoch, from_json, read_curves, write_curves
from benchmarks.efficiency.record import RecordingPool, Training, list_repetitions, list_trainings
from datasets.none import NoneProvider, NoneSpec
from runtime.errors import InputError
from runtime.storage import storage_at
from search.experiment import Experiment
from search.results import SearchFolder
from spaces.feasibility import PointChecker
from spaces.schema import Budget, Dimension, Space
from tests.search.support import space
from trainables.contract import Metric
from trainables.function import trainable


class ToyConfig(BaseModel):
    x: float = 0.5
    fails: bool = False


@trainable(metrics=[Metric("score", "maximize", "made up")])
def train_toy(config: ToyConfig, *, seed: int, epochs: int) -> Iterator[dict[str, Any]]:
    for epoch in range(1, epochs + 1):
        if config.fails and epoch == 2:
            raise ValueError("no more")
        yield {"score": config.x * epoch + seed}


def toy(epochs: int = 3) -> Space:
    return space(
        trainable=f"{__name__}:train_toy",
        dataset=NoneSpec(),
        fixed={},
        search=(Dimension("x", "uniform", 0.0, 1.0), Dimension("fails", "choice", choices=(False, True))),
        inner={},
        objectives=(("score", "maximize"),),
        baseline={"x": 0.5, "fails": False},
        start=({"x": 0.25, "fails": True},),
        budget=Budget(trials=4, epochs=epochs),
        seed=5,
    )


def make_experiment(folder: Path) -> Experiment:
    return Experiment(toy(), NoneProvider(NoneSpec()), SearchFolder(folder, "toy"), storage_at(str(folder / "data")))


def make_curve(number: int, value: float, outcome: Any = "finished") -> Curve:
    return Curve(number, "random", 5, {"x": value}, outcome, "", (CurveEpoch(1, {"score": value}, {}, 1.0, 1.0),))


def test_random_configurations_are_possible_different_and_stay_the_same_when_more_are_recorded() -> None:
    searched = space(baseline={"optimizer.lr": 1e-4}, start=({"optimizer.lr": 2e-3},))
    few, many = list_trainings(searched, 3), list_trainings(searched, 6)
    assert many[:5] == few
    assert [training.role for training in few] == ["baseline", "start 0", "random", "random", "random"]
    assert [training.configuration for training in many] == list(range(8))
    checker = PointChecker(searched)
    assert all(checker.explain_impossible(training.parameters) is None for training in many[2:])
    assert len({json.dumps(training.parameters) for training in many}) == 8


def test_a_space_with_too_few_points_is_refused() -> None:
    searched = dataclasses.replace(toy(), search=(Dimension("fails", "choice", choices=(False, True)),), start=())
    searched = dataclasses.replace(searched, baseline={"fails": False})
    assert len(list_trainings(searched, 1)) == 2
    with pytest.raises(InputError, match="--configurations"):
        list_trainings(searched, 2)


def test_repeated_are_the_best_and_others_of_all_ranks() -> None:
    curves = [make_curve(number, float(number)) for number in range(20)] + [make_curve(20, 99.0, "failed")]
    repeated = list_repetitions(toy(), curves, seeds_of=8, seeds=3)
    assert [t.configuration for t in repeated[:8]] == [19, 18, 17, 16, 13, 9, 5, 1]
    assert [t.seed for t in repeated] == [6] * 8 + [7] * 8
    assert len(list_repetitions(toy(), curves[:3], seeds_of=8, seeds=2)) == 3
    assert list_repetitions(toy(), curves, seeds_of=0, seeds=3) == []


def test_a_training_is_recorded_with_all_epochs_and_leaves_no_files_of_a_trial(tmp_path: Path) -> None:
    experiment = make_experiment(tmp_path)
    training = Training(3, "random", 7, {"x": 0.5, "fails": False})
    record.record_training(experiment, training, 0, tmp_path)
    curve = from_json(json.loads((tmp_path / "00003-7.json").read_text()))
    assert (curve.configuration, curve.seed, curve.outcome, curve.parameters) == (3, 7, "finished", training.parameters)
    assert [epoch.metrics["score"] for epoch in curve.epochs] == [7.5, 8.0, 8.5]
    assert all(epoch.cpu_seconds >= 0 for epoch in curve.epochs)
    assert not experiment.results.trial_path(0).exists()


def test_the_epoch_that_fails_is_recorded_without_metrics(tmp_path: Path) -> None:
    record.record_training(make_experiment(tmp_path), Training(0, "random", 7, {"x": 0.5, "fails": True}), 0, tmp_path)
    curve = from_json(json.loads((tmp_path / "00000-7.json").read_text()))
    assert curve.outcome == "failed"
    assert "no more" in curve.reason
    assert [dict(epoch.metrics) for epoch in curve.epochs] == [{"score": 7.5}, {}]


def test_finished_trainings_are_not_recorded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = list_trainings(toy(), 2)
    for training in trainings[:-1]:
        record.record_training(make_experiment(tmp_path), training, 0, tmp_path)
    submitted = []

    class Pool:
        def submit(self, _: object, __: object, training: Training, *rest: object) -> Any:
            submitted.append(training)
            record.record_training(make_experiment(tmp_path), training, 0, tmp_path)

    class Opened:
        def __enter__(self) -> Pool:
            return Pool()

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(record, "_open_pool", lambda _: Opened())
    monkeypatch.setattr(RecordingPool, "_wait", lambda *_: None)
    pool = RecordingPool(make_experiment(tmp_path), tmp_path, 2, print)
    assert [curve.configuration for curve in pool.record(trainings)] == [0, 1, 2, 3]
    assert submitted == trainings[-1:]
    pool.record(trainings)
    assert submitted == trainings[-1:]


def test_another_space_does_not_continue_a_recording(tmp_path: Path) -> None:
    description = {"space": {"epochs": 3}, "data": "none", "command": "first"}
    record._require_same_recording(tmp_path, description, Path("a.parquet"))
    record._require_same_recording(tmp_path, {**description, "command": "second"}, Path("a.parquet"))
    with pytest.raises(InputError, match=r"a\.parquet"):
        record._require_same_recording(tmp_path, {**description, "space": {"epochs": 4}}, Path("a.parquet"))


def test_a_file_holds_the_curves_exactly(tmp_path: Path) -> None:
    parameters: dict[str, Any] = {"a": 1, "b": 1.0, "c": None, "d": [1, "x"], "e": True, "f": 0.1 + 0.2}
    epochs = (
        CurveEpoch(1, {"f1": 0.123456789, "loss": 2.0}, {"threshold": 0.3}, 1.5, 1.25),
        CurveEpoch(2, {}, {}, 0.5, 0.25),
    )
    curves = [
        Curve(0, "baseline", 0, parameters, "failed", "diverged", epochs),
        Curve(0, "baseline", 1, parameters, "finished", "", epochs[:1]),
        make_curve(12, 0.5),
    ]
    write_curves(tmp_path / "t.parquet", curves, {"name": "toy – ü"})
    description, read = read_curves(tmp_path / "t.parquet")
    assert description == {"name": "toy – ü"}
    assert read == curves
    assert [type(value) for value in read[0].parameters.values()] == [type(value) for value in parameters.values()]


def test_a_wrong_command_line_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert record.main(["spaces/none.yaml", "-o", str(tmp_path / "t.parquet")]) == 2
    assert "spaces/none.yaml" in capsys.readouterr().err
    assert record.main(["spaces/rg_rep.yaml", "-o", str(tmp_path / "t.csv")]) == 2
    assert "t.csv" in capsys.readouterr().err
