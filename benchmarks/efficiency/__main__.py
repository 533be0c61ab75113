"""`python -m benchmarks.efficiency`: replays of searches in simulated time, and their statistics.

Every replay is a file in the cache folder, so that an interrupted benchmark continues, and an extended one runs what is new only.
Results are written to `benchmarks/results/` as JSON, with a figure and Markdown tables.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.efficiency import report, statistics
from benchmarks.efficiency.methods.environments import UnavailableError
from benchmarks.efficiency.methods.registry import METHODS
from benchmarks.efficiency.methods.remote import Environment
from benchmarks.efficiency.replay import Replay, read_trace, run_replays
from benchmarks.efficiency.simulator import Trace
from benchmarks.efficiency.tasks.registry import list_tasks, load_task
from benchmarks.measure import RESULTS, write_results
from runtime.cli import Parser, run_command, whole_number_type
from runtime.errors import unknown_name_error
from runtime.files import write_text_atomic
from runtime.machines import machine


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="python -m benchmarks.efficiency", description="Replay searches in simulated time.", allow_abbrev=False
    )
    number = whole_number_type(1)
    parser.add_argument("--tasks", nargs="+", default=list_tasks(), metavar="TASK", help=", ".join(list_tasks()))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--workers", nargs="+", type=number, default=[2, 8, 64], help="trials at a time")
    parser.add_argument("--seeds", type=number, default=100, help="number of replays of each case")
    parser.add_argument("--budget", type=number, default=800, help="epochs of a replay")
    parser.add_argument("--processes", type=number, default=machine.count_cores(), help="replays at a time")
    parser.add_argument("--cache", type=Path, default=Path("runs/efficiency"), help="folder of the replays")
    parser.add_argument("--reference", default="ours", metavar="METHOD", help="method whose differences are shown")
    parser.add_argument("--name", default="efficiency", help="name of the files of results")
    return parser


def check_names(options: argparse.Namespace) -> None:
    """Check the names of tasks and methods.

    Raises:
        InputError: If one is unknown.
    """
    for option, names, known in (("--tasks", options.tasks, list_tasks()), ("--methods", options.methods, METHODS)):
        for name in names:
            if name not in known:
                raise unknown_name_error(option, name, dict.fromkeys(known, ""))
    if options.reference not in METHODS:
        raise unknown_name_error("--reference", options.reference, dict.fromkeys(METHODS, ""))


def open_environments(methods: Sequence[str], cache: Path) -> dict[str, Environment | None]:
    """Return the environments of the methods that can run here; print the reason for which another one cannot."""
    environments: dict[str, Environment | None] = {}
    for name in methods:
        try:
            environments[name] = METHODS[name].open_environment(cache)
        except UnavailableError as error:
            print(f"{name} is left out: {error}", flush=True)
    return environments


def collect_results(options: argparse.Namespace, methods: Sequence[str]) -> dict[str, Any]:
    """Return the statistics of all replays by task, number of workers and method."""
    results: dict[str, Any] = {}
    for name in options.tasks:
        task = load_task(name)
        results[name] = {"scale": vars(task.scale()), "unit": task.unit, "workers": {}, "differences": {}}
        for workers in options.workers:
            traces = {
                method: {
                    seed: read_trace(Replay(name, method, workers, seed, options.budget).path(options.cache))
                    for seed in range(options.seeds)
                }
                for method in methods
            }
            results[name]["workers"][str(workers)] = {
                method: statistics.summarise_method(traces[method], task.scale(), options.budget) for method in methods
            }
            results[name]["differences"][str(workers)] = compare_all(traces, options.reference, options.budget)
    return results


def compare_all(traces: Mapping[str, Mapping[int, Trace]], reference: str, budget: int) -> dict[str, Any]:
    """Return the paired differences of a method from all others at all budgets; empty without the method."""
    if reference not in traces:
        return {}
    budgets = [b for b in statistics.BUDGETS if b <= budget]
    return {
        peer: {str(b): statistics.compare_paired(traces[reference], traces[peer], b) for b in budgets}
        for peer in traces
        if peer != reference
    }


def run_benchmark(options: argparse.Namespace) -> int:
    """Run the missing replays and write the results; return the exit status."""
    check_names(options)
    environments = open_environments(options.methods, options.cache)
    replays = [
        Replay(task, method, workers, seed, options.budget)
        for task in options.tasks
        for workers in options.workers
        for seed in range(options.seeds)
        for method in environments
    ]
    run_replays(replays, environments, options.cache, options.processes, lambda line: print(line, flush=True))
    results = collect_results(options, list(environments))
    tables = report.format_tables(results, options.reference)
    print(tables)
    write_text_atomic(RESULTS / f"{options.name}.md", tables)
    report.draw_figure(RESULTS / f"{options.name}.png", results)
    print(write_results(options.name, {"budget": options.budget, "tasks": results}))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # inherited by all processes; the matrices are small
        os.environ.setdefault(variable, "1")
    return run_command(lambda: run_benchmark(build_parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
