"""Repetition of operations that fail temporarily."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

_T = TypeVar("_T")


def retry_call(
    work: Callable[[], _T],
    is_transient: Callable[[Exception], bool],
    delays_s: Iterable[float],
    *,
    timeout_s: float = float("inf"),
    on_retry: Callable[[Exception], None] = lambda _: None,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] | None = None,
) -> _T:
    """Return the result of an operation, repeating it while it fails with a transient error.

    Args:
        work: Operation without arguments; it must be safe to repeat.
        is_transient: Function that decides whether an error may disappear. Any other error is raised at once.
        delays_s: Delays before the repetitions, in seconds; after the last one no further repetition is made.
        timeout_s: Time since the call after which the operation is no longer repeated, in seconds.
        on_retry: Function called with the error before each delay.
        now: Monotonic clock, in seconds.
        sleep: Function that waits for a number of seconds; None for `time.sleep`.

    Raises:
        Exception: The error of `work` that is not transient, or the last one when the delays or the time are exhausted.
    """
    deadline = now() + timeout_s
    remaining = iter(delays_s)
    while True:
        try:
            return work()
        except Exception as error:
            delay = next(remaining, None) if is_transient(error) and now() <= deadline else None
            if delay is None:
                raise
            on_retry(error)
        (sleep or time.sleep)(delay)
