"""What a trainable returns becomes plain floats, or is the reason why its trial fails, already in the first epoch."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest

from datasets.matrices import MatricesProvider, MatricesSpec
from runtime.console import Console
from runtime.storage import storage_at
from search.execution import scoring
from search.execution.trial import TrialFailedError, TrialRunner
from search.experiment import Experiment
from search.reporting import report
from search.results import SearchFolder
from spaces.schema import Budget, Dimension
from tests.search.support import space


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    searched = space(
        trainable="tests.search.toy_trainable:Toy",
        dataset=MatricesSpec(),
        fixed={},
        search=(Dimension("x", "uniform", 0.0, 1.0),),
        inner={"threshold": (0.5, 1.0)},
        objectives=(("score", "maximize"),),
        budget=Budget(trials=1, epochs=3),
    )
    return Experiment(
        searched, MatricesProvider(MatricesSpec()), SearchFolder(tmp_path, "toy"), storage_at(str(tmp_path / "data"))
    )


def run(experiment: Experiment, mode: str, recorded: int = 0) -> TrialRunner:
    return TrialRunner(experiment, 0, {"x": 0.5, "mode": mode}, recorded, "cpu")


@pytest.mark.parametrize("mode", ["plain", "NumPy", "torch", "ordered", "Decimal", "no training metrics", "greedy"])
def test_what_float_takes_becomes_a_plain_float(experiment: Experiment, mode: str) -> None:
    epoch = run(experiment, mode).next_epoch()
    assert epoch.metrics["score"] == 0.5
    assert {type(value) for value in (*epoch.metrics.values(), *epoch.setting.values())} == {float}
    assert epoch.setting == {"threshold": 1.0}
    json.dumps([epoch.metrics, epoch.setting])


SLIPS = {
    "text": ["evaluate", "'score'", "str '0.9'"],
    "none": ["evaluate", "'score' is None"],
    "one mapping": ["evaluate returned one mapping", "[metrics]", "2 choices"],
    "nothing": ["evaluate returned None", "a list"],
    "too few": ["evaluate returned 1 mappings for 2 choices"],
    "generator": ["evaluate returned a generator"],
    "misspelt": [
        "objectives: 'score'",
        "validation: 'Score'",
        "training: 'train_loss'",
        "rename 'Score' to 'score'",
    ],
    "one misspelt": ["objectives: 'score'", "validation: 'Score'"],
    "numbered": ["evaluate", "not text", "int (0)"],
    "training text": ["train_epoch", "'train_loss'", "str 'low'"],
    "training number": ["train_epoch returned float (0.5)", "mapping"],
    "NumPy state": ["state()['best']", "numpy.float64", ".item()"],
    "state of a set": ["state()['seen'][0]", "frozenset", "list"],
    "no state": ["state returned None", "mapping"],
    "NumPy weights": ["weights()['scaler']", "numpy.ndarray of shape (2,)", "tolist"],
}


@pytest.mark.parametrize("mode", SLIPS)
def test_a_slip_fails_the_trial_in_its_first_epoch_with_its_name(experiment: Experiment, mode: str) -> None:
    with pytest.raises(TrialFailedError) as caught:
        run(experiment, mode).next_epoch()
    assert [word for word in SLIPS[mode] if word not in str(caught.value)] == []
    assert "\n" not in str(caught.value)
    assert not (experiment.results.trial_path(0) / "error.txt").exists()  # no traceback is needed


def test_a_state_that_becomes_unreadable_later_is_noticed_in_that_epoch(experiment: Experiment) -> None:
    trial = run(experiment, "late NumPy state")
    trial.next_epoch()
    with pytest.raises(TrialFailedError, match=r"state\(\)\['best'\]"):
        trial.next_epoch()


def test_random_states_can_be_stored(experiment: Experiment) -> None:
    run(experiment, "random state").next_epoch()
    assert run(experiment, "random state", recorded=1).next_epoch().epoch == 2


def test_a_validation_metric_precedes_a_training_metric_of_the_same_name(experiment: Experiment) -> None:
    metrics = run(experiment, "same name").next_epoch().metrics
    assert metrics == {"score": 0.5, "train_score": -1.0}


def test_an_objective_may_come_from_training(experiment: Experiment) -> None:
    assert run(experiment, "training objective").next_epoch().metrics == {"score": 0.25}


@pytest.mark.parametrize("name", ["repeated", "continued"])
def test_a_killed_trial_of_a_function_continues(experiment: Experiment, name: str) -> None:
    searched = dataclasses.replace(
        experiment.space,
        trainable=f"tests.search.toy_trainable:{name}",
        inner={},
        objectives=(("error", "minimize"),),
    )
    experiment = dataclasses.replace(experiment, space=searched)

    def start(number: int, recorded: int = 0) -> TrialRunner:
        return TrialRunner(experiment, number, {"x": 0.5}, recorded, "cpu")

    undisturbed, killed = start(0), start(1)
    expected = [dict(undisturbed.next_epoch().metrics) for _ in range(3)]
    killed.next_epoch()
    killed.next_epoch()  # in the checkpoint, but the study has not recorded it
    resumed = start(1, recorded=1)
    assert [dict(resumed.next_epoch().metrics) for _ in range(2)] == expected[1:]
    assert scoring.try_scoring(experiment, 1, "cpu") == {"test": {}}


def test_an_exception_on_a_test_split_or_in_a_plot_leaves_the_results_alone(experiment: Experiment) -> None:
    run(experiment, "test split").next_epoch()
    reason = scoring.try_scoring(experiment, 0, "cpu")
    assert isinstance(reason, str)
    assert reason.startswith("NameError: lamda is not defined at ")
    assert "toy_trainable.py:" in reason
    output: Any = io.StringIO()
    report._try_drawing(experiment, 0, Console(output))
    assert "no predictions are plotted: RuntimeError: nothing to plot" in output.getvalue()
