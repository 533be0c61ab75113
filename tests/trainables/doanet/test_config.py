"""The Config's defaults are the authors' values, and its bounds hold."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from trainables.doanet.config import GATES_DEG, INNER, METRICS, DoanetConfig, InferenceConfig

AUTHORS = DoanetConfig()


def test_training_is_the_authors() -> None:
    optimizer = AUTHORS.optimizer
    assert (optimizer.name, optimizer.lr, optimizer.batch_size, optimizer.schedule) == ("adam", 1e-3, 64, "constant")
    assert (optimizer.weight_decay, optimizer.clip_norm, optimizer.epoch_sequences) == (0.0, 0.0, 0)
    assert (AUTHORS.format, AUTHORS.max_sources, AUTHORS.sequence_frames) == ("foa", 2, 50)
    assert AUTHORS.activity_tanh
    assert AUTHORS.augment.mixing == 4
    assert AUTHORS.hnet == "trained"


def test_the_loss_is_the_authors() -> None:
    loss = AUTHORS.loss
    assert (loss.kind, loss.form, loss.borders) == ("dmotp_dmota_act", "authors", "crossed")
    assert (loss.dmotp_weight, loss.dmota_weight, loss.ids_weight, loss.activity_weight) == (50, 1, 1, 10)
    assert (loss.gate, loss.delta, loss.temperature) == (0.5, 0.5, 100)


@pytest.mark.parametrize(
    ("kind", "tracks", "activity", "dmota"),
    [
        ("mse", False, False, False),
        ("pit_mse", False, False, False),
        ("dmotp", True, False, False),
        ("dmotp_act", True, True, False),
        ("dmotp_dmota_act", True, True, True),
    ],
)
def test_a_kind_of_loss_says_what_it_needs(kind: str, tracks: bool, activity: bool, dmota: bool) -> None:
    loss = DoanetConfig.model_validate({"loss": {"kind": kind}}).loss
    assert (loss.uses_tracking, loss.has_activity, loss.has_dmota) == (tracks, activity, dmota)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"format": "binaural"}, "foa"),
        ({"max_sources": 5}, "less than or equal to 4"),
        ({"max_sources": 1}, "hnet: exact"),
        ({"network": {"gru": 10, "heads": 4}}, "gru is a multiple of heads, got gru 10 and heads 4"),
        ({"network": {"dropout": 1.0}}, "less than 1"),
        ({"loss": {"kind": "mota"}}, "dmotp_dmota_act"),
        ({"loss": {"temperature": 0}}, "greater than 0"),
        ({"optimizer": {"lr": float("nan")}}, "finite"),
        ({"sigma": 1}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(part: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DoanetConfig.model_validate(part)


def test_inner_parameters_are_fields_with_the_same_bounds() -> None:
    assert {inner.name for inner in INNER} == set(InferenceConfig.model_fields)
    for inner in INNER:
        for bound in (inner.low, inner.high):
            InferenceConfig.model_validate({inner.name: int(bound)})
        with pytest.raises(ValidationError):
            InferenceConfig.model_validate({inner.name: int(inner.high) + 1})


def test_metrics_have_names_of_their_own() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert names[0] == f"mota_{GATES_DEG[0]:g}deg"
    assert METRICS[0].direction == "maximize"
