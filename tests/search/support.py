"""A search space for tests that need no training."""

from __future__ import annotations

import dataclasses
from typing import Any

from datasets.rooms.spec import RoomSpec
from search.study.trials import Epoch
from spaces.schema import Budget, Dimension, Resources, Space, Stopping

SPACE = Space(
    name="toy",
    trainable="localizer",
    dataset=RoomSpec(),
    fixed={"representation": "rg"},
    search=(
        Dimension("optimizer.lr", "log_uniform", 1e-4, 1e-2),
        Dimension("optimizer.batch_size", "log_int", 16, 256),
        Dimension("loss.regression", "choice", choices=("mse", "smooth_l1")),
        Dimension("loss.huber_delta", "uniform", 0.05, 0.5, when=(("loss.regression", ("smooth_l1",)),)),
    ),
    inner={"threshold": (0.3, 0.6)},
    objectives=(("f1_0.3m", "maximize"),),
    baseline={"optimizer.lr": 1e-4, "optimizer.batch_size": 128, "loss.regression": "mse"},
    start=({"optimizer.lr": 2e-3},),
    stopping=Stopping(first_rung=1, reduction=3),
    budget=Budget(trials=8, epochs=9),
    resources=Resources(),
    seed=0,
    profile=None,
)


def space(**changes: Any) -> Space:
    """Return `SPACE` with changed fields."""
    return dataclasses.replace(SPACE, **changes)


def epoch(number: int, f1: float, **metrics: float) -> Epoch:
    """Return the result of an epoch with this F1."""
    return Epoch(number, {"f1_0.3m": f1, "loss": 1 - f1, **metrics}, {"threshold": 0.6}, 1.0)
