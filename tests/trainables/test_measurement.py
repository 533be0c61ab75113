"""Measured quantities of a model: the median of timed predictions, and departures from the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.search.toy_trainable import Sized, SizedConfig, Toy, repeated
from trainables import function, measurement
from trainables.contract import ContractError
from trainables.hnet.trainable import Hnet


class Clock:
    """Clock that predictions advance."""

    def __init__(self, durations_s: list[float]) -> None:
        self.now_s = 0.0
        self.calls = 0
        self._durations_s = durations_s

    def predict(self) -> None:
        """Take the next duration; the last one repeats."""
        self.now_s += self._durations_s[min(self.calls, len(self._durations_s) - 1)]
        self.calls += 1

    def read(self) -> float:
        """Return the time."""
        return self.now_s


def measure(clock: Clock) -> float:
    trainable = Sized(SizedConfig(), None, device="cpu", seed=0, epochs=1)
    trainable.prepare_prediction = lambda: clock.predict  # type: ignore[method-assign]
    return measurement.measure_latency(trainable, clock.read)


def test_the_latency_is_the_median_of_thirty_predictions_after_five() -> None:
    clock = Clock([0.5, 0.1, 0.1, 0.1, 0.1, *[0.001] * 14, *[0.003] * 16])
    assert measure(clock) == pytest.approx(3.0)
    assert clock.calls == 35


def test_a_slow_prediction_is_measured_for_two_seconds_only() -> None:
    clock = Clock([1.5, 1.2])
    assert measure(clock) == pytest.approx(1200)
    assert clock.calls == 2


@pytest.mark.parametrize(
    ("method", "returned", "measures"),
    [
        ("count_parameters", None, measurement.measure_parameters),
        ("count_parameters", 3.5, measurement.measure_parameters),
        ("count_parameters", True, measurement.measure_parameters),
        ("prepare_prediction", None, measurement.measure_latency),
    ],
)
def test_a_method_that_returns_no_number_or_no_function_is_named(
    method: str, returned: Any, measures: Callable[[Any], float]
) -> None:
    trainable = Sized(SizedConfig(), None, device="cpu", seed=0, epochs=1)
    setattr(trainable, method, lambda: returned)
    with pytest.raises(ContractError, match=f"{method} returned {returned}"):
        measures(trainable)


def test_what_can_be_measured_follows_from_the_methods_of_a_class() -> None:
    assert measurement.list_measurable(Sized) == {"parameters", "latency_ms"}
    assert measurement.list_measurable(Hnet) == {"parameters", "latency_ms"}
    assert measurement.list_measurable(Toy) == frozenset()
    assert measurement.list_measurable(function.as_trainable(repeated, "repeated", "tests")) == frozenset()
