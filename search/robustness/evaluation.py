"""Metrics of a localizer, and of SRP-PHAT, under the conditions of a robustness map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.acoustics.conditions import AcousticCondition
from datasets.acoustics.noise import add_noise
from datasets.rooms.dataset import Batch, Dataset, Split
from search.robustness.rooms import name_split
from search.saved_models import SavedModel
from trainables.localizer import srp_phat
from trainables.localizer.trainable import Localizer, SteeredLocalizer

MODEL: Final = "model"
_SEED: Final = 7


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


class _StressedSplit(Split):
    """Samples of a split with noise and deviating gains, the same ones whenever a sample is read first in a batch."""

    def __init__(self, split: Split, condition: AcousticCondition) -> None:
        self._split = split
        self._condition = condition
        self.positions_m = split.positions_m
        self.counts = split.counts

    def __len__(self) -> int:
        return len(self._split)

    def read_batch(self, indices: NDArray[np.int64]) -> Batch:
        """Read samples, change the gains of their microphones, and add noise."""
        batch = self._split.read_batch(indices)
        generator = np.random.default_rng([_SEED, int(indices[0])])
        shape = (*batch.waves.shape[:3], 1)
        gains = generator.uniform(-self._condition.gain_db, self._condition.gain_db, shape)
        waves = batch.waves * torch.from_numpy(10 ** (gains / 20)).float()
        if self._condition.snr_db is not None:
            add_noise(waves, generator, (self._condition.snr_db, self._condition.snr_db))
        return Batch(waves, batch.positions_m, batch.counts)


@dataclass(frozen=True)
class _StressedDataset(Dataset):
    """Dataset of which every split has the same condition."""

    condition: AcousticCondition = field(kw_only=True)

    def open_split(self, name: str) -> Split:
        """Open a split of the dataset under the condition."""
        return _StressedSplit(super().open_split(name), self.condition)


def score_conditions(
    model: SavedModel,
    conditions: Sequence[AcousticCondition],
    sources: Sequence[int],
    open_rooms: Callable[[float], Dataset],
    device: str,
) -> Iterator[StressedScore]:
    """Yield the metrics of a model and of SRP-PHAT under each condition.

    The inference parameters of the model are those of its search; those of SRP-PHAT are chosen on the validation samples of the
    first condition.

    Args:
        model: Saved model of the localizer.
        conditions: Conditions, those of one reverberation time after the other.
        sources: Numbers of sources.
        open_rooms: Returns the dataset of a reverberation time.
        device: Torch device.
    """
    chosen: dict[str, float] = {}
    for condition in conditions:
        rooms = open_rooms(condition.rt60_s)
        data = _StressedDataset(**{name: getattr(rooms, name) for name in vars(rooms)}, condition=condition)
        localizer = Localizer(model.config, data, device=device, seed=0, epochs=1)
        localizer.load_weights(model.weights)
        steered = SteeredLocalizer(data, device=device)
        chosen = chosen or _choose_params(steered)
        for count in sources:
            split = name_split(count)
            for method, subject, params in (
                (MODEL, localizer, model.inference_params),
                (srp_phat.SRP_PHAT, steered, chosen),
            ):
                metrics = subject.evaluate(split, [dict(params)])[0]
                yield StressedScore(condition, count, method, {n: v for n, v in metrics.items() if n != "loss"})


def _choose_params(steered: SteeredLocalizer) -> dict[str, float]:
    choices = srp_phat.list_inference_params()
    values = [metrics["f1_mean"] for metrics in steered.evaluate("validate", choices)]
    return choices[values.index(max(values))]


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
