"""Measured quantities of a model, for the constraints of a search: trainable parameters, and latency of a prediction."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, Final

from trainables.contract import ContractError, Trainable

PARAMETERS: Final = "parameters"
LATENCY: Final = "latency_ms"
QUANTITIES: Final = frozenset({PARAMETERS, LATENCY})
_WARM_UPS: Final = 5
"""Number of predictions before the measured ones."""
_REPETITIONS: Final = 30
"""Number of measured predictions."""
_LONGEST_S: Final = 2.0
"""Duration after which no further prediction is measured."""


def list_measurable(trainable: type[Trainable]) -> frozenset[str]:
    """Return the quantities that can be measured on a trainable: those whose methods it defines."""
    methods: dict[str, tuple[Any, Any]] = {
        PARAMETERS: (trainable.count_parameters, Trainable.count_parameters),
        LATENCY: (trainable.prepare_prediction, Trainable.prepare_prediction),
    }
    return frozenset(name for name, (own, default) in methods.items() if own is not default)


def measure_parameters(trainable: Trainable) -> int:
    """Return the number of trainable parameters of a model.

    Raises:
        ContractError: If `count_parameters` does not return a number.
    """
    return _require_count("count_parameters", trainable.count_parameters())


def expected_parameters(trainable: type[Trainable], config: Any, dataset: Any) -> int | None:
    """Return the number of trainable parameters of a model that is not built; None if the trainable does not state it.

    Raises:
        ContractError: If `expected_parameters` returns anything else.
    """
    count = trainable.expected_parameters(config, dataset)
    return None if count is None else _require_count("expected_parameters", count)


def _require_count(method: str, count: Any) -> int:
    if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
        return count
    raise ContractError(f"{method} returned {count!r}, but a constraint on parameters needs an integer from 0")


def measure_latency(trainable: Trainable, now: Callable[[], float] = time.perf_counter) -> float:
    """Return the latency of the prediction of one sample, in milliseconds.

    The prediction runs in this process on the device of the trainable, with one CPU thread of torch: five times without a
    measurement, then up to 30 times, but no longer than two seconds, once at least. The latency is the median. On a GPU the
    clock is read when all its work is done.

    Args:
        trainable: Trained model.
        now: Clock, in seconds.

    Raises:
        ContractError: If `prepare_prediction` does not return a function.
    """
    import torch

    predict = trainable.prepare_prediction()
    if not callable(predict):
        raise ContractError(
            f"prepare_prediction returned {predict!r}, but a constraint on latency_ms needs a function without arguments"
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return 1000 * statistics.median(_time_predictions(predict, now))
    finally:
        torch.set_num_threads(threads)


def _time_predictions(predict: Callable[[], object], now: Callable[[], float]) -> list[float]:
    begin, durations = now(), list[float]()
    for number in range(_WARM_UPS + _REPETITIONS):
        started = now()
        predict()
        _synchronize()
        ended = now()
        durations.append(ended - started)
        if ended - begin > _LONGEST_S and number >= 1:
            break
    return durations[_WARM_UPS:] or durations[-1:]


def _synchronize() -> None:
    """Wait for the work of a GPU, if this process uses one."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
