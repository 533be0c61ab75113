"""`python -m benchmarks.profile`: where the time of a training step goes, operator by operator, on one core.

Each operator is timed in real training steps of the built-in trainables. Its rates of arithmetic and of memory traffic stand
beside those of a large matrix product and of a large copy on the same core, which give the shortest time that the core allows
for these operators: the sum over operators of the longer one of arithmetic at the peak and traffic at the rate of the copy.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch

from benchmarks.doanet import NETWORKS as DOANETS
from benchmarks.gpu.workloads import SPEC
from benchmarks.measure import write_results
from benchmarks.training import NETWORKS
from runtime.machines import machine
from trainables.doanet.config import DoanetConfig
from trainables.doanet.trainable import Doanet
from trainables.localizer.config import LocalizerConfig
from trainables.localizer.trainable import Localizer
from trainables.training_cost import OperatorCost, profile_step

STEPS: Final = 5
DOANET_SEQUENCES: Final = 16
LISTED: Final = 6
"""Number of operators of a table; the others are one row."""
_BYTES: Final = 4
_COPIED_VALUES: Final = 1 << 25


def measure_peaks() -> tuple[float, float]:
    """Return the rates of a large matrix product in FLOP/s and of a large copy in bytes/s, reads and writes together."""
    matrix, values = torch.randn(1024, 1024), torch.randn(_COPIED_VALUES)
    target = torch.empty_like(values)
    product_s = _shortest(lambda: torch.mm(matrix, matrix))
    copy_s = _shortest(lambda: target.copy_(values))
    return 2 * 1024**3 / product_s, 2 * _BYTES * _COPIED_VALUES / copy_s


def _shortest(run: Callable[[], object]) -> float:
    durations = []
    for _ in range(9):
        begin = time.perf_counter()
        run()
        durations.append(time.perf_counter() - begin)
    return min(durations)


def list_steps() -> Iterator[tuple[str, int, Callable[[int], object]]]:
    """Yield the names of the trainings, their items per step, and the steps."""
    for name, (batch, values) in NETWORKS.items():
        step = Localizer.sample_step(LocalizerConfig.model_validate(values), SPEC)
        assert step is not None
        yield f"localizer, {name}", batch, step.run
    for name, values in DOANETS.items():
        yield f"DOAnet, {name}", DOANET_SEQUENCES, Doanet.sample_step(DoanetConfig.model_validate(values), SPEC).run


def profile_training(run: Callable[[int], object], items: int) -> dict[str, OperatorCost]:
    """Return the operators of a step, with the median of their durations over several steps."""
    run(items)
    profiles = [profile_step(run, items) for _ in range(STEPS)]
    operators = profiles[0]
    for name, cost in operators.items():
        cost.seconds = statistics.median(profile[name].seconds for profile in profiles if name in profile)
    return operators


def make_rows(operators: dict[str, OperatorCost], flop_per_s: float, bytes_per_s: float) -> list[dict[str, Any]]:
    """Return the operators with the largest shares of the time, and all others together, with rates and shortest times."""
    ordered = sorted(operators.items(), key=lambda item: -item[1].seconds)
    others = OperatorCost()
    for _, cost in ordered[LISTED:]:
        others.calls += cost.calls
        others.flop += cost.flop
        others.values += cost.values
        others.seconds += cost.seconds
    total = sum(cost.seconds for cost in operators.values())
    shortest = {n: max(c.flop / flop_per_s, c.values * _BYTES / bytes_per_s) for n, c in operators.items()}
    left = sum(shortest[name] for name, _ in ordered[LISTED:])
    return [
        {
            "operator": name,
            "calls": cost.calls,
            "share": cost.seconds / total,
            "gflop_per_s": cost.flop / cost.seconds / 1e9,
            "gb_per_s": cost.values * _BYTES / cost.seconds / 1e9,
            "shortest_share": shortest.get(name, left) / total,
        }
        for name, cost in [*ordered[:LISTED], *([("others", others)] if ordered[LISTED:] else [])]
    ]


def print_table(name: str, rows: list[dict[str, Any]], milliseconds: float) -> None:
    """Print the table of a training in Markdown."""
    print(
        f"\n| {name}: {milliseconds:,.0f} ms per step | share | GFLOP/s | GB/s | shortest share |\n|---|---|---|---|---|"
    )
    for row in rows:
        print(
            f"| `{row['operator']}` ({row['calls']:,}) | {row['share']:.0%} | {row['gflop_per_s']:.1f} "
            f"| {row['gb_per_s']:.1f} | {row['shortest_share']:.0%} |"
        )
    print(f"| all | 100 % | | | {sum(row['shortest_share'] for row in rows):.0%} |", flush=True)


def main() -> None:
    """Measure, print and store the results."""
    torch.set_num_threads(1)
    machine.disable_malloc_trim()
    flop_per_s, bytes_per_s = measure_peaks()
    print(f"matrix product {flop_per_s / 1e9:.0f} GFLOP/s, copy {bytes_per_s / 1e9:.1f} GB/s", flush=True)
    results: dict[str, Any] = {}
    for name, items, run in list_steps():
        operators = profile_training(run, items)
        rows = make_rows(operators, flop_per_s, bytes_per_s)
        milliseconds = 1000 * sum(cost.seconds for cost in operators.values())
        results[name] = {"items": items, "milliseconds": milliseconds, "operators": rows}
        print_table(name, rows, milliseconds)
    peaks = {"matrix_product_gflop_per_s": flop_per_s / 1e9, "copy_gb_per_s": bytes_per_s / 1e9}
    print(write_results("profile", {"threads": 1, **peaks, "trainings": results}))


if __name__ == "__main__":
    main()
