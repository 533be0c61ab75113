"""`python -m benchmarks.mlflow_cost`: share of a search that tracking in MLflow and the live page take, in time and in memory.

A shortened search of `rg_rep` runs in this process. The processor time of everything that MLflow's logger and the live page
do, in the main thread and in threads of their own, is summed, and divided by the time of the search: their share of one core.
The memory of MLflow's client is what the driver grows by when the logger is opened.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import psutil

import search.launch
from benchmarks.measure import write_results
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.system import SystemSampler
from search.reporting.page.live import LivePage

_MEGABYTE: Final = 1e6
_MEMORY_INTERVAL_S: Final = 10.0


class Account:
    """Processor time by group, and the memory that opening MLflow's logger takes."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.logger_megabytes = 0.0
        self.peak_megabytes = 0.0

    def charge(self, owner: type, method: str, group: str) -> None:
        """Charge the processor time of a method, in the thread that calls it, to a group; nested calls count once."""
        original: Callable[..., Any] = getattr(owner, method)

        @functools.wraps(original)
        def charged(*args: Any, **options: Any) -> Any:
            if getattr(_STATE, "is_charged", False):
                return original(*args, **options)
            _STATE.is_charged = True
            begin = time.thread_time()
            try:
                return original(*args, **options)
            finally:
                self.seconds[group] += time.thread_time() - begin
                _STATE.is_charged = False

        setattr(owner, method, charged)

    def weigh_logger(self) -> None:
        """Record by how much this process grows when the logger is opened."""
        original = MlflowLogger.__init__

        @functools.wraps(original)
        def weighed(logger: MlflowLogger, *args: Any, **options: Any) -> None:
            before = _resident_megabytes()
            original(logger, *args, **options)
            self.logger_megabytes = _resident_megabytes() - before

        setattr(MlflowLogger, "__init__", weighed)  # noqa: B010

    def watch_memory(self, ended: threading.Event) -> None:
        """Record the largest memory of the search until it has ended."""
        while not ended.wait(_MEMORY_INTERVAL_S):
            self.peak_megabytes = max(self.peak_megabytes, _search_megabytes())


_STATE = threading.local()
"""Whether the current thread is charged already."""


def _resident_megabytes() -> float:
    return float(psutil.Process().memory_info().rss) / _MEGABYTE


def _search_megabytes() -> float:
    """Return the private memory of this process and of its descendants, which are those of Ray."""
    own = psutil.Process()
    total = 0
    for process in [own, *own.children(recursive=True)]:
        try:
            total += process.memory_full_info().uss
        except psutil.Error:
            continue
    return total / _MEGABYTE


def main() -> None:
    """Search, print the shares and write `benchmarks/results/mlflow_cost.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mlflow_cost", description="Cost of tracking.")
    parser.add_argument("--minutes", type=float, default=6.0, help="time for trials (default: 6)")
    options = parser.parse_args()
    account = Account()
    account.weigh_logger()
    public = [name for name, value in vars(MlflowLogger).items() if callable(value) and not name.startswith("_")]
    for name in [*public, "_process_queue"]:
        account.charge(MlflowLogger, name, "mlflow")
    account.charge(SystemSampler, "_sample_regularly", "system metrics")
    account.charge(LivePage, "renew_if_due", "live page")
    account.charge(LivePage, "close", "live page")
    ended = threading.Event()
    watcher = threading.Thread(target=account.watch_memory, args=(ended,), daemon=True)
    watcher.start()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["spaces/rg_rep.yaml", "--storage", folder, "--hours", f"{options.minutes / 60:.4f}"]
        status = search.launch.main([*arguments, "--set", "confirm=null"])
    duration = time.perf_counter() - begin
    ended.set()
    watcher.join()
    if status:
        raise SystemExit(f"the search ended with status {status}")
    shares = {group: seconds / duration for group, seconds in account.seconds.items()}
    for group, share in shares.items():
        print(f"{group:<15} {account.seconds[group]:6.2f} s of {duration:.0f} s, {share:.2%}")
    print(f"memory of the logger {account.logger_megabytes:.0f} MB of {account.peak_megabytes:.0f} MB")
    write_results(
        "mlflow_cost",
        {
            "duration_s": duration,
            "processor_s": dict(account.seconds),
            "share": sum(shares.values()),
            "logger_megabytes": account.logger_megabytes,
            "search_megabytes": account.peak_megabytes,
        },
    )


if __name__ == "__main__":
    main()
