"""Budgets of a search before it starts: whether they can be counted, and their lines in the plan."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

from runtime.errors import InputError
from runtime.machines import machine
from search.experiment import Experiment
from search.reporting.spending import format_amount, format_unit
from search.study.spending import budget_limits
from spaces.schema import Space
from trainables import hooks


def check_budgets(path: Path, experiment: Experiment, configs: Iterable[BaseModel]) -> None:
    """Check that the units of all budgets can be counted.

    Args:
        path: Space file, for the message.
        experiment: Search that is about to start.
        configs: Configs at the boundary of the space.

    Raises:
        InputError: If the price or the GPUs of a trial are missing, or the number of its training samples is unknown.
    """
    space = experiment.space
    if space.budget.money is not None and space.resources.price_per_hour is None:
        raise InputError(
            f"{path}: budget.money",
            "a budget of money needs the price of a trial per hour",
            value=space.budget.money,
            remedy="add  resources: {price_per_hour: …},  or --set resources.price_per_hour=…",
        )
    if space.budget.gpu_hours is not None and space.resources.gpu == 0:
        raise InputError(
            f"{path}: budget.gpu_hours",
            "a budget of GPU-hours needs trials that use a GPU",
            value=f"{space.budget.gpu_hours:g}, with resources.gpu 0",
            remedy="use budget.hours, or budget.money with resources.price_per_hour, or set resources.gpu",
        )
    if space.budget.presentations is not None:
        _require_presentations(path, experiment, configs)


def _require_presentations(path: Path, experiment: Experiment, configs: Iterable[BaseModel]) -> None:
    for config in configs:
        if hooks.epoch_presentations(config, experiment.dataset) is None:
            raise InputError(
                f"{path}: budget.presentations",
                f"{experiment.space.trainable} does not state how many training samples an epoch shows",
                value=experiment.space.budget.presentations,
                remedy="use budget.epochs_total, set the length of an epoch in the Config where it has such a field "
                "(optimizer.epoch_sequences of DOAnet), or define epoch_presentations in a Config of your own",
            )


def budget_lines(experiment: Experiment) -> list[str]:
    """Return the lines of the plan about budgets that count over all trials; empty if there are none."""
    space = experiment.space
    limits = budget_limits(space.budget)
    if not limits:
        return []
    amounts = ", ".join(f"{format_amount(most)} {format_unit(limit, most)}" for limit, most in limits.items())
    lines = [f"budget   at most {amounts} in all trials together"]
    full = _full_trial(experiment)
    lines += [
        f"         {format_amount(most)} {format_unit(limit, most)} are less than one full trial takes "
        f"({format_amount(full[limit])}): no trial can finish"
        for limit, most in limits.items()
        if most < full.get(limit, 0)
    ]
    if "gpu_hours" in limits and _lacks_gpu(space) and experiment.ray_address is None:
        lines.append("         this machine has no GPU: the budget of GPU-hours has no effect on it")
    return lines


def _full_trial(experiment: Experiment) -> dict[str, float]:
    """Return what a full training of the baseline takes, as far as it is known before it runs."""
    space = experiment.space
    full: dict[str, float] = {"epochs_total": space.budget.epochs}
    if space.budget.presentations is not None:
        full["presentations"] = space.budget.epochs * (experiment.epoch_presentations(space.baseline) or 0)
    return full


def _lacks_gpu(space: Space) -> bool:
    return space.resources.gpu == "auto" and not machine.has_gpu()
