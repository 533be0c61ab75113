"""Training data as a hyperparameter: what may be searched, the baseline, and the datasets that come of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets.config_file import read_specs
from datasets.rooms.plan import RoomPlan
from datasets.rooms.spec import RoomSpec
from runtime.errors import InputError
from spaces.feasibility import survey_points
from spaces.load import load_space
from spaces.schema import Space
from tests.spaces.test_load import write

ROOMS = {"rt60_s": 0.4, "max_order": 3, "rooms": 2, "positions": 8}
LR = {"optimizer.lr": {"log_uniform": [1e-4, 1e-2]}}


def searching(folder: Path, search: dict[str, Any], **dataset: Any) -> Space:
    values = {"train": 100, "validate": 20, "tests": {"S0": 10}} | dataset
    return load_space(write(folder, dataset=values, search=LR | search), has_gpu=False)


@pytest.mark.parametrize(
    ("dataset", "name", "written", "found"),
    [
        ({"snr_db": 20}, "snr_db", {"choice": [10, 20]}, 20),
        ({"snr_db": (10, 30)}, "snr_db", {"choice": [20, "10-30"]}, "10-30"),
        ({"snr_db": 30, "train": {"samples": 9, "snr_db": 20}}, "snr_db", {"choice": [30, 20]}, 20),
        ({"snr_db": 20}, "noise", {"choice": ["white", "diffuse"]}, "white"),
        ({"snr_db": 20, "noise": "diffuse"}, "noise", {"choice": ["white", "diffuse"]}, "diffuse"),
        ({}, "samples", {"log_int": [50, 500]}, 100),
        ({}, "samples", {"choice": [100, 1000]}, 100),
        ({"sources": "1-2"}, "sources", {"choice": [1, "1-2", "1-3"]}, "1-2"),
        ({"acoustics": ROOMS}, "acoustics.rt60_s", {"choice": [0, 0.4, "0.2-0.6"]}, 0.4),
        ({"acoustics": ROOMS}, "acoustics.rt60_s", {"uniform": [0.3, 0.6]}, 0.4),
        ({"acoustics": ROOMS | {"rt60_s": (0.3, 0.5)}}, "acoustics.rt60_s", {"choice": [0.4, "0.3-0.5"]}, "0.3-0.5"),
        ({"acoustics": ROOMS}, "acoustics.rooms", {"int": [1, 4]}, 2),
    ],
    ids=repr,
)
def test_the_baseline_trains_on_the_dataset_as_it_is(
    tmp_path: Path, dataset: dict[str, Any], name: str, written: dict[str, Any], found: Any
) -> None:
    space = searching(tmp_path, {f"dataset.train.{name}": written}, **dataset)
    assert space.baseline == {"optimizer.lr": 1e-4, f"dataset.train.{name}": found}
    assert identity(space.dataset_of(space.baseline)) == identity(space.dataset)


def identity(spec: Any) -> str:
    return RoomPlan(spec, None, spec.microphones_m()).fingerprint


@pytest.mark.parametrize("written", [{"choice": [10, 30]}, {"uniform": [25, 40]}, {"choice": ["15-25"]}], ids=repr)
def test_a_dataset_outside_the_search_is_the_baseline_as_it_is(tmp_path: Path, written: dict[str, Any]) -> None:
    space = searching(tmp_path, {"dataset.train.snr_db": written}, snr_db=20)
    assert space.outside == {"dataset.train.snr_db": 20}
    assert identity(space.dataset_of(space.baseline)) == identity(space.dataset)


@pytest.mark.parametrize(
    ("name", "written", "says"),
    [
        ("snr_db", {"choice": ["30-10"]}, "snr_db of train is reversed"),
        ("snr_db", {"choice": ["loud", 20]}, "a list"),
        ("samples", {"int": [0, 100]}, "above 0"),
        ("sources", {"choice": ["1-2", 5]}, "at most 4"),
        ("acoustics.rt60_s", {"uniform": [-0.1, 0.5]}, "starts at 0 or above"),
        ("acoustics.rooms", {"int": [0, 4]}, "at least 1"),
        ("acoustics.positions", {"log_int": [2, 40]}, "at least 4"),
        ("acoustics.height_m", {"uniform": [1.0, 3.0]}, "below the ceiling"),
        ("acoustics.absorption", {"uniform": [0.1, 0.5]}, "one of them"),
    ],
)
def test_the_ends_of_a_search_are_checked_before_any_trial(
    tmp_path: Path, name: str, written: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        searching(tmp_path, {f"dataset.train.{name}": written}, acoustics=ROOMS, snr_db=20)
    assert caught.value.place.endswith(f"space.yaml: search.dataset.train.{name}")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("dataset.snr_db", "search dataset.train.snr_db"),
        ("dataset.validate", "search dataset.train.samples"),
        ("dataset.validate.snr_db", "search dataset.train.snr_db"),
        ("dataset.tests.S0.samples", "search dataset.train.samples"),
        ("dataset.train", "search dataset.train.samples"),
        ("dataset.acoustics.rt60_s", "search dataset.train.acoustics.rt60_s"),
    ],
)
def test_only_what_is_trained_on_can_be_searched(tmp_path: Path, name: str, remedy: str) -> None:
    with pytest.raises(InputError, match="validated and tested on the same") as caught:
        searching(tmp_path, {name: {"choice": [10, 20]}}, acoustics=ROOMS, snr_db=20)
    assert caught.value.place.endswith(f"space.yaml: search.{name}")
    assert caught.value.value == name
    assert remedy in caught.value.remedy


def test_a_misspelt_field_of_the_training_data_is_answered_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the name must be known") as caught:
        searching(tmp_path, {"dataset.train.acoustics.rt6_s": {"choice": [0, 0.4]}}, acoustics=ROOMS)
    assert caught.value.remedy == "did you mean 'dataset.train.acoustics.rt60_s'?"


def test_every_choice_is_a_dataset_and_each_counts_once(tmp_path: Path) -> None:
    search = {
        "dataset.train.snr_db": {"choice": [20, "20-20", 60]},  # written in two ways
        "dataset.train.acoustics.rt60_s": {"choice": [0, 0.4, "0.2-0.6"]},
    }
    space = searching(tmp_path, search, acoustics=ROOMS, snr_db=20)
    found = space.list_dataset_specs()
    assert found is not None
    assert found[0] == space.dataset
    assert len({identity(spec) for spec in found}) == len(found) == 2 * 3
    for spec in found:  # what is validated and tested is one and the same
        for split in ("validate", "S0"):
            assert isinstance(space.dataset, RoomSpec)
            assert isinstance(spec, RoomSpec)
            assert spec.split_identity(split) == space.dataset.split_identity(split)


def test_a_range_has_no_end_of_datasets_and_none_searched_is_one(tmp_path: Path) -> None:
    assert searching(tmp_path, {"dataset.train.samples": {"int": [50, 200]}}).list_dataset_specs() is None
    alone = searching(tmp_path, {})
    assert alone.list_dataset_specs() == [alone.dataset]


def test_the_ends_of_ranges_are_datasets_that_can_be_looked_at_beforehand(tmp_path: Path) -> None:
    search = {"dataset.train.samples": {"log_int": [50, 200]}, "dataset.train.snr_db": {"choice": [20, 60]}}
    found = searching(tmp_path, search, snr_db=20).boundary_datasets()
    assert [spec.write_out()["train"]["samples"] for spec in found] == [100, 50, 50, 200, 200]
    assert [tuple(spec.write_out()["train"]["snr_db"]) for spec in found[1:]] == [(20, 20), (60, 60)] * 2


def test_a_condition_between_fields_of_the_data_counts(tmp_path: Path) -> None:
    search = {
        "dataset.train.acoustics.rt60_s": {"choice": [0, 0.4]},
        "dataset.train.acoustics.rooms": {"choice": [2, 3], "when": {"dataset.train.acoustics.rt60_s": 0.4}},
    }
    space = searching(tmp_path, search, acoustics=ROOMS)
    found = space.list_dataset_specs()
    assert found is not None
    assert len(found) == 1 + 2


def test_a_trial_s_values_are_split_between_the_config_and_the_data(tmp_path: Path) -> None:
    space = searching(tmp_path, {"dataset.train.samples": {"choice": [100, 1000]}})
    point = {"optimizer.lr": 1e-3, "dataset.train.samples": 1000}
    assert space.config_values(point) == {"representation": "rg", "optimizer.lr": 1e-3}
    dataset = space.dataset_of(point)
    assert isinstance(dataset, RoomSpec)
    assert dataset.resolve_splits()["train"].samples == 1000
    assert space.dataset_of({"optimizer.lr": 1e-3}) is space.dataset


def test_a_variant_inherits_what_the_dataset_says_for_all() -> None:
    spec = RoomSpec.model_validate({"acoustics": ROOMS, "snr_db": 20, "sources": "1-2", "train": 100})
    other = spec.with_changes({"train.acoustics.rt60_s": 0.6})
    acoustics = other.resolve_splits()["train"].acoustics
    assert acoustics is not None
    original = spec.resolve_splits()["train"].acoustics
    assert original is not None
    assert acoustics.model_dump() == original.model_dump() | {"rt60_s": (0.6, 0.6)}
    assert other.resolve_splits()["train"].snr_db == (20, 20)
    assert other.resolve_splits()["train"].sources == (1, 2)
    for split in ("validate", "S0", "S1", "S2"):
        assert other.split_identity(split) == spec.split_identity(split)
    assert original.rt60_s == (0.4, 0.4)  # the dataset itself is as it was


def test_acoustics_may_be_searched_where_the_dataset_has_none() -> None:
    spec = RoomSpec.model_validate({"train": 100})
    other = spec.with_changes({"train.acoustics.rt60_s": 0.3})
    assert other.resolve_splits()["train"].acoustics is not None
    assert other.resolve_splits()["validate"].acoustics is None


@pytest.mark.parametrize(("choices", "count"), [([20, "10-30"], 1 + 2 * 3), ([20, "30-10"], None)])
def test_impossible_combinations_are_no_datasets_and_an_impossible_choice_is_refused(
    tmp_path: Path, choices: list[Any], count: int | None
) -> None:
    search = {
        "dataset.train.snr_db": {"choice": choices},
        "dataset.train.acoustics.height_m": {"choice": [2.0, 3.0]},
        "dataset.train.acoustics.source_height_m": {"choice": [1.5, 2.5]},
    }
    path = write(tmp_path, dataset={"train": 100, "acoustics": ROOMS}, search=LR | search)
    if count is None:
        with pytest.raises(InputError, match="reversed") as caught:
            read_specs(path, has_gpu=False)
        assert caught.value.place == f"{path}: search.dataset.train.snr_db"
    else:
        assert len(read_specs(path, has_gpu=False)) == count


def test_values_of_the_dataset_are_checked_in_combinations_with_each_other(tmp_path: Path) -> None:
    search = {
        "dataset.train.acoustics.source_height_m": {"choice": [2.5, 1.5]},
        "dataset.train.acoustics.height_m": {"step": 1.0, "uniform": [2.0, 3.0]},
        "dataset.train.snr_db": {"when": {"dataset.train.acoustics.source_height_m": 1.5}, "uniform": [10, 30]},
    }
    space = searching(tmp_path, search, acoustics=ROOMS, snr_db=20)
    assert 10 < survey_points(space).impossible < 40  # a source above the ceiling: a quarter
    with pytest.raises(InputError, match="below the ceiling") as caught:
        searching(tmp_path, search | {"dataset.train.acoustics.source_height_m": {"choice": [1.5, 4]}}, acoustics=ROOMS)
    assert caught.value.place.endswith("search.dataset.train.acoustics.source_height_m")
