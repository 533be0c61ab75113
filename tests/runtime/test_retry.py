"""Retries: which errors are repeated, for how long, and with which pauses."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from runtime.retry import retry_call


class Clock:
    """Clock that only sleeping advances."""

    def __init__(self) -> None:
        self.time = 0.0
        self.pauses: list[float] = []

    def now(self) -> float:
        """Return the time in seconds."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Advance the time."""
        self.pauses.append(seconds)
        self.time += seconds


def _fail_times(failures: int, error: Exception) -> Callable[[], str]:
    remaining = iter(range(failures))

    def work() -> str:
        if next(remaining, None) is not None:
            raise error
        return "result"

    return work


def _is_os_error(error: Exception) -> bool:
    return isinstance(error, OSError)


def test_transient_errors_are_repeated_with_the_given_pauses() -> None:
    clock, seen = Clock(), list[Exception]()
    error = OSError("away")
    result = retry_call(_fail_times(2, error), _is_os_error, (1.0, 2.0, 4.0), on_retry=seen.append, sleep=clock.sleep)
    assert result == "result"
    assert clock.pauses == [1.0, 2.0]
    assert seen == [error, error]


def test_other_errors_are_raised_at_once() -> None:
    clock = Clock()
    with pytest.raises(ValueError, match="wrong"):
        retry_call(_fail_times(1, ValueError("wrong")), _is_os_error, (1.0,), sleep=clock.sleep)
    assert clock.pauses == []


def test_the_last_error_is_raised_when_the_pauses_are_exhausted() -> None:
    clock = Clock()
    with pytest.raises(OSError, match="away"):
        retry_call(_fail_times(3, OSError("away")), _is_os_error, (1.0, 2.0), sleep=clock.sleep)
    assert clock.pauses == [1.0, 2.0]


def test_the_last_error_is_raised_after_the_timeout() -> None:
    clock = Clock()
    with pytest.raises(OSError, match="away"):
        retry_call(
            _fail_times(100, OSError("away")),
            _is_os_error,
            itertools.repeat(3.0),
            timeout_s=10.0,
            now=clock.now,
            sleep=clock.sleep,
        )
    assert clock.time == 12.0
