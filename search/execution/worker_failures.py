"""Failures of the workers of trials: lost machines are survived, processes that end themselves fail their trial."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from search.execution.hooks import TrialCallback
from search.execution.trial_log import ProcessEnd, read_process_end
from search.results import SearchFolder
from search.study.study import Study

MAX_CONSECUTIVE_FAILURES: Final = 3
"""Number of worker failures that a trial survives without completing an epoch in between."""
FAILURE_WINDOW_S: Final = 60.0
"""Failures within this time after the first one count as one: Tune keeps sending requests to a lost node until it notices the
loss, and counts every request as a failure."""
FAILURE_WEIGHT: Final = 10_000
"""Weight of a worker failure in Tune's count of failures; a repeated request weighs one."""
MAX_EQUAL_ENDS: Final = 2
"""Number of times that a trial's process may end itself for the same cause without completing an epoch in between."""
_UNTRACED: Final = "it left no trace; a lack of memory, SIGKILL or native code may have ended it"
_OUT_OF_MEMORY: Final = "Ray's memory monitor killed it, since the memory of its machine was nearly exhausted"


class WorkerFailures:
    """Count of the worker failures of each trial, where Tune counts the requests that failed.

    A process that ends on a machine that is still there has begun an attempt in the log of its trial. It counts at once, and a
    trial whose process ends itself twice for the same cause has failed. All other failures are lost machines: those within
    `FAILURE_WINDOW_S` count as one.

    Args:
        study: Trials of the search.
        callback: Receives the losses and the failures.
        results: Files of the search, with the logs of the trials.
        stop_trial: Makes Tune stop a trial whose failure the study has recorded.
        now: Clock, in seconds.

    Attributes:
        reasons: Reason of the last loss of a machine, per number of the trial.
    """

    def __init__(
        self,
        study: Study,
        callback: TrialCallback,
        results: SearchFolder,
        stop_trial: Callable[[Any], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._study = study
        self._callback = callback
        self._results = results
        self._stop_trial = stop_trial
        self._now = now
        self._last_failure: dict[str, float] = {}
        self._attempts: dict[int, str] = {}
        self._causes: dict[tuple[int, int], list[str]] = {}
        self.reasons: dict[int, str] = {}

    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:  # noqa: ARG002
        """Count a worker failure and report it, or end the trial."""
        number = trial.config["number"]
        error = _last_tune_error(trial.error_file)
        end = self._new_process_end(number)
        if end is not None and not _is_lost_machine(error):
            self._count_process_end(trial, end.cause or _cause_from_ray(error))
        elif self._now() - self._last_failure.get(trial.trial_id, -math.inf) >= FAILURE_WINDOW_S:
            trial.run_metadata.num_failures += FAILURE_WEIGHT - 1
            self._last_failure[trial.trial_id] = self._now()
            self.reasons[number] = _summarize_error(error)
            self._callback.on_trial_lost(self._study.get_trial(number), self.reasons[number])

    def _new_process_end(self, number: int) -> ProcessEnd | None:
        """Return the end of the trial's process; None if the log has no attempt since the last failure."""
        end = read_process_end(self._results.log_path(number))
        if end is None or self._attempts.get(number) == end.attempt:
            return None
        self._attempts[number] = end.attempt
        return end

    def _count_process_end(self, trial: Any, cause: str) -> None:
        state = self._study.get_trial(trial.config["number"])
        causes = self._causes.setdefault((state.number, len(state.epochs)), [])
        causes.append(cause)
        equal = causes.count(cause)
        if not (equal >= MAX_EQUAL_ENDS and cause != _UNTRACED) and len(causes) <= MAX_CONSECUTIVE_FAILURES:
            self._callback.on_trial_lost(state, cause)
            return
        log = self._results.display_path(self._results.log_path(state.number))
        times = "twice" if equal == MAX_EQUAL_ENDS == len(causes) else f"{len(causes)} times"
        reason = f"its process ended {times} without completing an epoch: {cause} (see {log})"
        self._study.end_trial(state.number, "failed", reason)
        self._callback.on_trial_end(self._study.get_trial(state.number))
        self._stop_trial(trial)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _last_tune_error(path: str | None) -> str:
    """Return the last error in Tune's error file of a trial; empty if there is none."""
    try:
        text = Path(path or "").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return re.split(r"^Failure #.*$", text, flags=re.MULTILINE)[-1].strip()


def _is_lost_machine(error: str) -> bool:
    """Return whether a worker failed with its machine or by Ray's memory monitor, and not by itself."""
    return any(sign in error for sign in ("node has died", "NodeDied", "unavailable", "OutOfMemoryError"))


def _summarize_error(error: str) -> str:
    if "OutOfMemoryError" in error:
        return _OUT_OF_MEMORY
    return error.partition("\n")[0] or "for an unknown reason"


def _cause_from_ray(error: str) -> str:
    """Return why a process without a trace in the log ended, as far as Ray has noticed."""
    exited = re.search(r"exits? with an exit code (-?\d+)", error)
    if exited is not None:
        return f"exit status {exited[1]}" + (", on SIGTERM" if "SIGTERM" in error else "")
    if "Traceback" in error:  # an exception in the worker, outside of the trainable
        return error.splitlines()[-1].strip()
    return _UNTRACED
