"""The Config's defaults are the authors' values, and its bounds hold."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from spaces.schema import nest_names
from trainables.hnet.config import METRICS, HnetConfig


def test_the_defaults_are_the_authors() -> None:
    config = HnetConfig()
    assert (config.max_sources, config.data.matrices, config.data.padding) == (2, 15_000, "mixed")
    network, loss, optimizer = config.network, config.loss, config.optimizer
    assert (network.hidden, network.bidirectional, network.scaled_attention, network.distance_limit) == (128, 0, 0, 0)
    assert (loss.assignment, loss.rows, loss.columns, loss.reduction) == (1, 1, 1, "sum")
    assert (optimizer.lr, optimizer.batch_size, optimizer.schedule) == (1e-3, 256, "constant")
    assert (optimizer.weight_decay, optimizer.clip_norm, config.augment.permute) == (0, 0, "none")


@pytest.mark.parametrize(
    "values",
    [
        {"max_sources": 1},
        {"max_sources": 8},
        {"data.padding": "zero"},
        {"data.matrices": 10},
        {"loss.assignment": 0.0},
        {"optimizer.lr": float("nan")},
        {"augment.permute": "diagonal"},
        {"hidden": 3},
    ],
    ids=repr,
)
def test_values_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HnetConfig.model_validate(nest_names(values))


def test_a_config_survives_being_written() -> None:
    config = HnetConfig.model_validate(nest_names({"max_sources": 3, "optimizer.schedule": "one_cycle"}))
    assert HnetConfig.model_validate_json(config.model_dump_json()) == config


def test_all_figures_are_better_when_larger() -> None:
    assert {metric.direction for metric in METRICS} == {"maximize"}
