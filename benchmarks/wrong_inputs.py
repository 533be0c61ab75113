"""`python -m benchmarks.wrong_inputs`: response time for wrong space files and command lines, and for `--help`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Spread, write_results
from tests.search.wrong_data import DATA_CASES
from tests.search.wrong_generated import GENERATED, GeneratedCase
from tests.search.wrong_inputs import CASES, ROOT, Case
from tests.search.wrong_recordings import RECORDING_CASES


def answer_seconds(words: list[str], status: int) -> float:
    """Measure the wall time of a command, and check its exit status."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "search.launch", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    elapsed = time.perf_counter() - started
    if done.returncode != status or "Traceback" in done.stderr:
        raise SystemExit(f"{words}: status {done.returncode}\n{done.stderr}")
    return elapsed


def main() -> None:
    """Measure, print and store the results."""
    durations = {}
    cases: list[Case | GeneratedCase] = [*CASES, *DATA_CASES, *RECORDING_CASES, *GENERATED]
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            durations[case.name] = answer_seconds(case.command(Path(folder)), 2)
    slowest = max(durations, key=lambda name: durations[name])
    spread = Spread.from_samples(list(durations.values()))
    helps = Spread.from_samples([answer_seconds(["--help"], 0) for _ in range(7)])
    print(f"{len(cases)} wrong inputs  {spread} s, slowest: {slowest}\n--help           {helps} s")
    print(
        write_results(
            "wrong_inputs", {"cases": len(cases), "seconds": spread, "slowest": slowest, "help_seconds": helps}
        )
    )


if __name__ == "__main__":
    main()
