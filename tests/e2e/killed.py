"""Commands that are killed with all their processes, as in a power failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
_started: list[subprocess.Popen[str]] = []


def start_process(command: list[str], **options: Any) -> subprocess.Popen[str]:
    """Start a process with a session of its own, which `kill_started` ends if the test has not."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options
    process = subprocess.Popen(command, cwd=ROOT, text=True, start_new_session=True, **options)
    _started.append(process)
    return process


def processes_of(session: int) -> list[tuple[int, str]]:
    """Return ids and command lines of the processes in a session."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if entry.name.isdigit() and int(fields[3]) == session and fields[0] != "Z":
                found.append((int(entry.name), (entry / "cmdline").read_text().replace("\0", " ")))
        except (OSError, ValueError, IndexError):
            continue
    return found


def kill_session(process: subprocess.Popen[str]) -> None:
    """Kill a process and all others of its session, also those that Ray starts meanwhile; none can tidy up."""
    process.kill()
    for _ in range(40):
        remaining = processes_of(process.pid)
        if not remaining:
            process.communicate()
            return
        for pid, _ in remaining:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.25)
    pytest.fail(f"still there: {processes_of(process.pid)}")


def kill_started() -> None:
    """Kill the sessions of processes that a failed test left, and close their pipes."""
    while _started:
        process = _started.pop()
        if process.returncode is None:
            kill_session(process)


def start_command(module: str, space: Path, *options: str) -> subprocess.Popen[str]:
    """Start a command on a space file, with its results in the folder `runs` beside it."""
    command = [sys.executable, "-m", module, str(space), "--storage", str(space.parent / "runs"), *options]
    return start_process(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


def kill_when(is_due: Callable[[], bool], process: subprocess.Popen[str], event: str) -> None:
    """Kill a command and all its processes once an event has happened, at most three minutes later."""
    for _ in range(1800):
        if is_due():
            kill_session(process)
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    pytest.fail(f"not within three minutes: {event}")
