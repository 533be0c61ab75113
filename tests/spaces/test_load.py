"""Space files that are right: profiles, overrides, conditions, baselines. Wrong ones are in `tests/search/test_launch.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from datasets.rooms.spec import RoomSpec
from runtime.errors import InputError
from spaces.load import load_space
from spaces.schema import Dimension, Prior, field_names, flatten_names, nest_names
from trainables import registry
from trainables.localizer.config import LocalizerConfig

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = sorted((ROOT / "spaces").glob("*.yaml"))
SEARCHES = [path for path in FILES if "\nsearch:" in path.read_text()]


def write(folder: Path, **changes: Any) -> Path:
    data = {
        "name": "mine",
        "trainable": "localizer",
        "dataset": {"train": 100},
        "fixed": {"representation": "rg"},
        "search": {"optimizer.lr": {"log_uniform": [1e-4, 1e-2]}},
        "objectives": [{"metric": "f1_1m"}],
        "budget": {"trials": 4, "epochs": 3},
    }
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(data | changes))
    return path


def test_the_spaces_are_there() -> None:
    assert [path.stem for path in FILES] == [
        "doa_table1",
        "doanet_foa",
        "doanet_mic",
        "encoders",
        "hm_rep",
        "hnet",
        "rg_rep",
        "rooms",
        "sim_to_real",
        "table3",
        "table4",
        "tg_rep",
        "tracking_losses",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("has_gpu", [False, True])
def test_every_space_loads_with_and_without_a_gpu(path: Path, has_gpu: bool) -> None:
    space = load_space(path, has_gpu=has_gpu)
    assert space.name == path.stem
    assert space.profile == (None if has_gpu else "laptop")
    assert (space.resources.gpu != 0) == has_gpu


@pytest.mark.parametrize("path", SEARCHES, ids=lambda path: path.stem)
def test_the_full_profile_starts_from_the_papers_values(path: Path) -> None:
    space = load_space(path, has_gpu=True)
    values = space.config_values(dict(space.fixed) | dict(space.baseline))
    chosen = {"localizer": "representation", "doanet": "format"}.get(space.trainable)
    given = {chosen: values[chosen]} if chosen in values else {}
    config = registry.describe_trainable(space.trainable, "tests").config
    papers = flatten_names(config.model_validate(given).model_dump())
    assert all(papers[name] == value for name, value in values.items())


@pytest.mark.parametrize("name", ["encoders", "hm_rep", "rg_rep", "rooms", "tg_rep"])
def test_the_localizers_spaces_have_the_papers_sizes(name: str) -> None:
    space = load_space(ROOT / "spaces" / f"{name}.yaml", has_gpu=True)
    assert isinstance(space.dataset, RoomSpec)
    sizes = {name: split.samples for name, split in space.dataset.resolve_splits().items()}
    assert (sizes["train"], sizes["validate"], space.budget.epochs) == (100_000, 5_000, 200)


def test_a_named_profile_applies_and_full_is_none(tmp_path: Path) -> None:
    path = write(tmp_path, profiles={"laptop": {"budget": {"trials": 2}}, "night": {"budget": {"epochs": 30}}})
    assert load_space(path, has_gpu=False).budget.trials == 2
    assert load_space(path, has_gpu=True).budget.trials == 4
    assert load_space(path, has_gpu=False, profile="full").budget.trials == 4
    night = load_space(path, has_gpu=False, profile="night")
    assert (night.budget.trials, night.budget.epochs, night.profile) == (4, 30, "night")


def test_a_null_in_a_profile_removes_a_dimension_and_a_range_is_replaced_whole(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        search={"optimizer.lr": {"log_uniform": [1e-4, 1e-2]}, "network.leak": {"uniform": [0.0, 0.1]}},
        profiles={"laptop": {"search": {"network.leak": None, "optimizer.lr": {"choice": [1e-4, 1e-3]}}}},
    )
    assert load_space(path, has_gpu=False).search == (Dimension("optimizer.lr", "choice", choices=(1e-4, 1e-3)),)


def test_overrides_change_keys_of_the_file_and_fix_fields(tmp_path: Path) -> None:
    path = write(
        tmp_path, search={"optimizer.lr": {"log_uniform": [1e-4, 1e-2]}, "network.leak": {"choice": [0.0, 0.01]}}
    )
    changes = [
        "budget.trials=9",
        "dataset.level_db=[-6, 0]",
        "optimizer.lr=3e-3",
        "search.network.merge={choice: [concat, sum]}",
    ]
    space = load_space(path, has_gpu=False, overrides=changes)
    assert space.budget.trials == 9
    assert isinstance(space.dataset, RoomSpec)
    assert space.dataset.level_db == (-6, 0)
    assert space.fixed["optimizer.lr"] == 3e-3
    assert {dimension.name for dimension in space.search} == {"network.leak", "network.merge"}


def test_numbers_without_a_point_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    write(tmp_path)
    path.write_text(path.read_text().replace("0.0001", "1e-4"))
    assert load_space(path, has_gpu=False).search[0].low == 1e-4


def test_conditions_come_before_what_they_decide(tmp_path: Path) -> None:
    search = {
        "loss.huber_delta": {"uniform": [0.05, 0.5], "when": {"loss.regression": "smooth_l1"}},
        "loss.regression": {"choice": ["mse", "smooth_l1"]},
    }
    space = load_space(write(tmp_path, search=search), has_gpu=False)
    assert [dimension.name for dimension in space.search] == ["loss.regression", "loss.huber_delta"]
    assert space.baseline == {"loss.regression": "mse"}


def test_conditions_in_a_circle_are_refused(tmp_path: Path) -> None:
    search = {
        "network.merge": {"choice": ["concat", "sum"], "when": {"network.strides": "late"}},
        "network.strides": {"choice": ["late", "early"], "when": {"network.merge": "sum"}},
    }
    with pytest.raises(InputError, match="circle"):
        load_space(write(tmp_path, search=search), has_gpu=False)


def test_the_baseline_takes_the_papers_value_for_the_representation(tmp_path: Path) -> None:
    search = {"grid.cells": {"choice": [6, 27, 81]}, "loss.inactive_weight": {"log_uniform": [0.001, 1]}}
    for representation, expected in (("rg", (6, 0.25)), ("tg", (81, 0.01))):
        space = load_space(write(tmp_path, search=search, fixed={"representation": representation}), has_gpu=False)
        assert (space.baseline["grid.cells"], space.baseline["loss.inactive_weight"]) == expected


def test_an_inner_range_includes_its_end(tmp_path: Path) -> None:
    path = write(tmp_path, inner={"threshold": {"range": [0.1, 0.3, 0.1]}, "nms_radius_m": {"choice": [1.0]}})
    assert load_space(path, has_gpu=False).inner == {"threshold": (0.1, 0.2, 0.3), "nms_radius_m": (1.0,)}


def test_synonyms_of_keys_give_the_same_space(tmp_path: Path) -> None:
    inner, start = {"threshold": {"choice": [0.2, 0.4]}}, [{"optimizer.lr": 1e-3}]
    profile = {"laptop": {"inference": {"nms_radius_m": {"choice": [1.0]}}}}
    plain = load_space(write(tmp_path, inner=inner, start=start, profiles=profile), has_gpu=False)
    renamed = load_space(write(tmp_path, inference=inner, initial_points=start, profiles=profile), has_gpu=False)
    assert plain == renamed
    assert plain.identity() == renamed.identity()
    assert plain.inner == {"threshold": (0.2, 0.4), "nms_radius_m": (1.0,)}
    changes = ["inference.threshold={choice: [0.3]}", "initial_points=[]"]
    changed = load_space(write(tmp_path, inner=inner, start=start), has_gpu=False, overrides=changes)
    assert (changed.inner, changed.start) == ({"threshold": (0.3,)}, ())


@pytest.mark.parametrize(("key", "synonym"), [("inner", "inference"), ("start", "initial_points")])
def test_a_key_and_its_synonym_together_are_refused(key: str, synonym: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two names of the same key"):
        load_space(write(tmp_path, **{key: {}, synonym: {}}), has_gpu=False)
    with pytest.raises(InputError, match=f"profiles.laptop.{synonym}"):
        load_space(write(tmp_path, profiles={"laptop": {key: {}, synonym: {}}}), has_gpu=False)


@pytest.mark.parametrize("change", ["optimizer.beta1=0.9", "budget.epochs=20"])
@pytest.mark.parametrize("name", ["encoders", "hm_rep", "rg_rep", "rooms", "tg_rep"])
def test_the_overrides_of_the_documentation_apply_to_the_spaces_of_the_localizer(name: str, change: str) -> None:
    load_space(ROOT / "spaces" / f"{name}.yaml", has_gpu=False, overrides=[change])


def test_a_searched_field_of_the_named_points_is_fixed_as_the_documentation_says() -> None:
    space = load_space(ROOT / "spaces" / "rg_rep.yaml", has_gpu=False, overrides=["optimizer.lr=0.001", "start=[]"])
    assert space.fixed["optimizer.lr"] == 0.001
    assert "optimizer.lr" not in {dimension.name for dimension in space.search}


def test_an_objective_has_its_metrics_direction_unless_told(tmp_path: Path) -> None:
    path = write(tmp_path, objectives=[{"metric": "f1_1m"}, {"metric": "rmse_1m"}])
    assert load_space(path, has_gpu=False).objectives == (("f1_1m", "maximize"), ("rmse_1m", "minimize"))


def test_what_a_resume_may_change_is_not_part_of_the_identity(tmp_path: Path) -> None:
    before = load_space(write(tmp_path), has_gpu=False).identity()
    more = load_space(
        write(tmp_path), has_gpu=False, overrides=["budget.trials=50", "budget.hours=1", "resources.cpu=2"]
    )
    assert more.identity() == before
    longer = load_space(write(tmp_path), has_gpu=False, overrides=["budget.epochs=50"])
    assert longer.identity() != before


def test_names_of_fields_and_nesting_are_inverse() -> None:
    values = flatten_names(LocalizerConfig.model_validate({"representation": "rg"}).model_dump())
    assert set(values) == set(field_names(LocalizerConfig))
    assert LocalizerConfig.model_validate(nest_names(values)) == LocalizerConfig.model_validate(
        {"representation": "rg"}
    )


def test_corners_are_the_named_points_and_every_end_beside_the_baseline(tmp_path: Path) -> None:
    search = {
        "optimizer.lr": {"log_uniform": [1e-4, 1e-2]},
        "network.merge": {"choice": ["concat", "sum"]},
        "dataset.train.samples": {"int": [50, 100]},
    }
    start = [{"optimizer.lr": 2e-3}]
    space = load_space(write(tmp_path, search=search, start=start, baseline={"optimizer.lr": 1e-3}), has_gpu=False)
    fixed = {"representation": "rg", "network.merge": "concat"}
    expected = [
        fixed | {"optimizer.lr": 1e-3},
        fixed | {"optimizer.lr": 2e-3},
        fixed | {"optimizer.lr": 1e-4},
        fixed | {"optimizer.lr": 1e-2},
        fixed | {"optimizer.lr": 1e-3},
        fixed | {"optimizer.lr": 1e-3, "network.merge": "sum"},
        *[fixed | {"optimizer.lr": 1e-3}] * 2,
    ]
    assert sorted(map(repr, space.boundary_points())) == sorted(map(repr, expected))


def test_a_prior_is_a_value_of_its_dimension_in_the_form_of_the_dimension(tmp_path: Path) -> None:
    search = {
        "optimizer.lr": {"log_uniform": [1e-4, 1], "prior": 1, "width": "narrow"},
        "optimizer.batch_size": {"int": [16, 64], "step": 16, "prior": 32.0},
        "network.merge": {"choice": ["concat", "sum"], "prior": "sum", "width": "wide"},
        "network.leak": {"uniform": [0, 0.5]},
    }
    space = load_space(write(tmp_path, search=search), has_gpu=True)
    priors = {dimension.name: dimension.prior for dimension in space.search}
    assert priors == {
        "optimizer.lr": Prior(1, "narrow"),
        "optimizer.batch_size": Prior(32, "medium"),
        "network.merge": Prior("sum", "wide"),
        "network.leak": None,
    }
    assert isinstance(priors["optimizer.batch_size"], Prior)
    assert isinstance(priors["optimizer.batch_size"].value, int)


@pytest.mark.parametrize("sampler", ["auto", "tpe", "gp", "cma", "qmc", "random", "grid"])
def test_a_sampler_by_name_is_accepted_where_it_is_sound(sampler: str, tmp_path: Path) -> None:
    ranges = {"optimizer.lr": {"log_uniform": [1e-4, 1e-2]}, "network.leak": {"uniform": [0, 0.5]}}
    grid = {"network.leak": {"uniform": [0, 0.5], "step": 0.1}, "network.merge": {"choice": ["concat", "sum"]}}
    path = write(tmp_path, search=grid if sampler == "grid" else ranges, sampler=sampler)
    assert load_space(path, has_gpu=True).sampler == sampler
    assert load_space(path, has_gpu=True, overrides=["sampler=random"]).sampler == "random"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objectives": [{"metric": "f1_1m"}, {"metric": "rmse_1m"}]}, "one objective"),
        ({"search": {"optimizer.lr": {"log_uniform": [1e-4, 1e-2]}}}, "at least two ranges"),
    ],
)
def test_cma_es_is_refused_for_spaces_that_it_cannot_adapt_to(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    ranges = {"optimizer.lr": {"log_uniform": [1e-4, 1e-2]}, "network.leak": {"uniform": [0, 0.5]}}
    with pytest.raises(InputError, match=words):
        load_space(write(tmp_path, **{"search": ranges, "sampler": "cma", **changes}), has_gpu=True)


def test_a_sampler_has_no_effect_where_nothing_is_searched(tmp_path: Path) -> None:
    path = write(tmp_path, sampler="cma")
    with pytest.raises(InputError, match="two ranges"):
        load_space(path, has_gpu=True)
    assert load_space(write(tmp_path, sampler="cma", search={}), has_gpu=True).sampler == "cma"
