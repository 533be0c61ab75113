"""Every name of a metric gets a form that MLflow accepts, and no two get the same."""

from __future__ import annotations

import itertools

import pytest
from mlflow.entities import Metric, Param, RunTag
from mlflow.utils import validation

from search.reporting.mlflow.names import decode_name, encode_metric, encode_name

ODD = [
    "MAP@10",
    "F1 (macro)",
    "a:b",
    "",
    "/x",
    "x/",
    "a//b",
    "..",
    ".",
    "../x",
    "a\nb",
    "50%",
    "☃",
    "x" * 251,
    "a/" * 200,
]


@pytest.mark.parametrize("name", ODD)
def test_mlflow_accepts_the_encoded_name(name: str) -> None:
    encoded = encode_name(name)
    validation._validate_metric(encoded, 0.5, 0, 0)
    validation._validate_param(encoded, "value")
    validation._validate_tag(encoded, "value")
    validation._validate_batch_log_data([Metric(encoded, 0.5, 0, 0)], [Param(encoded, "1")], [RunTag(encoded, "1")])


@pytest.mark.parametrize(
    "name", ["loss", "f1_0.3m", "setting.threshold", "error_x", "test.S0.rmse", "A/b c-d", "größe"]
)
def test_a_valid_name_is_unchanged(name: str) -> None:
    assert encode_name(name) == name


def test_short_names_are_recovered_and_stay_different() -> None:
    names = ["".join(letters) for n in range(6) for letters in itertools.product("_x4@/", repeat=n)]
    names += [name for name in ODD if len(name) < 100]
    assert [decode_name(encode_name(name)) for name in names] == names


def test_long_names_stay_different() -> None:
    long = ["x" * 300, "x" * 301, "x" * 299 + "y", "@" * 300, "@" * 301]
    assert len({encode_name(name) for name in long}) == len(long)


def test_metrics_of_training_are_a_section_of_their_own() -> None:
    names = ["train_loss", "learning_rate", "loss", "f1_0.3m", "setting.threshold", "training_x", "MAP@10"]
    expected = ["train/loss", "train/learning_rate", "loss", "f1_0.3m", "setting.threshold", "training_x", "MAP_x40_10"]
    assert [encode_metric(name) for name in names] == expected
