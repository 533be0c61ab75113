"""The Config's defaults are the paper's values, and its bounds hold."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from spaces.schema import nest_names
from tests.trainables.localizer.support import paper
from trainables.localizer.config import INNER, METRICS, LocalizerConfig, RetrievalConfig

SIGMA_M = 0.1**0.5


@pytest.mark.parametrize("representation", ["tg", "hm", "rg"])
def test_training_is_the_papers(representation: str) -> None:
    config = paper(representation)
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.lr, optimizer.beta1, optimizer.beta2) == ("adam", 1e-4, 0.5, 0.999)
    assert (optimizer.batch_size, optimizer.epoch_samples, optimizer.schedule) == (128, 0, "constant")
    assert (optimizer.weight_decay, optimizer.clip_norm) == (0.0, 0.0)
    assert (config.augment.level_db, config.augment.channel_gain_db, config.features.gain) == (0.0, 0.0, "none")
    assert (config.loss.classification, config.loss.regression) == ("bce", "mse")


def test_the_network_is_table_2() -> None:
    network = LocalizerConfig.model_validate({}).network
    assert (network.width, network.tail_width, network.decoder_width, network.strides) == (128, 64, 256, "late")
    assert network.encoder_norm is False


def test_the_papers_best_variant_is_the_default() -> None:
    config = LocalizerConfig.model_validate({})
    assert (config.representation, config.encoder) == ("hm", "combined")
    assert config == paper("hm")


@pytest.mark.parametrize(
    ("representation", "grid", "weight", "retrieval"),
    [
        ("tg", (81, 1.05), 0.01, (True, 0.1, 0.5, SIGMA_M)),
        ("hm", (81, 1.05), 0.01, (True, 0.6, 0.5, SIGMA_M)),
        ("rg", (6, 0.0), 0.25, (True, 0.6, 1.0, 0.0)),
    ],
)
def test_values_that_differ_by_representation(
    representation: str, grid: tuple[int, float], weight: float, retrieval: tuple[bool, float, float, float]
) -> None:
    config = paper(representation)
    own = config.retrieval
    assert (config.grid.cells, config.grid.margin_m) == grid
    assert config.loss.inactive_weight == weight
    assert (own.peaks, own.threshold, own.nms_radius_m, own.smoothing_m) == pytest.approx(retrieval)
    assert config.loss.position_weight == 10
    assert config.target.sigma_m**2 == pytest.approx(0.1)


def test_the_tight_baseline_takes_every_cell_above_six_tenths() -> None:
    assert paper("tg", retrieval__peaks=False).retrieval.threshold == 0.6
    assert paper("tg", retrieval__peaks=False, retrieval__threshold=0.3).retrieval.threshold == 0.3


def test_smoothing_follows_the_targets_sigma_until_it_is_set() -> None:
    assert paper("hm", target__sigma_m=0.5).retrieval.smoothing_m == 0.5
    assert paper("hm", target__sigma_m=0.5, retrieval__smoothing_m=0.2).retrieval.smoothing_m == 0.2
    assert paper("rg", target__sigma_m=0.5).retrieval.smoothing_m == 0.0


def test_a_given_value_wins_over_the_papers() -> None:
    config = paper("rg", grid__cells=8, loss__inactive_weight=0.5)
    assert (config.grid.cells, config.grid.margin_m, config.loss.inactive_weight) == (8, 0.0, 0.5)


@pytest.mark.parametrize(
    "values",
    [
        {"representation": "polar"},
        {"optimizer.lr": 0.0},
        {"optimizer.lr": float("nan")},
        {"network.tail_width": 5},
        {"network.decoder_width": 20},
        {"grid.cells": 2},
        {"retrieval.threshold": 1.5},
        {"optimizer.learning_rate": 0.1},
        {"widht": 3},
        {"loss": "bce"},
        {"encoder": "combined", "features.kind": "ipd"},
    ],
    ids=repr,
)
def test_values_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LocalizerConfig.model_validate(nest_names(values))


def test_a_config_survives_being_written() -> None:
    config = paper("tg", optimizer__lr=0.01, retrieval__peaks=False)
    assert LocalizerConfig.model_validate(config.model_dump()) == config
    assert LocalizerConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("parameter", INNER, ids=lambda parameter: parameter.name)
def test_inner_parameters_are_fields_of_the_retrieval_with_the_same_bounds(parameter: Any) -> None:
    bounds = RetrievalConfig.model_fields[parameter.name].metadata
    assert {type(b).__name__: b for b in bounds}["Ge"].ge == parameter.low
    assert {type(b).__name__: b for b in bounds}["Le"].le == parameter.high


def test_every_figure_knows_which_way_is_better() -> None:
    directions = {metric.name: metric.direction for metric in METRICS}
    assert [name for name, direction in directions.items() if direction == "minimize"] == ["rmse_0.3m", "rmse_1m"]
    assert {"f1_0.3m", "precision_0.3m", "recall_0.3m", "f1_1m", "precision_1m", "recall_1m"} < set(directions)
