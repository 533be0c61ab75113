"""Measured quantities of the model of a trial, as far as the constraints of its space need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from search.study.trials import Epoch
from spaces.constraints import Constraints
from trainables.contract import ContractError, Trainable
from trainables.measurement import LATENCY, PARAMETERS, measure_latency, measure_parameters
from trainables.sound_profile import TRAINING_EXCERPTS, SoundExcerpts, SoundProfile


class UnfitModelError(Exception):
    """Model that violates constraints before its first epoch; the message is the reason that the study records.

    Attributes:
        measured: What was measured on the model.
    """

    def __init__(self, reason: str, measured: Mapping[str, float]) -> None:
        super().__init__(reason)
        self.measured = dict(measured)

    def __reduce__(self) -> tuple[object, ...]:
        return (UnfitModelError, (str(self), self.measured))


def measure_model(trainable: Trainable, constraints: Constraints) -> dict[str, float]:
    """Return what can be measured on a model before it is trained.

    Raises:
        ContractError: If the trainable does not state the number of its parameters.
    """
    names = {constraint.metric for constraint in constraints if constraint.is_measured}
    return {PARAMETERS: float(measure_parameters(trainable))} if PARAMETERS in names else {}


def measure_prediction(trainable: Trainable, constraints: Constraints, epochs: Sequence[Epoch]) -> dict[str, float]:
    """Return the latency of a prediction: that of an earlier epoch, or else measured now; nothing if it is not needed.

    Args:
        trainable: Model after an epoch.
        constraints: Constraints of the space.
        epochs: Earlier epochs of the trial.

    Raises:
        ContractError: If the trainable does not predict single samples.
    """
    if not any(constraint.is_measured and constraint.metric == LATENCY for constraint in constraints):
        return {}
    earlier = [epoch.metrics[LATENCY] for epoch in epochs if LATENCY in epoch.metrics]
    return {LATENCY: earlier[0] if earlier else measure_latency(trainable)}


def measure_training_sound(trainable: Trainable) -> dict[str, Any] | None:
    """Return the profile of the training sound as plain values; None if the trainable has no such sound.

    Raises:
        ContractError: If `training_excerpts` returns anything else.
    """
    excerpts = trainable.training_excerpts(TRAINING_EXCERPTS)
    if excerpts is None:
        return None
    if not isinstance(excerpts, SoundExcerpts) or np.ndim(excerpts.waves) != 3 or not np.size(excerpts.waves):
        raise ContractError(
            f"training_excerpts returned {excerpts!r:.100}, but None or SoundExcerpts with waves of the shape "
            "(excerpts, samples, channels) is expected"
        )
    return SoundProfile.from_excerpts(excerpts).to_values()
