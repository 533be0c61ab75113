"""A robustness map of a saved localizer: conditions, rooms of its geometry, files, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.acoustics.conditions import AcousticCondition, list_conditions
from datasets.rooms.dataset import Dataset
from datasets.rooms.disturbed import DisturbedSplit
from datasets.rooms.spec import RoomSpec
from search import stress
from search.reporting.page.gathering import _read_robustness
from search.robustness.rooms import describe_rooms
from tests.search.saved_searches import SavedSearches, train_searches


@pytest.fixture(scope="module")
def searches(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> SavedSearches:
    return train_searches(tiny, tmp_path_factory.mktemp("stressed"))


def test_conditions_are_all_combinations_in_words() -> None:
    conditions = list_conditions([0.0, 0.3], [None, 10.0], [0.0, 2.0])
    assert len(conditions) == 8
    assert conditions[0].describe() == "free field, no noise"
    assert conditions[-1].describe() == "RT60 0.3 s, SNR 10 dB, gains ± 2 dB"


@pytest.mark.parametrize(
    "arrays",
    [
        None,  # two Kinects, partly outside of the area
        [{"centre_m": [1, 1], "model": "tetrahedron"}, {"centre_m": [5, 1], "model": "tetrahedron"}],
    ],
)
def test_rooms_have_the_microphones_of_the_model_inside(arrays: list[dict[str, object]] | None) -> None:
    microphones_m = RoomSpec.model_validate({} if arrays is None else {"arrays": arrays}).microphones_m()
    spec = describe_rooms((6.0, 6.0), microphones_m, 0.3, [1, 3], 20)
    spec.require_feasible()
    np.testing.assert_allclose(spec.microphones_m(), microphones_m, atol=1e-9)
    assert spec.test_names() == ("sources1", "sources3")
    assert spec.resolve_splits()["sources3"].sources == (3, 3)
    assert describe_rooms((6.0, 6.0), microphones_m, 0.0, [1], 20).acoustics is None


def test_noise_and_gains_are_those_of_the_condition_and_the_same_each_time(tiny: Dataset) -> None:
    clean, rows = tiny.open_split("S0"), np.arange(20)
    waves = clean.read_batch(rows).waves
    stressed = DisturbedSplit(clean, AcousticCondition(0.0, 10.0, 0.0)).read_batch(rows)
    ratio = waves.square().mean((1, 2, 3)) / (stressed.waves - waves).square().mean((1, 2, 3))
    assert torch.allclose(10 * ratio.log10(), torch.full((20,), 10.0), atol=0.5)
    gained = DisturbedSplit(clean, AcousticCondition(0.0, None, 3.0))
    first, second = gained.read_batch(rows).waves, gained.read_batch(rows).waves
    assert torch.equal(first, second)
    levels_db = 10 * (first.square().mean(-1) / waves.square().mean(-1)).log10()
    assert levels_db.abs().max() <= 3.001
    assert levels_db.std() == pytest.approx(3 / np.sqrt(3), rel=0.1)
    assert torch.equal(DisturbedSplit(clean, AcousticCondition(0.0, None, 0.0)).read_batch(rows).waves, waves)


@pytest.mark.slow
def test_the_command_scores_the_model_and_the_yardsticks(
    searches: SavedSearches, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = searches.localizer.results
    options = ["--rt60", "0,0.2", "--snr", "none,10", "--gains", "0", "--sources", "1,2", "--samples", "16"]
    command = [str(results.trial_path(1)), *options, "--datasets", str(tmp_path / "datasets")]
    assert stress.main(command) == 0
    shown = capsys.readouterr().out
    assert "4 conditions, 16 samples for each of 2 numbers of sources" in shown
    assert "in the mean of 8 combinations" in shown
    assert "SRP-PHAT: f1_mean" in shown
    assert "MUSIC: f1_mean" in shown
    scores = json.loads((results.trial_path(1) / "stress.json").read_text())["scores"]
    assert len(scores) == 4 * 2 * 3
    by_key = {(s["rt60_s"], s["snr_db"], s["sources"], s["method"]): s["metrics"]["f1_1m"] for s in scores}
    assert by_key[0.0, None, 1, "SRP-PHAT"] > 0.8
    assert by_key[0.0, None, 1, "MUSIC"] > 0.8
    assert "RT60 0.2 s, SNR 10 dB" in (results.trial_path(1) / "stress.html").read_text()
    assert _read_robustness(results, 1) == scores
    model = results.model_path(1).read_bytes()
    results.model_path(1).write_bytes(results.model_path(0).read_bytes())
    assert _read_robustness(results, 1) == []  # of another model
    results.model_path(1).write_bytes(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rt60", "0,x"], "write numbers from 0 to 10, separated by commas"),
        (["--snr", "none,200"], "write numbers from -30 to 100"),
        (["--sources", "0"], "write numbers from 1 to 4"),
        (["--sources", "1.5"], "write whole numbers"),
        (["--gains", "-1"], "write numbers from 0 to 20"),
    ],
)
def test_wrong_values_are_named(
    options: list[str], message: str, searches: SavedSearches, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stress.main([str(searches.localizer.results.model_path(0)), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_model_without_rooms_is_refused(searches: SavedSearches, capsys: pytest.CaptureFixture[str]) -> None:
    assert stress.main([str(searches.doanet.results.model_path(0))]) == 2
    assert "the model must be a localizer" in capsys.readouterr().err
