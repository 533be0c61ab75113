"""How a search ends early. All of it is here, in `search.execution.checkpoint` and in `search.study.storage`.

* **Ctrl-C (SIGINT)** raises KeyboardInterrupt in the driver. `end_runs_on_error` ends what the search has open: the study's
  server is no longer retried, further Ctrl-C are ignored, and the MLflow runs of the search and of its running trials end as
  KILLED (outcome: interrupted). The trials stay RUNNING in the study, so that --resume continues them from their
  checkpoints. Then Ray is stopped, its worker processes with it, and the command exits with status 130.
* **SIGTERM**, as sent by a machine that shuts down or by a job scheduler, SIGHUP, as sent when a terminal is closed, and SIGUSR1,
  which job schedulers can send ahead of their time limit, are turned into KeyboardInterrupt: see above. A signal that the
  command was started to ignore, as under nohup, stays ignored.
* **The time limit** (`--hours`) interrupts the trials in the same way: they stay RUNNING in the study and continue with --resume,
  and their MLflow runs end as KILLED. The results so far are printed, and the command exits with status 0.
* **A crash (kill -9, power failure)** runs no code. Nothing depends on it: checkpoints and models are written atomically, the
  study records every epoch as it ends, and the kernel releases the lock of the search. The next launch with --resume
  reclaims the trials that were RUNNING, and `MlflowLogger.reconcile` ends or completes their MLflow runs.
* **A full disk or an unavailable bucket** makes a trial retry its checkpoint for 15 minutes. After that all trials are stopped
  with a StorageError, which ends the search like any other exception: runs end as KILLED, the trials have not failed, and the
  command prints the error, exits with status 2 and can be resumed.
* **Another launch takes over**, because this machine was suspended for longer than its lease
  (`search.launching.lease`). This launch stops as after Ctrl-C, but writes nothing: neither to the study nor to MLflow.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from search.study.study import Study

INTERRUPTED: Final = 130
"""Exit status of an interrupted command: 128 plus the number of SIGINT."""


_INTERRUPTING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Signals that interrupt a search as Ctrl-C does."""


@contextmanager
def handle_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt for the other signals that end a command as for SIGINT; restore all handlers at the end.

    Outside the main thread, where Python has no signal handlers, nothing is done.
    """
    if not _is_main_thread():
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, *_INTERRUPTING)}
    for number in _INTERRUPTING:
        if previous[number] is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def end_runs_on_error(study: Study, end_runs: Callable[[], None]) -> Iterator[None]:
    """On any exception, end the MLflow runs undisturbed, and raise the exception again.

    Args:
        study: Study of the search; it stops to retry requests to its server.
        end_runs: Ends the MLflow runs of the search and of its running trials.
    """
    try:
        yield
    except BaseException:
        study.stop_retrying()
        if _is_main_thread():
            signal.signal(
                signal.SIGINT, signal.SIG_IGN
            )  # until `handle_signals` restores it, after Ray has been stopped
        if study.is_writable():  # otherwise the runs are those of another launch, which has taken over
            end_runs()
        raise


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
