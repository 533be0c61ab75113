"""Errors of saved models by source: they agree with the metrics, and survive their file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from datasets.rooms.dataset import Dataset
from search.execution.error_files import ModelErrors, analyse_model, read_errors
from search.execution.scoring import load_trial_model
from search.experiment import Experiment
from tests.search.saved_searches import SavedSearches, train_searches
from trainables.error_analysis import SIMULTANEOUS, ErrorAnalysis
from trainables.localizer.trainable import Localizer


@pytest.fixture(scope="module")
def searches(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> SavedSearches:
    return train_searches(tiny, tmp_path_factory.mktemp("analysed"))


def count_f1(analysis: ErrorAnalysis, gate: int) -> float:
    hits = np.isfinite(analysis.sources.errors[gate]).sum()
    assert len(analysis.estimates.positions) - hits == analysis.estimates.is_false[gate].sum()
    return float(2 * hits / max(1, len(analysis.sources.positions) + len(analysis.estimates.positions)))


def first_split(experiment: Experiment) -> str:
    return next(iter(experiment.space.dataset.test_names()))


def test_the_matches_of_the_localizer_give_the_f1_of_its_metrics(searches: SavedSearches) -> None:
    experiment = searches.localizer
    analysis = analyse_model(experiment, 0, "cpu").analyses[first_split(experiment)]
    model, setting = load_trial_model(experiment, 0, "cpu")
    metrics = model.evaluate(first_split(experiment), [setting])[0]
    assert analysis.axes.gates == (0.3, 1.0)
    assert [count_f1(analysis, gate) for gate in (0, 1)] == pytest.approx([metrics["f1_0.3m"], metrics["f1_1m"]])
    assert len(analysis.estimates.positions)


def test_every_position_of_the_localizer_is_inside_and_has_its_factors(searches: SavedSearches) -> None:
    analysis = analyse_model(searches.localizer, 0, "cpu").analyses[first_split(searches.localizer)]
    (low_x, high_x), (low_y, high_y) = analysis.axes.limits
    x, y = analysis.sources.positions.T
    assert ((x >= low_x) & (x <= high_x) & (y >= low_y) & (y <= high_y)).all()
    assert {len(values) for values in analysis.sources.factors.values()} == {len(x)}
    several = analysis.sources.factors[SIMULTANEOUS] > 1
    separation = analysis.sources.factors["distance to the nearest other source, m"]
    assert np.isnan(separation[~several]).all()
    assert (separation[several] >= 1.99).all()  # the minimum of the dataset


def test_the_matches_of_doanet_count_what_its_metrics_count(searches: SavedSearches) -> None:
    experiment = searches.doanet
    analysis = analyse_model(experiment, 0, "cpu").analyses[first_split(experiment)]
    model, setting = load_trial_model(experiment, 0, "cpu")
    metrics = model.evaluate(first_split(experiment), [setting])[0]
    missed = np.isnan(analysis.sources.errors[-1]).sum()
    assert missed == metrics["fn_180deg"]
    assert analysis.estimates.is_false[-1].sum() == metrics["fp_180deg"]
    assert analysis.switches == metrics["ids_20deg"]
    truth = analysis.examples[0].truth
    assert truth.shape[0] == len(analysis.examples[0].time_s) == 600
    assert np.nanmax(np.abs(truth[..., 0])) <= 180


@pytest.mark.parametrize("name", ["localizer", "doanet"])
def test_the_file_holds_what_was_computed(name: str, searches: SavedSearches) -> None:
    experiment = getattr(searches, name)
    experiment.results.remove_file(experiment.results.errors_path(0))
    computed, read = analyse_model(experiment, 0, "cpu"), read_errors(experiment.results, 0)
    assert read.sweeps == computed.sweeps
    for split, analysis in computed.analyses.items():
        again = read.analyses[split]
        assert {**vars(again.axes), "landmarks": None} == {**vars(analysis.axes), "landmarks": None}
        np.testing.assert_allclose(again.sources.errors, analysis.sources.errors, rtol=1e-6)
        np.testing.assert_array_equal(again.estimates.is_false, analysis.estimates.is_false)
        assert list(again.sources.factors) == list(analysis.sources.factors)
        for one, other in zip(again.examples, analysis.examples, strict=True):
            assert (one.title, one.rate_hz) == (other.title, other.rate_hz)
            assert np.abs(one.sound - other.sound[: len(one.sound)]).max() < 1e-4
            assert len(one.sound) == min(len(other.sound), 20 * other.rate_hz)


def test_the_file_has_the_scores_of_the_yardsticks(searches: SavedSearches) -> None:
    analyse_model(searches.localizer, 0, "cpu")
    splits = list(searches.localizer.space.dataset.test_names())
    kept = read_errors(searches.localizer.results, 0).yardsticks
    assert list(kept) == ["SRP-PHAT", "MUSIC"]
    for method in kept:
        assert list(kept[method]) == splits
        assert kept[method]["S0"]["f1_1m"] > 0.5
    assert analyse_model(searches.doanet, 0, "cpu").yardsticks == {}


def test_a_sweep_contains_the_chosen_value_and_its_metrics(searches: SavedSearches) -> None:
    experiment = searches.localizer
    split = first_split(experiment)
    sweep = next(s for s in analyse_model(experiment, 0, "cpu").sweeps[split] if s.parameter == "threshold")
    model, setting = load_trial_model(experiment, 0, "cpu")
    place = sweep.values.index(setting["threshold"])
    assert sweep.metrics["f1_1m"][place] == pytest.approx(model.evaluate(split, [setting])[0]["f1_1m"])
    assert list(sweep.values) == sorted(sweep.values)


def test_a_trainable_without_positions_has_no_analysis(searches: SavedSearches) -> None:
    assert analyse_model(searches.hnet, 0, "cpu").analyses == {}


def test_errors_are_computed_again_only_if_the_model_has_changed(
    searches: SavedSearches, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = searches.localizer
    first = analyse_model(experiment, 1, "cpu")
    calls: list[str] = []

    def evaluate(_: object, split: str, params_grid: list[dict[str, float]]) -> list[dict[str, float]]:
        calls.append(split)
        return [{}] * len(params_grid)

    monkeypatch.setattr(Localizer, "evaluate", evaluate)
    monkeypatch.setattr(Localizer, "score_yardsticks", lambda *_: {})
    assert analyse_model(experiment, 1, "cpu").model == first.model
    assert calls == []
    model = experiment.results.model_path(1)
    shutil.copyfile(experiment.results.model_path(0), model)  # as if it had been trained further
    assert analyse_model(experiment, 1, "cpu").model != first.model
    assert calls == list(experiment.space.dataset.test_names())


def test_a_corrupt_file_counts_as_absent(searches: SavedSearches) -> None:
    path: Path = searches.hnet.results.errors_path(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PK\x03\x04 and nothing else")
    assert read_errors(searches.hnet.results, 0) == ModelErrors()
