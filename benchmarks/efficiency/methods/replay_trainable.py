"""Trainable of the spaces that the engines of this project search in replays; it is never trained."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from trainables.contract import Metric
from trainables.function import trainable


class ReplayConfig(BaseModel):
    """Any values: a replay has its own dimensions."""

    model_config = ConfigDict(extra="allow")


@trainable(metrics=[Metric("value", "maximize", "objective of the task")])
def train_replay(config: ReplayConfig, *, seed: int, epochs: int) -> Iterator[dict[str, float]]:
    """Yield nothing."""
    del config, seed, epochs
    yield from ()
