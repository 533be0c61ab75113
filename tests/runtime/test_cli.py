"""Exit statuses of commands."""

from __future__ import annotations

import os
import subprocess
import sys


def test_a_pipe_that_is_closed_ends_a_command_without_a_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code = "import sys; from runtime.cli import run_command; sys.exit(run_command(lambda: print('x' * 100_000, flush=True) or 0))"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
