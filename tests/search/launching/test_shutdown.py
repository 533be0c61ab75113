"""Signals and errors end the MLflow runs once, undisturbed, and everything is as before afterwards."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from search.launching import shutdown


class Database:
    """Study whose server may be away."""

    def __init__(self) -> None:
        self.retries = True
        self.writable = True

    def stop_retrying(self) -> None:
        self.retries = False

    def is_writable(self) -> bool:
        return self.writable


@pytest.fixture
def study() -> Any:
    return Database()


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


@pytest.mark.parametrize("sent", SIGNALS)
def test_every_signal_that_ends_a_command_interrupts_and_all_handlers_are_restored(sent: signal.Signals) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(KeyboardInterrupt), shutdown.handle_signals():
        os.kill(os.getpid(), sent)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_signal_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with shutdown.handle_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


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


def test_the_runs_of_a_search_that_another_launch_has_taken_over_are_not_ended(study: Any) -> None:
    study.writable = False
    with (
        pytest.raises(KeyboardInterrupt),
        shutdown.handle_signals(),
        shutdown.end_runs_on_error(study, lambda: pytest.fail("ended")),
    ):
        raise KeyboardInterrupt
