"""Trials are shown in full, and exported to space files that have exactly their values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import search.export
import search.show
from search import Search
from search.results import RESULT_VERSION, SearchFolder
from search.saved_models import find_model
from spaces.load import load_space
from tests.search.catalog.planted import plant_search
from tests.search.support import SPACE


def test_a_search_is_shown_with_its_winner_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    assert search.show.main(["toy", "--storage", str(tmp_path), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [row["trial"] for row in content["best"]] == [1, 3, 0]
    winner = content["winner"]
    assert (winner["best_epoch"], winner["setting"], winner["mlflow_run"]) == (2, {"threshold": 0.6}, "run-of-1")
    assert winner["test_scores"] == {"S0": {"f1_0.3m": 0.58}}
    names = list(winner["config"])
    assert names[: len(winner["parameters"])] == list(winner["parameters"])
    assert {"representation", "optimizer.beta1"} <= set(names)  # fixed by the space; default of the Config


def test_the_winner_of_the_verdict_is_that_of_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    folder = SearchFolder(tmp_path, "toy")
    folder.result_path.write_text(json.dumps({"version": RESULT_VERSION, "winner": 3}))
    folder.model_path(3).parent.mkdir(parents=True, exist_ok=True)
    folder.model_path(3).write_bytes(b"")
    assert search.show.main(["toy", "--storage", str(tmp_path), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert ([row["trial"] for row in content["best"]], content["winner"]["trial"]) == ([1, 3, 0], 3)
    assert search.export.main(["toy", "--storage", str(tmp_path), "-o", str(tmp_path / "winner.yaml")]) == 0
    assert (tmp_path / "winner.yaml").read_text().startswith("# Trial 3 of")
    results = Search.open("toy", tmp_path)
    assert (results.winner.number, results.best.number) == (3, 1)
    assert find_model(folder.root_path) == folder.model_path(3)


def test_a_winner_without_a_result_is_replaced_by_the_best_on_validation(tmp_path: Path) -> None:
    plant_search(tmp_path)  # its trial 2 has failed
    SearchFolder(tmp_path, "toy").result_path.write_text(json.dumps({"version": RESULT_VERSION, "winner": 2}))
    assert Search.open("toy", tmp_path).winner.number == 1


def test_a_failed_trial_is_shown_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    assert search.show.main(["toy", "2", "--storage", str(tmp_path)]) == 0
    assert "toy#2: failed: diverged" in capsys.readouterr().out
    assert search.show.main(["toy", "9", "--storage", str(tmp_path)]) == 2
    assert "0 … 3" in capsys.readouterr().err


def test_the_exported_winner_has_all_values_of_its_trial(tmp_path: Path) -> None:
    plant_search(tmp_path)
    path = tmp_path / "winner.yaml"
    assert search.export.main(["toy", "--storage", str(tmp_path), "-o", str(path), "--epochs", "90"]) == 0
    space = load_space(path, has_gpu=False)
    assert space.name == "toy-winner"
    assert space.search == ()
    assert space.fixed["optimizer.lr"] == SPACE.start[0]["optimizer.lr"]
    assert space.fixed["representation"] == "rg"
    assert (space.inner, space.objectives, space.seed) == (SPACE.inner, SPACE.objectives, SPACE.seed)
    assert space.dataset == SPACE.dataset
    assert (space.budget.trials, space.budget.epochs) == (1, 90)
    assert path.read_text().startswith("# Trial 1 of the search toy: f1_0.3m 0.6")


def test_an_export_overwrites_only_with_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_search(tmp_path)
    path = tmp_path / "winner.yaml"
    path.write_text("mine")
    command = ["toy", "--storage", str(tmp_path), "-o", str(path)]
    assert search.export.main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert search.export.main([*command, "--force"]) == 0
    assert load_space(path, has_gpu=False).name == "toy-winner"


def test_several_seeds_are_exported_to_a_file_each(tmp_path: Path) -> None:
    plant_search(tmp_path)
    path = tmp_path / "w.yaml"
    assert (
        search.export.main(["toy", "--storage", str(tmp_path), "-o", str(path), "--seeds", "1,2", "--fix-inner"]) == 0
    )
    spaces = [load_space(tmp_path / f"w-seed{seed}.yaml", has_gpu=False) for seed in (1, 2)]
    assert [(space.name, space.seed) for space in spaces] == [("toy-winner-seed1", 1), ("toy-winner-seed2", 2)]
    assert spaces[0].inner == {"threshold": (0.6,)}
    assert not path.exists()


def test_a_trial_with_searched_training_data_is_exported_with_its_dataset(tmp_path: Path) -> None:
    from spaces.schema import Dimension

    searched = (*SPACE.search, Dimension("dataset.train.samples", "choice", choices=(64, 128)))
    plant_search(tmp_path, search=searched, start=({"dataset.train.samples": 128},))
    path = tmp_path / "winner.yaml"
    assert search.export.main(["toy", "--storage", str(tmp_path), "-o", str(path)]) == 0
    space = load_space(path, has_gpu=False)
    assert space.dataset == space.dataset_of({"dataset.train.samples": 128})
    assert "dataset.train.samples" not in space.fixed
