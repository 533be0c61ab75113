"""Generate `docs/costs.md`: what a full training and a search of each shipped space cost on GPUs, computed without one.

`python -m docs.generate_costs` writes the page. It counts a training step of each space, which takes a minute on one core.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu.workloads import LOCALIZERS, SPEC, localizer_config
from runtime.console import format_bytes
from runtime.files import atomic_write
from search.launch import build_parser, prepare_experiment
from search.launching.cost import CARDS, REACHED, Card, SearchCost, estimate_cost, format_hours
from trainables.doanet.config import DoanetConfig
from trainables.doanet.trainable import Doanet
from trainables.localizer.trainable import Localizer
from trainables.training_cost import SampleStep, count_cost

PAGE: Final = Path(__file__).with_name("costs.md")
MEASURED: Final = Path(__file__).parents[1] / "benchmarks" / "results" / "gpu-nvidia-h200.json"
H200: Final = Card("H200", 989, 494, 4800, 0.0)
SPACES: Final = ("rg_rep", "tg_rep", "hm_rep", "encoders", "table3", "table4", "rooms")
"""Shipped spaces whose full profile states the number of its training samples; the others depend on the recordings."""
_PRICES: Final = ", ".join(f"{card.name} {card.dollars_per_hour:g} $" for card in CARDS)
_INTRODUCTION: Final = f"""# Cost on GPUs

What the shipped spaces cost in their full profile, computed without a GPU by `python -m docs.generate_costs`. A dry run prints
the same for any space whose trials use a GPU: `python -m search.launch SPACE --profile full --dry-run`.

* A training step of the baseline runs on the CPU with a few items. Every operator counts: its floating-point operations
  (products and convolutions only), the bytes that it reads and writes, and those that are kept for the backward pass. GPU
  memory adds the weights, the state of the optimizer and 0.5 GB of the process.
* The *roofline* is the rate at which either all arithmetic runs at the peak of the card, or all bytes pass at the bandwidth of
  its memory. No training reaches it. Hours assume **{REACHED:.0%} of the roofline**, from the measurements on an H200 below.
* The search is the baseline in full, all other trials shortened by the stopping rule, and all confirmations. Trials, and
  rows of a table, count as if they cost as much as the baseline.
* Prices are assumptions: {_PRICES} per GPU hour. Offers differ by a factor of two and more.
* Small networks, such as those of the profiles `laptop`, wait for the CPU to launch kernels, and take several times as long
  as computed.
"""


def list_costs() -> Iterator[tuple[str, SearchCost]]:
    """Yield the shipped spaces with their costs."""
    for name in SPACES:
        experiment = prepare_experiment(
            build_parser().parse_args([f"spaces/{name}.yaml", "--profile", "full", "--dry-run"])
        )
        samples = experiment.epoch_presentations(experiment.space.baseline)
        cost = None if samples is None else estimate_cost(experiment.space, samples)
        assert cost is not None
        yield name, cost


def describe_spaces() -> Iterator[str]:
    """Yield the table of the spaces."""
    names = [card.name for card in CARDS]
    yield (
        "| space | GFLOP per sample | MB per sample | GPU memory | training: PFLOP | hours: "
        + " / ".join(names)
        + " | search: trainings | GPU hours | $ |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, cost in list_costs():
        hours = [cost.training_hours(card) for card in CARDS]
        searched = [hour * cost.trainings for hour in hours]
        dollars = [f"{hour * card.dollars_per_hour:,.0f}" for hour, card in zip(searched, CARDS, strict=True)]
        cells = [
            f"`{name}`",
            f"{cost.step.flop / 1e9:.1f}",
            f"{cost.step.traffic_bytes / 1e6:.0f}",
            format_bytes(cost.memory_bytes),
            f"{cost.step.flop * cost.items / 1e15:.0f}",
            " / ".join(map(format_hours, hours)),
            f"{cost.trainings:.1f}",
            " / ".join(map(format_hours, searched)),
            " / ".join(dollars),
        ]
        yield f"| {' | '.join(cells)} |"


def sample_steps() -> Iterator[tuple[str, str, SampleStep]]:
    """Yield the measured trainings: their names in the results, the measured variant, and a step."""
    for name in LOCALIZERS:
        step = Localizer.sample_step(localizer_config(name), SPEC)
        assert step is not None
        yield name, "bf16", step
    yield "doanet", "tf32", Doanet.sample_step(DoanetConfig.model_validate({}), SPEC)


def describe_measurements() -> Iterator[str]:
    """Yield the table of the measured trainings."""
    results: dict[str, Any] = json.loads(MEASURED.read_text())["results"]
    yield "| training | roofline, items/s | measured, items/s | share | as a CUDA graph | share | memory: computed | measured |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, variant, step in sample_steps():
        cost = count_cost(step)
        limit = H200.items_per_second(cost, is_half=step.is_half)
        plain, graph = results["training"][f"{name}/{variant}"], results["graphs"][f"{name}/{variant}_graph"]
        rates = [value["items_per_second"] for value in (plain, graph)]
        memory = [format_bytes(int(value)) for value in (cost.memory_bytes, plain["allocated_bytes"])]
        cells = [f"`{name}`, {variant}", f"{limit:,.0f}"]
        cells += [cell for rate in rates for cell in (f"{rate:,.0f}", f"{rate / limit:.0%}")]
        yield f"| {' | '.join([*cells, *memory])} |"


def write_page() -> None:
    """Write the page."""
    lines = [
        _INTRODUCTION,
        "## Shipped spaces (computed)\n",
        *describe_spaces(),
        "\nSpaces of DOAnet are left out: the number of their training sequences depends on the recordings, which a dry run "
        "knows.\n",
        "## Roofline and measurements on an H200\n",
        "Rates and memory were measured by [`benchmarks.gpu`](benchmarks.md#gpus), with the batch sizes there.\n",
        *describe_measurements(),
        "\nThe paper's networks reach a tenth of the roofline with and without CUDA graphs. The small ones are limited by "
        "launches, which graphs remove.",
    ]
    with atomic_write(PAGE) as path:
        path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write_page()
    sys.exit(0)
