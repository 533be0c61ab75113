"""Files with rows: their expansion to a search, and the errors about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.errors import InputError
from spaces.load import load_space
from spaces.schema import Space
from spaces.tables import expand_rows

TABLE: dict[str, Any] = {
    "name": "mine",
    "trainable": "localizer",
    "dataset": {"train": 100},
    "fixed": {"optimizer.lr": 0.002, "network.width": 16},
    "rows": {
        "TG": {"set": {"representation": "tg"}, "paper": {"S0.f1_1m": 0.94}},
        "RG": {"set": {"representation": "rg", "optimizer.lr": 0.004}, "paper": {"S0.f1_1m": 0.96}},
        "RG 10 %": {"set": {"representation": "rg", "dataset.train.samples": 10}},
    },
    "seeds": 3,
    "objectives": [{"metric": "f1_1m"}],
    "budget": {"epochs": 3},
}


def load(folder: Path, *overrides: str, **changes: Any) -> Space:
    path = folder / "space.yaml"
    data = {key: value for key, value in (TABLE | changes).items() if value is not None}
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return load_space(path, has_gpu=False, overrides=overrides)


def test_rows_become_baseline_and_starts_with_the_fixed_values_that_others_change(tmp_path: Path) -> None:
    space = load(tmp_path)
    points = [space.baseline, *space.start]
    assert [point["representation"] for point in points] == ["tg", "rg", "rg"]
    assert [point["optimizer.lr"] for point in points] == [0.002, 0.004, 0.002]
    assert [point["dataset.train.samples"] for point in points] == [100, 100, 10]
    assert dict(space.fixed) == {"network.width": 16}
    assert (space.max_trials, space.stopping.rule) == (3, "none")
    assert space.confirm is not None
    assert space.confirm.seeds == 2


def test_a_search_is_left_as_it_is() -> None:
    data = {"name": "mine", "search": {"x": {"uniform": [0, 1]}}}
    assert expand_rows(data, "f.yaml") == data


def test_a_list_of_seeds_gives_the_seed_of_the_first_training(tmp_path: Path) -> None:
    space = load(tmp_path, seeds=[7, 2])
    assert space.seed == 7
    assert space.confirm is not None
    assert space.confirm.seeds == 1


def test_one_seed_needs_no_further_trainings(tmp_path: Path) -> None:
    assert load(tmp_path, seeds=1).confirm is None


@pytest.mark.parametrize(
    ("changes", "place", "rule"),
    [
        ({"search": {}}, "search", "a file with `rows` has no `search`"),
        ({"budget": {"epochs": 3, "trials": 4}}, "budget.trials", "no number of trials"),
        ({"rows": None}, "seeds", "`seeds` is a key of a table"),
        ({"seeds": 0}, "seeds", "a number from 1 to 100"),
        ({"seeds": [1, 1]}, "seeds", "different seeds"),
        ({"seeds": [1, 2], "seed": 3}, "seed", "no other seed"),
        ({"rows": {"A": {"set": {"representatio": "tg"}}}}, "rows.A.set.representatio", "known"),
        ({"rows": {"A": {"set": {"network.leak": 2}}, "B": {}}}, "rows.A.set.network.leak", "0.5"),
        ({"rows": {"A": {"set": {"network.width": 8}}}}, "fixed.network.width", "must have an effect"),
        ({"rows": {"A": {"set": {"encoder": "array"}}, "B": {"set": {"encoder": "array"}}}}, "rows.B", "must differ"),
        ({"rows": {"A": {"paper": {"f1": 0.9}}}}, "rows.A.paper.f1", "a test split and a metric"),
        ({"table": {"differences": [["TG", "HM"]]}}, "table.differences.0", "that of two rows"),
    ],
)
def test_wrong_tables_are_refused_at_their_place(
    changes: dict[str, Any], place: str, rule: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as raised:
        load(tmp_path, **changes)
    assert raised.value.place.startswith(f"{tmp_path / 'space.yaml'}: {place}")
    assert rule in raised.value.rule
