"""Estimated cost of a search on GPUs, for dry runs and docs/costs.md: operations, memory, hours and money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from runtime.console import format_bytes
from runtime.errors import InputError
from search.experiment import Experiment
from search.study.stopping.rule import expected_search_epochs
from spaces.configs import build_config
from spaces.schema import Space
from trainables import hooks, registry

if TYPE_CHECKING:
    from trainables.training_cost import StepCost

REACHED: Final = 0.1
"""Share of the roofline that trainings reached on an H200 (docs/costs.md)."""
_CONTEXT_BYTES: Final = 0.5e9
"""Memory of a process on a GPU before its first tensor."""


@dataclass(frozen=True)
class Card:
    """Peaks of a GPU, from its data sheet, and an assumed price.

    Attributes:
        name: Name.
        bf16_tflops: Dense peak of products in bf16, TFLOP/s.
        tf32_tflops: The same in TF32.
        memory_gb_per_s: Bandwidth of its memory.
        dollars_per_hour: Assumed price; offers differ by a factor of two and more.
    """

    name: str
    bf16_tflops: float
    tf32_tflops: float
    memory_gb_per_s: float
    dollars_per_hour: float

    def items_per_second(self, cost: StepCost, *, is_half: bool) -> float:
        """Return the roofline: the rate of a training at the peak of either arithmetic or memory."""
        peak = self.bf16_tflops if is_half else self.tf32_tflops
        return 1 / max(cost.flop / (peak * 1e12), cost.traffic_bytes / (self.memory_gb_per_s * 1e9))


CARDS: Final = (
    Card("H100", 989, 494, 3350, 3.0),
    Card("A10", 125, 62.5, 600, 1.0),
    Card("L4", 121, 60, 300, 0.8),
)
"""GPUs of an estimate; the H100 is the SXM version."""


@dataclass(frozen=True)
class SearchCost:
    """Cost of a search whose trainings are those of its baseline.

    Attributes:
        step: Cost per item of a training.
        is_half: Whether the network computes in bf16.
        items: Items that one full training presents.
        trainings: Length of the search, confirmations included, in full trainings.
    """

    step: StepCost
    is_half: bool
    items: int
    trainings: float

    @property
    def memory_bytes(self) -> int:
        """GPU memory of a training, with that of its process."""
        return int(self.step.memory_bytes + _CONTEXT_BYTES)

    def training_hours(self, card: Card) -> float:
        """Return the hours of a full training on a card, at the share of its roofline that was reached on an H200."""
        return self.items / (REACHED * card.items_per_second(self.step, is_half=self.is_half)) / 3600


def estimate_cost(space: Space, per_epoch: int) -> SearchCost | None:
    """Return the cost of a search; None if its trainable does not state what a training step is.

    Args:
        space: The space.
        per_epoch: Items that an epoch of the baseline presents.

    Raises:
        InputError: If the step cannot be built or run.
    """
    from trainables.training_cost import count_cost  # torch, which plans without a GPU do not need

    trainable = registry.load_trainable(space.trainable, "trainable")
    config = build_config(trainable.Config, space.config_values(space.baseline))
    dataset = space.dataset_of(space.baseline)

    def count(built: BaseModel) -> SearchCost | None:
        step = trainable.sample_step(built, dataset)
        if step is None:
            return None
        return SearchCost(count_cost(step), step.is_half, per_epoch * space.budget.epochs, count_trainings(space))

    cost: SearchCost | None = hooks.call_hook(
        count,
        config,
        lambda raised: InputError(
            "trainable",
            f"sample_step of {trainable.__name__} must return a SampleStep that runs on the CPU, or None",
            value=raised,
            remedy="correct sample_step of the trainable",
        ),
    )
    return cost


def count_trainings(space: Space) -> float:
    """Return the expected length of a search in full trainings: those that rungs shorten, and all confirmations."""
    seeds = 0 if space.confirm is None else space.confirm.seeds
    if space.table is not None:
        return float(len(space.table.rows) * (1 + seeds))
    top = 0 if space.confirm is None else min(space.confirm.top, space.max_trials)
    confirmed = (top + 1 + len(space.start)) * seeds
    return expected_search_epochs(space) / space.budget.epochs + confirmed


def cost_lines(experiment: Experiment) -> list[str]:
    """Return the lines of a dry run about the cost of a search; empty if its trials use no GPU or the cost is unknown."""
    space = experiment.space
    per_epoch = experiment.epoch_presentations(space.baseline) if space.resources.gpu else None
    cost = None if per_epoch is None else estimate_cost(space, per_epoch)
    if cost is None:
        return []
    texts = [
        f"{cost.step.flop * cost.items / 1e15:.3g} PFLOP and {format_bytes(cost.memory_bytes)} of GPU memory for a full "
        f"training of the baseline; the search takes as long as {cost.trainings:.0f} of them",
        *(_describe_card(cost, card) for card in CARDS),
        "computed, not measured: docs/costs.md",
    ]
    return [f"{'cost' * (number == 0):<9}{text}" for number, text in enumerate(texts)]


def _describe_card(cost: SearchCost, card: Card) -> str:
    hours = cost.training_hours(card)
    total = hours * cost.trainings
    return (
        f"{card.name + ':':<5} {format_hours(hours)} h for it, {format_hours(total)} GPU hours for the search, "
        f"{total * card.dollars_per_hour:,.0f} $ at {card.dollars_per_hour:g} $ per hour"
    )


def format_hours(hours: float) -> str:
    """Return hours with two digits."""
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
