"""`--set`: fields that are freed, conditions on them, groups, lists, and removal; searches without dimensions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datasets.rooms.spec import RoomSpec
from runtime.errors import InputError
from spaces.load import load_space
from spaces.schema import Space
from tests.spaces.test_load import SEARCHES, write

SEARCH = {
    "optimizer.lr": {"log_uniform": [1e-4, 1e-2]},
    "optimizer.batch_size": {"choice": [64, 128]},
    "loss.regression": {"choice": ["mse", "smooth_l1"]},
    "loss.huber_delta": {"uniform": [0.05, 0.5], "when": {"loss.regression": "smooth_l1"}},
}
POINT = {"optimizer.lr": 1e-3, "loss.regression": "smooth_l1", "loss.huber_delta": 0.1}


def load(folder: Path, *overrides: str, **changes: Any) -> Space:
    file = {"search": SEARCH, "baseline": POINT, "start": [POINT, {"optimizer.lr": 2e-3}]} | changes
    return load_space(write(folder, **file), has_gpu=False, overrides=overrides)


def names(space: Space) -> set[str]:
    return {dimension.name for dimension in space.search}


@pytest.mark.parametrize("path", SEARCHES, ids=lambda path: path.stem)
@pytest.mark.parametrize("profile", ["laptop", "full"])
def test_every_searched_field_of_every_space_can_be_fixed(path: Path, profile: str) -> None:
    space = load_space(path, has_gpu=True, profile=profile)
    for dimension in space.search:
        value = dimension.choices[0] if dimension.choices else dimension.low
        text = json.dumps(value) if isinstance(value, bool | None) else str(value)
        fixed = load_space(path, has_gpu=True, profile=profile, overrides=[f"{dimension.name}={text}"])
        assert dimension.name not in names(fixed)
        assert all(dimension.name not in point for point in (fixed.baseline, *fixed.start))
        assert any(remark.startswith(f"{dimension.name} is fixed to") for remark in fixed.remarks)


def test_a_fixed_field_leaves_the_search_and_all_points(tmp_path: Path) -> None:
    space = load(tmp_path, "optimizer.lr=0.005")
    assert space.fixed["optimizer.lr"] == 0.005
    assert "optimizer.lr" not in names(space)
    assert "optimizer.lr" not in {**space.baseline, **space.start[0]}
    assert space.remarks == (
        "optimizer.lr is fixed to 0.005: no longer searched nor part of baseline nor part of start.0 nor part of start.1",
    )
    assert len(space.start) == 1  # the second point had no other value


@pytest.mark.parametrize(
    "override", ["optimizer.lr=0.005", "fixed.optimizer.lr=0.005", "fixed={optimizer: {lr: 5e-3}}"]
)
def test_all_ways_to_fix_a_field_free_it(override: str, tmp_path: Path) -> None:
    space = load(tmp_path, override, "representation=rg")
    assert space.fixed["optimizer.lr"] == 0.005
    assert "optimizer.lr" not in names(space)


def test_a_condition_on_a_fixed_field_is_resolved(tmp_path: Path) -> None:
    active = load(tmp_path, "loss.regression=smooth_l1")
    assert {d.name: d.when for d in active.search}["loss.huber_delta"] == ()
    assert "loss.huber_delta is always active, since loss.regression is smooth_l1" in active.remarks
    dropped = load(tmp_path, "loss.regression=mse")
    assert "loss.huber_delta" not in {*names(dropped), *dropped.baseline, *dropped.start[0]}
    assert "loss.huber_delta is not searched, since loss.regression is mse" in dropped.remarks


def test_a_dimension_that_depends_on_a_dropped_one_is_dropped_too(tmp_path: Path) -> None:
    search = SEARCH | {
        "network.merge": {"choice": ["concat", "sum"], "when": {"loss.regression": "smooth_l1"}},
        "network.strides": {"choice": ["late", "early"], "when": {"network.merge": "sum"}},
    }
    space = load(tmp_path, "loss.regression=mse", search=search, baseline="paper", start=[])
    assert names(space) == {"optimizer.lr", "optimizer.batch_size"}
    assert "network.strides is not searched, since network.merge is not searched" in space.remarks


def test_conditions_on_fields_that_the_file_fixes_are_resolved(tmp_path: Path) -> None:
    profile = {"laptop": {"search": {"loss.regression": None}, "fixed": {"loss.regression": "mse"}}}
    space = load(tmp_path, profiles=profile, baseline="paper", start=[])
    assert names(space) == {"optimizer.lr", "optimizer.batch_size"}


def test_a_group_is_fixed_as_a_whole(tmp_path: Path) -> None:
    space = load(tmp_path, "optimizer={lr: 0.001, batch_size: 64}")
    assert names(space) == {"loss.regression", "loss.huber_delta"}
    assert (space.fixed["optimizer.lr"], space.fixed["optimizer.batch_size"]) == (0.001, 64)


def test_a_field_of_the_training_data_is_fixed_in_the_dataset(tmp_path: Path) -> None:
    search = SEARCH | {"dataset.train.snr_db": {"choice": [20, 40]}}
    space = load(tmp_path, "dataset.train.snr_db=40", search=search, dataset={"train": 100, "snr_db": 20})
    assert "dataset.train.snr_db" not in {*names(space), *space.baseline}
    assert isinstance(space.dataset, RoomSpec)
    assert space.dataset.resolve_splits()["train"].snr_db == (40, 40)


def test_entries_of_lists_and_of_searches_are_set_by_name(tmp_path: Path) -> None:
    space = load(
        tmp_path, "start.1.optimizer.lr=0.004", "baseline.optimizer.lr=0.003", "search.optimizer.batch_size.choice=[64]"
    )
    assert space.start[1]["optimizer.lr"] == 0.004
    assert space.baseline["optimizer.lr"] == 0.003
    assert {d.name: d.choices for d in space.search}["optimizer.batch_size"] == (64,)
    assert load(tmp_path, "objectives.0.direction=minimize").objectives == (("f1_1m", "minimize"),)


def test_a_searched_name_is_no_longer_fixed(tmp_path: Path) -> None:
    space = load(
        tmp_path, "search.network.leak={choice: [0.0, 0.01]}", fixed={"representation": "rg", "network.leak": 0.2}
    )
    assert "network.leak" in names(space)
    assert "network.leak" not in space.fixed


def test_null_removes_a_dimension_from_the_search_and_the_points(tmp_path: Path) -> None:
    space = load(tmp_path, "search.optimizer.lr=null")
    assert "optimizer.lr" not in {*names(space), *space.baseline, *space.fixed}
    assert space.remarks[0].startswith("optimizer.lr has its default, 0.0001: no longer searched")


def test_a_condition_on_a_removed_dimension_is_resolved_by_the_default(tmp_path: Path) -> None:
    space = load(tmp_path, "search.loss.regression=null")
    assert names(space) == {"optimizer.lr", "optimizer.batch_size"}
    assert "loss.huber_delta is not searched, since loss.regression is mse" in space.remarks


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimizer={}", "at least one value"),
        ("search.optimizer.leanring=null", "must exist"),
        ("fixed.network.leak=null", "must exist"),
        ("inner=null", "must exist"),
        ("start.7.optimizer.lr=0.1", "numbered: 0 to 1"),
        ("start.x=1", "numbered: 0 to 1"),
        ("dataset.tests.S0.x.y=1", "tests.S0.x"),
        ("profiles.laptop.budget.trials=3", "--set budget.trials"),
        ("name=a #1", "begins a comment"),
        ("optimizer.lr={a: 1, a: 2}", "given once"),
        ("optimizer..lr=1", "dotted.name=value"),
        ("budget.trials=2024-11-25", "an integer"),
        ("budget.trials=1:30", "an integer"),
        ("budget.trials=null", "required"),
    ],
)
def test_wrong_overrides_are_answered(override: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, override)
    assert words in str(caught.value)
    assert caught.value.place.startswith("--set") or "dataset" in override


def test_the_last_of_two_values_applies_and_is_reported(tmp_path: Path) -> None:
    space = load(tmp_path, "budget.trials=3", "budget.trials=5")
    assert space.budget.trials == 5
    assert space.remarks == ("budget.trials is given 2 times; the last value, 5, applies",)


@pytest.mark.parametrize("override", ["search={}", "optimizer={lr: 0.001}"])
def test_without_dimensions_the_search_is_one_training(override: str, tmp_path: Path) -> None:
    search = {"optimizer.lr": SEARCH["optimizer.lr"]}
    start = [{"optimizer.lr": 0.001}]
    space = load(tmp_path, override, search=search, baseline="paper", start=start)
    assert (space.search, space.start, dict(space.baseline), space.budget.trials) == ((), (), {}, 1)
    assert "nothing is searched: one training with fixed values" in space.remarks
    empty = load_space(write(tmp_path, search={}), has_gpu=False)
    assert (empty.search, empty.budget.trials) == ((), 1)


def test_values_of_options_are_text_as_the_shell_passes_them(tmp_path: Path) -> None:
    path = write(tmp_path)
    for name in ("2024-11-25", "1e3", "null", "yes", "0x10", "010"):
        assert load_space(path, has_gpu=False, arguments={"name": name}).name == name
    with pytest.raises(InputError, match="up to 64") as caught:
        load_space(path, has_gpu=False, arguments={"name": "my search"}, options={"name": "--name"})
    assert caught.value.place == "--name"


def test_a_name_that_yaml_reads_as_a_date_is_text_in_a_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    for name in ("2024-11-25", "2024", "1e3"):
        path.write_text(path.read_text().replace("name: mine", f"name: {name}"))
        assert load_space(path, has_gpu=False).name == name
        path = write(tmp_path)


def night(**changes: Any) -> dict[str, Any]:
    return {"profiles": {"laptop": {}, "night": changes}}


HIDDEN = {"budget": {"trials": "many", "epochs": 3}, "profiles": {"laptop": {"budget": {"trials": 2}}}}
NARROW = {"start": [{"optimizer.lr": 5e-3}]} | night(search={"optimizer.lr": {"choice": [1e-3]}})


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        (HIDDEN, "budget.trials (without a profile)"),
        (NARROW, "start.0.optimizer.lr (with the profile night)"),
        (night(budget={"epochs": 0}), "profiles.night.budget.epochs"),
        (night(bugdet={"epochs": 2}), "profiles.night.bugdet"),
        (night(search={"network.leek": {"uniform": [0, 1]}}), "profiles.night.search.network.leek"),
        (night(search={"network.leek": None}), "profiles.night.search.network.leek"),
        (night(fixed={"network": {"leak": None}}), "profiles.night.fixed.network.leak"),
        (night(stopping={"reduction": None}), "profiles.night.stopping.reduction"),
        ({"profiles": {"night": 3}}, "profiles.night"),
        ({"profiles": {"full": {}}}, "profiles.full"),
    ],
)
def test_a_mistake_is_found_in_every_profile(changes: dict[str, Any], place: str, tmp_path: Path) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        load_space(path, has_gpu=False)
    assert caught.value.place == f"{path}: {place}"


def test_a_mistake_that_an_option_hides_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, budget={"trials": "many", "epochs": 3})
    with pytest.raises(InputError, match="an integer"):
        load_space(path, has_gpu=False, overrides=["budget.trials=3"])


def test_required_keys_may_be_left_to_the_command_line(tmp_path: Path) -> None:
    path = write(tmp_path, budget={"epochs": 3}, profiles={"night": {"seed": 3}})
    path.write_text(path.read_text().replace("name: mine\n", ""))
    space = load_space(path, has_gpu=False, overrides=["budget.trials=2"], arguments={"name": "other"})
    assert (space.name, space.budget.trials) == ("other", 2)


def test_a_field_that_is_fixed_in_two_forms_is_refused(tmp_path: Path) -> None:
    fixed = {"optimizer": {"beta1": 0.9}, "optimizer.beta1": 0.8}
    with pytest.raises(InputError, match="fixed once"):
        load_space(write(tmp_path, fixed=fixed), has_gpu=False)


def test_a_profile_replaces_a_field_that_the_file_fixes_in_another_form(tmp_path: Path) -> None:
    profiles = {"laptop": {"fixed": {"optimizer.beta1": 0.8}}}
    path = write(tmp_path, fixed={"optimizer": {"beta1": 0.9}}, profiles=profiles)
    assert load_space(path, has_gpu=False).fixed["optimizer.beta1"] == 0.8


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ({"threshold": {"range": [0, 1, 1e-6]}}, "1,000,001 combinations"),
        ({"threshold": {"range": [0, 1, 5e-324]}}, "too many combinations"),
        ({"threshold": {"range": [0, 1, 1e-3]}, "nms_radius_m": {"range": [0, 1, 1e-3]}}, "1,002,001 combinations"),
        ({"threshold": {"range": [0, 1, float("nan")]}}, "finite"),
        ({"threshold": {"range": [0, float("inf"), 0.1]}}, "finite"),
        ({"threshold": {"range": [0, 1, 0]}}, "range of start, stop and step"),
        ({"threshold": {"range": [0, 1, -0.1]}}, "range of start, stop and step"),
    ],
    ids=repr,
)
def test_a_sweep_of_too_many_combinations_is_refused_before_it_is_expanded(
    inner: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        load(tmp_path, inner=inner)


def test_too_many_training_sets_are_refused_before_they_are_built(tmp_path: Path) -> None:
    search = {f"dataset.train.{name}": {"choice": list(range(1, 61))} for name in ("samples", "snr_db")}
    with pytest.raises(InputError, match="at most 1,000 combinations") as caught:
        load(tmp_path, search=SEARCH | search)
    assert caught.value.value == "3,600: 60 (dataset.train.samples) × 60 (dataset.train.snr_db)"
    with pytest.raises(InputError, match="at most 1,000 values"):
        load(tmp_path, search=SEARCH | {"network.width": {"choice": list(range(1, 2000))}})


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"search": {"optimizer.lr": {"loguniform": [1e-4, 1e-2]}}}, "{log_uniform: [low, high]}"),
        ({"search": {"optimizer.lr": {"q_uniform": [1e-4, 1e-2]}}}, "step: …"),
        ({"search": {"optimizer.batch_size": {"randint": [16, 64]}}}, "{int: [low, high]}"),
        ({"search": {"optimizer.batch_size": {"values": [16, 64]}}}, "{choice: [a, b, c]}"),
        ({"search": {"optimizer.lr": {"min": 1e-4, "max": 1e-2}}}, "{uniform: [low, high]}"),
        ({"search": {"optimizer.lr": {"lgo_uniform": [1e-4, 1e-2]}}}, "did you mean 'log_uniform'?"),
        ({"search": {"optimizer.lr": [1e-4, 1e-2]}}, "optimizer.lr: {choice: [0.0001, 0.01]}"),
        ({"search": {"optimizer.lr": 1e-3}}, "to fixed:"),
        ({"search": {"optimizer.learning_rate": {"uniform": [0, 1]}}}, "did you mean 'optimizer.lr'?"),
        ({"metric": "f1_1m"}, "objectives: ["),
        ({"num_samples": 3}, "budget: {trials:"),
        ({"model": "localizer"}, "trainable: …"),
        ({"objective": [{"metric": "f1_1m"}]}, "objectives: ["),
        ({"objectives": [{"metric": "f1_1m", "mode": "max"}]}, "direction: maximize"),
        ({"objectives": [{"metric": "f1_1m", "direction": "max"}]}, "'maximize' or 'minimize'"),
        ({"budget": {"n_trials": 4, "epochs": 3}}, "trials: …"),
        ({"budget": {"trial": 4, "epochs": 3}}, "did you mean 'trials'?"),
        ({"stopping": {"grace_period": 4}}, "first_rung: …"),
        ({"fixed": {"loss.classification": False}}, "put the word in quotes"),
        ({"trainable": ["a"]}, "text"),
        ({"objectives": "f1_1m"}, "objectives: [{metric: f1_1m}]"),
        ({"objectives": ["f1_1m", "rmse_1m"]}, "objectives: [{metric: f1_1m}, {metric: rmse_1m}]"),
        ({"objectives": {"metric": "f1_1m"}}, "objectives: [{metric: f1_1m}]"),
        ({"objectives": [{"metric": "f1_1m"}] * 2}, "remove the repeated objective"),
        ({"stopping": "none"}, "stopping: {rule: none}"),
        ({"start": {"optimizer.lr": 0.001}}, "start: [{optimizer.lr: 0.001}]"),
        ({"inner": {"threshold": 0.5}}, "threshold: {choice: [0.5]}"),
        ({"inner": {"threshold": [0.5, 0.6]}}, "threshold: {choice: [0.5, 0.6]}"),
    ],
    ids=repr,
)
def test_names_of_other_tools_are_answered_with_the_ones_of_this_one(
    changes: dict[str, Any], remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, **({"baseline": "paper", "start": []} | changes))
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    "override",
    [
        "budget.trials=yes",
        "seed=on",
        "optimizer.lr=true",
        "search.optimizer.batch_size={choice: [64, yes]}",
        "dataset.seed=no",
    ],
)
def test_a_boolean_is_no_number(override: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="written in digits"):
        load(tmp_path, override)


def test_keys_with_comments_only_are_empty(tmp_path: Path) -> None:
    assert load(tmp_path, start=None, inner=None, fixed=None).start == ()


def test_null_in_a_profile_removes_a_whole_key(tmp_path: Path) -> None:
    inner = {"threshold": {"choice": [0.5]}}
    space = load(tmp_path, inner=inner, profiles={"laptop": {"inner": None, "start": None}})
    assert (space.inner, space.start) == ({}, ())


def test_a_space_is_suggested_by_its_name() -> None:
    with pytest.raises(InputError) as caught:
        load_space(Path("rg_rep"), has_gpu=False)
    assert caught.value.remedy == "did you mean 'spaces/rg_rep.yaml'?"
