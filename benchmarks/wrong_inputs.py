"""`python -m benchmarks.wrong_inputs`: how long a wrong space file or command line takes to be answered, and `--help`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Spread, write_results
from tests.search.wrong_data import DATA_CASES
from tests.search.wrong_inputs import CASES, ROOT
from tests.search.wrong_recordings import RECORDING_CASES


def answer_seconds(words: list[str], status: int) -> float:
    """Wall time of a command; it must exit with the status, or the figure means nothing."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "search.launch", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    passed = time.perf_counter() - started
    if done.returncode != status or "Traceback" in done.stderr:
        raise SystemExit(f"{words}: status {done.returncode}\n{done.stderr}")
    return passed


def main() -> None:
    """Measure, print, store."""
    answers = {}
    cases = [*CASES, *DATA_CASES, *RECORDING_CASES]
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            answers[case.name] = answer_seconds(case.command(Path(folder)), 2)
    slowest = max(answers, key=lambda name: answers[name])
    spread = Spread.from_samples(list(answers.values()))
    helps = Spread.from_samples([answer_seconds(["--help"], 0) for _ in range(7)])
    print(f"{len(cases)} wrong inputs  {spread} s, slowest: {slowest}\n--help           {helps} s")
    print(
        write_results(
            "wrong_inputs", {"cases": len(cases), "seconds": spread, "slowest": slowest, "help_seconds": helps}
        )
    )


if __name__ == "__main__":
    main()
