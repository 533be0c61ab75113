"""Commands that are killed with all their processes, as in a power failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def start_command(module: str, space: Path, *options: str) -> subprocess.Popen[str]:
    """Start a command on a space file, with its results in the folder `runs` beside it."""
    command = [sys.executable, "-m", module, str(space), "--storage", str(space.parent / "runs"), *options]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill_when(is_due: Callable[[], bool], process: subprocess.Popen[str], event: str) -> None:
    """Kill a command and all its processes once an event has happened, at most three minutes later."""
    for _ in range(1800):
        if is_due():
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    pytest.fail(f"not within three minutes: {event}")
