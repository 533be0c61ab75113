"""Names, roles and parameters of MLflow runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from datasets.registry import prepare_dataset
from runtime.storage import storage_at
from search.experiment import Experiment
from search.reporting.mlflow.runs import list_parameters, name_run, origin_tags, role_of, shorten_names
from search.results import SearchFolder
from search.study.trials import Trial
from spaces.schema import Dimension
from tests.search.support import SPACE
from trainables.localizer.config import LocalizerConfig

SEARCH = (
    Dimension("optimizer.lr", "log_uniform", 1e-4, 1e-2),
    Dimension("loss.kind", "choice", choices=("mse", "huber")),
    Dimension("target.kind", "choice", choices=("a", "b")),
)
TRIAL = Trial(12, {"optimizer.lr": 0.00261, "loss.kind": "mse"}, "running", "", (), None, False, {})


@pytest.mark.parametrize(
    ("trial", "name", "role"),
    [
        (TRIAL, "#12 lr=0.00261 loss.kind=mse", "trial"),
        (replace(TRIAL, retry_of=3), "#12 lr=0.00261 loss.kind=mse (retry of #3)", "trial"),
        (replace(TRIAL, number=0, is_baseline=True, role="baseline"), "#0 baseline", "baseline"),
        (replace(TRIAL, number=1, role="start 0"), "#1 start 0", "start"),
        (replace(TRIAL, confirms=4, seed=1002, role="confirm"), "confirm #4 seed 1002", "confirmation"),
        (replace(TRIAL, parameters={}), "#12", "trial"),
    ],
)
def test_a_run_is_named_by_what_differs(trial: Trial, name: str, role: str) -> None:
    assert name_run(trial, SEARCH) == name
    assert role_of(trial) == role


def test_a_name_of_many_values_is_cut_between_two_of_them() -> None:
    search = [Dimension(f"group.parameter_{number}", "uniform", 0, 1) for number in range(20)]
    trial = replace(TRIAL, parameters={dimension.name: 0.5 for dimension in search})
    name = name_run(trial, search)
    assert len(name) <= 64
    assert name.endswith("=0.5 …")


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["a.x", "b.x", "c.y"], ["a.x", "b.x", "y"]),
        (["loss.inactive_weight", "optimizer.batch_size", "optimizer.lr"], ["inact", "batch", "lr"]),
        (["a.hidden_size", "a.hidden_depth"], ["hidden_size", "hidden_depth"]),
        (["a.regression", "a.regress_size"], ["regression", "regress"]),
        (["a._x"], ["_x"]),
    ],
)
def test_names_are_as_short_as_they_are_different(names: list[str], short: list[str]) -> None:
    assert list(shorten_names(names).values()) == short


def test_the_parameters_are_complete_and_begin_with_those_that_are_searched() -> None:
    storage = storage_at("tests")
    experiment = Experiment(
        SPACE, prepare_dataset(SPACE.dataset, "tests"), SearchFolder.from_storage("tests", "toy"), storage
    )
    trial = replace(TRIAL, parameters={"optimizer.lr": 0.002})
    parameters = list_parameters(experiment, trial)
    assert next(iter(parameters)) == "optimizer.lr"
    assert parameters["optimizer.lr"] == 0.002
    assert set(SPACE.fixed) < set(parameters)
    assert parameters["optimizer.beta1"] == LocalizerConfig.model_validate({}).optimizer.beta1  # a default


def test_the_origin_names_user_and_commit() -> None:
    tags = origin_tags()
    assert tags["mlflow.user"]
    assert tags["mlflow.source.name"] == "search.launch"
