"""Trials under constraints: what is measured, which epoch is saved, and which models are not trained at all."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from datasets.none import NoneProvider, NoneSpec
from datasets.registry import prepare_dataset
from datasets.rooms.dataset import Dataset
from runtime.storage import storage_at
from search.execution import measurements
from search.execution.checkpoint import load_checkpoint
from search.execution.trial import TrialFailedError, TrialRunner
from search.experiment import Experiment
from search.results import SearchFolder
from spaces.constraints import Constraint
from spaces.schema import Budget, Dimension
from tests.search.execution.test_trial import FIXED, PARAMETERS
from tests.search.support import space
from trainables.localizer.network import LocalizerNetwork


def sized(folder: Path, *constraints: Constraint, trainable: str = "Sized") -> Experiment:
    searched = space(
        trainable=f"tests.search.toy_trainable:{trainable}",
        dataset=NoneSpec(),
        fixed={},
        search=(Dimension("x", "uniform", 0.0, 1.0),),
        inner={"threshold": (0.0, 1.0)},
        objectives=(("score", "maximize"),),
        budget=Budget(trials=1, epochs=5),
        constraints=constraints,
    )
    results = SearchFolder(folder, "toy")
    return Experiment(searched, NoneProvider(NoneSpec()), results, storage_at(str(folder / "data")))


def run(experiment: Experiment, recorded: int = 0, *, stops_unfit: bool = False, width: int = 2) -> TrialRunner:
    parameters = {"x": 0.5, "width": width}
    return TrialRunner(experiment, 0, parameters, recorded, "cpu", stops_unfit=stops_unfit)


def saved_epoch(experiment: Experiment) -> tuple[int, float]:
    content = load_checkpoint(experiment.results.model_path(0))
    return content["epoch"], content["setting"]["threshold"]


def test_the_saved_model_is_that_of_the_best_epoch_that_satisfies_the_constraints(tmp_path: Path) -> None:
    """With the threshold 1 the precision is 1.2 - 0.1 · epoch, and half the score; with 0 it is 1 - 0.1 · epoch."""
    bounded = sized(tmp_path / "a", Constraint("precision", ">=", 0.65))
    trial = run(bounded)
    settings = [trial.next_epoch().setting["threshold"] for _ in range(5)]
    assert settings == [0.0, 0.0, 0.0, 1.0, 1.0]  # the inference parameters are chosen in the same way
    assert saved_epoch(bounded) == (3, 0.0)
    free = sized(tmp_path / "b")
    trial = run(free)
    for _ in range(5):
        trial.next_epoch()
    assert saved_epoch(free) == (5, 0.0)


def test_measured_quantities_are_metrics_of_every_epoch_and_the_latency_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latencies = iter([12.5, 99.0])
    monkeypatch.setattr(measurements, "measure_latency", lambda _: next(latencies))
    experiment = sized(
        tmp_path, Constraint("latency_ms", "<=", 10.0, True), Constraint("parameters", "<=", 9000.0, True)
    )
    first = run(experiment).next_epoch()
    second = run(experiment, recorded=1).next_epoch()  # in another process, from the checkpoint
    measured = [(epoch.metrics["parameters"], epoch.metrics["latency_ms"]) for epoch in (first, second)]
    assert measured == [(2000.0, 12.5)] * 2


def test_nothing_is_measured_without_a_constraint_on_it(tmp_path: Path) -> None:
    metrics = run(sized(tmp_path, Constraint("precision", ">=", 0.5))).next_epoch().metrics
    assert set(metrics) == {"score", "precision"}


def test_a_model_that_is_too_large_is_not_trained_unless_its_trial_is_exempt(tmp_path: Path) -> None:
    experiment = sized(tmp_path, Constraint("parameters", "<=", 3000.0, True))
    with pytest.raises(measurements.UnfitModelError) as caught:
        run(experiment, stops_unfit=True, width=4).next_epoch()
    assert str(caught.value) == "4,000 parameters, at most 3,000 are allowed"
    assert pickle.loads(pickle.dumps(caught.value)).measured == {"parameters": 4000.0}
    assert not experiment.results.checkpoint_path(0).exists()
    assert run(experiment, stops_unfit=True, width=3).next_epoch().epoch == 1
    assert run(sized(tmp_path / "exempt", *experiment.space.constraints), width=4).next_epoch().epoch == 1


def test_a_constrained_metric_that_is_missing_fails_the_trial_with_the_metrics_there_are(tmp_path: Path) -> None:
    experiment = sized(tmp_path, Constraint("recall", ">=", 0.5))
    with pytest.raises(TrialFailedError, match=r"constrained metric 'recall' is missing.*'score', 'precision'"):
        run(experiment).next_epoch()


def test_the_parameters_of_a_localizer_are_those_of_its_network(tiny: Dataset, tmp_path: Path) -> None:
    bounds = (Constraint("parameters", "<=", 1.0, True), Constraint("latency_ms", "<=", 1e9, True))
    searched = space(dataset=tiny.spec, fixed=FIXED, budget=Budget(trials=1, epochs=1), constraints=bounds)
    dataset = prepare_dataset(tiny.spec, "tests")
    experiment = Experiment(searched, dataset, SearchFolder(tmp_path, "toy"), tiny.store)
    trial = TrialRunner(experiment, 0, PARAMETERS, 0, "cpu")
    metrics = trial.next_epoch().metrics
    config = trial._trainable.config  # type: ignore[union-attr]
    arrays, mics, _ = tiny.microphones_m.shape
    network = LocalizerNetwork(config, arrays, mics)
    assert metrics["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert metrics["latency_ms"] > 0
    with pytest.raises(measurements.UnfitModelError, match=f"{metrics['parameters']:,.0f} parameters, at most 1 are"):
        TrialRunner(experiment, 1, PARAMETERS, 0, "cpu", stops_unfit=True).next_epoch()
