"""Metrics that a field of the Config decides: the resolutions of the localizer, and the hook that any Config may have."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from runtime.errors import InputError
from spaces.configs import describe_space
from spaces.load import load_space
from tests.spaces.test_load import write
from trainables import hooks
from trainables.contract import Metric, TrainableConfig

DECLARED = (Metric("f1", "maximize", "F1"),)


def test_resolutions_name_the_metrics_of_the_objectives(tmp_path: Path) -> None:
    path = write(tmp_path, fixed={"evaluation.resolutions_m": [0.1, 0.25]}, objectives=[{"metric": "f1_0.25m"}])
    space = load_space(path, has_gpu=False)
    assert space.objectives == (("f1_0.25m", "maximize"),)
    assert [metric.name for metric in describe_space(space).metrics if metric.headline] == [
        "f1_mean",
        "f1_0.1m",
        "rmse_0.1m",
        "f1_0.25m",
        "rmse_0.25m",
    ]
    with pytest.raises(InputError, match=r"f1_1m"):
        load_space(
            write(tmp_path, fixed={"evaluation.resolutions_m": [0.1]}, objectives=[{"metric": "f1_1m"}]), has_gpu=False
        )


def test_conditions_of_the_evaluation_add_the_worst_and_the_mean(tmp_path: Path) -> None:
    objectives = [{"metric": "f1_mean_worst"}]
    path = write(tmp_path, fixed={"evaluation.snr_db": [10], "evaluation.gain_db": [3]}, objectives=objectives)
    assert load_space(path, has_gpu=False).objectives == (("f1_mean_worst", "maximize"),)
    with pytest.raises(InputError, match="f1_mean_worst"):
        load_space(write(tmp_path, objectives=objectives), has_gpu=False)
    with pytest.raises(InputError, match="must be above 0"):
        load_space(write(tmp_path, fixed={"evaluation.gain_db": [0]}), has_gpu=False)


@pytest.mark.parametrize(
    ("written", "rule"),
    [([1.0, 0.3], "must increase"), ([0.3, 0.3], "must increase"), ([0.0, 1.0], "above 0"), ([], "at least 1")],
)
def test_resolutions_are_checked(tmp_path: Path, written: list[float], rule: str) -> None:
    with pytest.raises(InputError, match=rule) as caught:
        load_space(write(tmp_path, fixed={"evaluation.resolutions_m": written}), has_gpu=False)
    assert "fixed.evaluation.resolutions_m" in str(caught.value)


def test_resolutions_are_not_searched(tmp_path: Path) -> None:
    choices = {"choice": [[0.3, 1.0], [0.1, 0.3]]}
    with pytest.raises(InputError, match="must be fixed") as caught:
        load_space(write(tmp_path, search={"evaluation.resolutions_m": choices}), has_gpu=False)
    assert "search.evaluation.resolutions_m" in str(caught.value)


@pytest.mark.parametrize(
    "fixed",
    [{"evaluation.resolutions_m": [0.1, 0.3]}, {"evaluation.snr_db": [20]}],
    ids=lambda fixed: next(iter(fixed)),
)
def test_fields_that_only_some_encoders_have_are_searched_under_any_evaluation(
    tmp_path: Path, fixed: dict[str, list[float]]
) -> None:
    search = {
        "encoder": {"choice": ["array", "combined"]},
        "features.kind": {"choice": ["spectra", "ipd"], "when": {"encoder": ["array"]}},
    }
    path = write(tmp_path, search=search, fixed=fixed, objectives=[{"metric": "f1_mean"}])
    assert len(load_space(path, has_gpu=False).search) == 2


class Renaming(TrainableConfig):
    suffix: str = ""

    def reported_metrics(self, declared: tuple[Metric, ...]) -> tuple[Metric, ...]:
        if self.suffix == "raise":
            raise KeyError(self.suffix)
        return (
            () if self.suffix == "none" else tuple(Metric(f"{m.name}{self.suffix}", m.direction, "") for m in declared)
        )


class Plain(BaseModel):
    pass


def test_a_config_decides_which_metrics_are_reported() -> None:
    assert [metric.name for metric in hooks.reported_metrics(Renaming(suffix="_1m"), DECLARED)] == ["f1_1m"]
    assert hooks.reported_metrics(Plain(), DECLARED) == DECLARED


@pytest.mark.parametrize("suffix", ["raise", "none"])
def test_a_wrong_hook_is_an_error_with_its_name(suffix: str) -> None:
    with pytest.raises(InputError, match="reported_metrics of Renaming"):
        hooks.reported_metrics(Renaming(suffix=suffix), DECLARED)
