"""Runs measurements one after the other within a number of minutes, and stores everything after each."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu.measurements import Measurement
from benchmarks.gpu.ratios import compute_ratios
from runtime.files import write_text_atomic
from runtime.machines import machine

_GRACE_S: Final = 10.0
"""Time after its limit that a measurement has before it is killed."""


def describe_machine() -> dict[str, Any]:
    """Return the hardware, the packages and the code of this measurement."""
    return {
        "gpus": [vars(gpu) for gpu in machine.list_gpus()],
        "cores": machine.count_cores(),
        "versions": machine.package_versions(),
        "commit": machine.git_commit(),
        "code": machine.project_digest(),
    }


@dataclass
class Report:
    """All results, and how each measurement ended.

    Attributes:
        out: File of the results.
        miniature: Whether the results are those of tiny models on a CPU.
        results: Results by measurement and step.
        states: State and seconds by measurement.
        measured_on: Hardware and software.
    """

    out: Path
    miniature: bool
    results: dict[str, Any] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    measured_on: dict[str, Any] = field(default_factory=describe_machine)

    def write(self) -> None:
        """Store everything, under a temporary name first."""
        content = {
            "miniature": self.miniature,
            "results": self.results,
            "ratios": compute_ratios(self.results),
            "measurements": self.states,
            "measured_on": self.measured_on,
        }
        write_text_atomic(self.out, json.dumps(content, indent=1, default=str) + "\n")


def run_all(
    report: Report, measurements: tuple[Measurement, ...], data: Path, seconds: float, *, started: float
) -> None:
    """Run measurements in order; skip those that do not fit any more.

    Args:
        report: Receives the results.
        measurements: Measurements in the order of their worth.
        data: Folder for datasets and partial results.
        seconds: Total time.
        started: Time of the start, of `time.monotonic`.
    """
    for measurement in measurements:
        left = seconds - (time.monotonic() - started) - _GRACE_S
        limit = min(measurement.most_s, left - measurement.reserved_s)
        if limit < measurement.least_s:
            report.states[measurement.name] = {"state": "skipped", "reason": f"{max(left, 0):.0f} s were left"}
            print(f"{measurement.name}: skipped, {max(left, 0):.0f} s are left", flush=True)
        else:
            _run_one(report, measurement.name, data, limit)
        report.write()


def _run_one(report: Report, name: str, data: Path, limit: float) -> None:
    part = data / f"{name}.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--only", name, "--part", str(part)]
    command += ["--data", str(data), "--seconds", f"{limit:.1f}", *(["--miniature"] if report.miniature else [])]
    print(f"{name}: at most {limit:.0f} s", flush=True)
    started = time.monotonic()
    state = _wait(subprocess.Popen(command, process_group=0), limit + _GRACE_S)
    with contextlib.suppress(OSError, ValueError):
        report.results[name] = json.loads(part.read_text())
    report.states[name] = {"state": state, "seconds": round(time.monotonic() - started, 1)}
    print(f"{name}: {state} after {report.states[name]['seconds']} s", flush=True)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> str:
    """Wait for a process; kill it and its children after some seconds. Return how it ended."""
    try:
        status = process.wait(seconds)
        return "finished" if status == 0 else f"exit status {status}"
    except subprocess.TimeoutExpired:
        return "killed at its limit"
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
