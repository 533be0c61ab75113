"""Metrics of a localizer, and of SRP-PHAT and MUSIC, under the conditions of a robustness map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from datasets.acoustics.conditions import AcousticCondition
from datasets.rooms.dataset import Dataset, Split
from datasets.rooms.disturbed import DisturbedSplit
from search.robustness.rooms import name_split
from search.saved_models import SavedModel
from trainables.localizer.trainable import YARDSTICKS, Localizer, SteeredLocalizer

MODEL: Final = "model"


@dataclass(frozen=True)
class StressedScore:
    """Metrics under one condition.

    Attributes:
        condition: The condition.
        sources: Number of sources per sample.
        method: `model`, or the name of a yardstick.
        metrics: Metrics by name.
    """

    condition: AcousticCondition
    sources: int
    method: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class _StressedDataset(Dataset):
    """Dataset of which every split has the same condition."""

    condition: AcousticCondition = field(kw_only=True)

    def open_split(self, name: str) -> Split:
        """Open a split of the dataset under the condition."""
        return DisturbedSplit(super().open_split(name), self.condition)


def score_conditions(
    model: SavedModel,
    conditions: Sequence[AcousticCondition],
    sources: Sequence[int],
    open_rooms: Callable[[float], Dataset],
    device: str,
) -> Iterator[StressedScore]:
    """Yield the metrics of a model and of the yardsticks, SRP-PHAT and MUSIC, under each condition.

    The inference parameters of the model are those of its search; those of a yardstick are chosen on the validation samples of
    the first condition.

    Args:
        model: Saved model of the localizer.
        conditions: Conditions, those of one reverberation time after the other.
        sources: Numbers of sources.
        open_rooms: Returns the dataset of a reverberation time.
        device: Torch device.
    """
    config = model.config.without_conditions()
    chosen = {MODEL: dict(model.inference_params)}
    for condition in conditions:
        rooms = open_rooms(condition.rt60_s)
        data = _StressedDataset(**{name: getattr(rooms, name) for name in vars(rooms)}, condition=condition)
        localizer = Localizer(config, data, device=device, seed=0, epochs=1)
        localizer.load_weights(model.weights)
        subjects: dict[str, Localizer] = {MODEL: localizer}
        for method in YARDSTICKS:
            yardstick = SteeredLocalizer(data, method, device=device, evaluation=config.evaluation)
            if method not in chosen:
                chosen[method] = yardstick.choose_inference_params()
            subjects[method] = yardstick
        for count in sources:
            split = name_split(count)
            for method, subject in subjects.items():
                metrics = subject.evaluate(split, [chosen[method]])[0]
                yield StressedScore(condition, count, method, {n: v for n, v in metrics.items() if n != "loss"})


def to_plain(score: StressedScore) -> dict[str, Any]:
    """Return a score as plain values."""
    condition = score.condition
    return {
        "rt60_s": condition.rt60_s,
        "snr_db": condition.snr_db,
        "gain_db": condition.gain_db,
        "sources": score.sources,
        "method": score.method,
        "metrics": {name: value for name, value in score.metrics.items() if np.isfinite(value)},
    }
