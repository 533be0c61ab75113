"""Signals and errors end the MLflow runs once, undisturbed, and everything is as before afterwards."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from search import shutdown


class Database:
    """Study whose server may be away."""

    def __init__(self) -> None:
        self.retries = True

    def stop_retrying(self) -> None:
        self.retries = False


@pytest.fixture
def study() -> Any:
    return Database()


def test_sigterm_interrupts_and_both_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt), shutdown.handle_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_runs_are_ended_although_ctrl_c_is_pressed_again(study: Any) -> None:
    ended: list[str] = []

    def end_runs() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        ended.append("run")

    with (
        pytest.raises(RuntimeError, match="any error"),
        shutdown.handle_signals(),
        shutdown.end_runs_on_error(study, end_runs),
    ):
        raise RuntimeError("any error")
    assert ended == ["run"]
    assert not study.retries
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_without_an_error_nothing_is_ended(study: Any) -> None:
    with shutdown.end_runs_on_error(study, lambda: pytest.fail("ended")):
        pass
    assert study.retries
