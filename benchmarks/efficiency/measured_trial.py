"""Training of one configuration over all epochs, with the CPU time of each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from benchmarks.efficiency.curves import CurveEpoch
from search.execution.trial import TrialFailedError, TrialRunner
from search.experiment import Experiment
from spaces.schema import Value
from trainables.contract import Trainable


class MeasuredRunner(TrialRunner):
    """Trial that also measures the CPU time of its epochs, without the construction of the network and its data.

    Attributes:
        seconds: Wall time of every epoch, the last one included if it failed.
        cpu_seconds: CPU time of the same.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []

    def _train_epoch(self, trainable: Trainable) -> None:
        wall, cpu = time.monotonic(), time.process_time()
        try:
            super()._train_epoch(trainable)
        finally:
            self.seconds.append(time.monotonic() - wall)
            self.cpu_seconds.append(time.process_time() - cpu)


def train_in_full(experiment: Experiment, number: int, parameters: Mapping[str, Value]) -> tuple[list[CurveEpoch], str]:
    """Train a configuration over all epochs of the budget on the CPU.

    Args:
        experiment: Space with the seed of the training, dataset and storage.
        number: Number of the trial, which names its files.
        parameters: Searched parameters.

    Returns:
        The epochs and the reason of a failure, which is empty without one. A failed epoch has no metrics.
    """
    runner = MeasuredRunner(experiment, number, parameters, 0, "cpu")
    epochs: list[CurveEpoch] = []
    try:
        for epoch in range(1, experiment.space.budget.epochs + 1):
            result = runner.next_epoch()
            epochs.append(
                CurveEpoch(epoch, dict(result.metrics), dict(result.setting), result.seconds, runner.cpu_seconds[-1])
            )
    except TrialFailedError as error:
        if len(runner.seconds) > len(epochs):
            failed = CurveEpoch(len(epochs) + 1, {}, {}, runner.seconds[-1], runner.cpu_seconds[-1])
            return [*epochs, failed], str(error)
        return epochs or [CurveEpoch(1, {}, {}, 0.0, 0.0)], str(error)
    finally:
        runner.close()
    return epochs, ""
