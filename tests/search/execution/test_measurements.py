"""The profile of the training sound that a trial stores with its model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from search.execution.measurements import measure_training_sound
from trainables.contract import ContractError, Trainable
from trainables.sound_profile import LEVEL, SoundExcerpts, SoundProfile


def returning(value: Any) -> Trainable:
    """Return a trainable whose excerpts are a value."""
    return cast("Trainable", SimpleNamespace(training_excerpts=lambda _: value))


def test_a_trainable_without_sound_has_no_profile() -> None:
    assert measure_training_sound(returning(None)) is None


def test_the_profile_is_that_of_the_excerpts() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (20, 1000, 2))
    values = measure_training_sound(returning(SoundExcerpts(8000, noise)))
    assert values is not None
    profile = SoundProfile.from_values(values)
    assert (profile.rate_hz, profile.window_samples) == (8000, 1000)
    assert profile.quantiles[LEVEL][1] == pytest.approx(-20, abs=0.3)


@pytest.mark.parametrize("value", [np.zeros((3, 100, 2)), SoundExcerpts(8000, np.zeros((0, 100, 2))), 7])
def test_anything_else_departs_from_the_contract(value: Any) -> None:
    with pytest.raises(ContractError, match="training_excerpts returned"):
        measure_training_sound(returning(value))
