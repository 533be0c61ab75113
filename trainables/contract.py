"""What everything that can be searched offers. A user's own trainable derives from `Trainable`, nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel

from trainables.prediction import Predictor

Settings = Mapping[str, float]
"""One choice of the parameters that need no training, by name."""

Metrics = dict[str, float]


@dataclass(frozen=True)
class Metric:
    """A figure that `evaluate` returns."""

    name: str
    direction: Literal["maximize", "minimize"]
    meaning: str
    headline: bool = False
    """Whether tables show it, besides the objectives."""


@dataclass(frozen=True)
class InnerParameter:
    """A parameter of inference: it needs no training, so every validation tries all its values."""

    name: str
    low: float
    high: float
    meaning: str


class DivergedError(Exception):
    """Training produced NaN or infinity; the message says where."""


class Trainable(ABC):
    """One model in training.

    A subclass sets the three class attributes and implements the methods. The same seed gives the same numbers on the same
    CPU; `state` and `load_state` continue a training bit for bit.

    Attributes:
        Config: Frozen pydantic model; the only source of hyperparameter names, defaults, bounds and units. The defaults are
            the paper's values. It may have a method `check_data(source)`, called before a search begins, that raises
            `runtime.errors.InputError` where a model of these values cannot learn from a `datasets.building.provider.DataSource`.
            Where it has a class attribute `several = True`, several processes can train one model, each on a GPU of its own:
            `train_epoch` is then called in all of them and keeps them alike with `trainables.distributed`, and the Config has an
            `optimizer.batch_size`.
        metrics: What `evaluate` returns, the best-known first.
        inner: Parameters of inference that `evaluate` accepts in its settings.
    """

    Config: ClassVar[type[BaseModel]]
    metrics: ClassVar[tuple[Metric, ...]]
    inner: ClassVar[tuple[InnerParameter, ...]]

    @abstractmethod
    def __init__(self, config: Any, data: Any, *, device: str, seed: int, epochs: int) -> None:
        """Build the model.

        Args:
            config: An instance of `Config`.
            data: A dataset whose `split(name)` returns its splits.
            device: A torch device.
            seed: Of initial weights, order of samples and augmentation.
            epochs: The length of a full training, for schedules.
        """

    @abstractmethod
    def train_epoch(self) -> Metrics:
        """Train for one pass over the training split.

        Raises:
            DivergedError: If a loss is not finite.
        """

    @abstractmethod
    def evaluate(self, split: str, settings: Sequence[Settings]) -> list[Metrics]:
        """Measure on a split, with one pass of the model however many settings there are.

        Args:
            split: Name of the split.
            settings: Choices of inner parameters; missing ones take the Config's values.

        Returns:
            One mapping of metrics for each of the settings.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything that continuing needs: weights, optimizer, schedule, randomness, the epoch."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""

    @abstractmethod
    def weights(self) -> dict[str, Any]:
        """What inference needs, and no more."""

    @abstractmethod
    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Take over weights for inference."""

    @abstractmethod
    def predict(self, audio: Any, settings: Settings) -> Any:
        """Infer from raw audio.

        Args:
            audio: In the shape the dataset has it, with a batch axis.
            settings: Inner parameters; missing ones take the Config's values.
        """

    @classmethod
    def predictor(cls, config: Any, weights: Mapping[str, Any], *, device: str) -> Predictor | None:
        """Build what predicts from recordings, without any data.

        Args:
            config: An instance of `Config`.
            weights: As `weights` returned them.
            device: A torch device.

        Returns:
            None if this trainable does not predict from recordings.

        Raises:
            KeyError, RuntimeError: If the weights are not of this Config.
        """
        del config, weights, device
        return None

    def plot_predictions(self, splits: Sequence[str], settings: Settings) -> Any:
        """Draw predictions for a few samples.

        Returns:
            A matplotlib figure, or None if there is nothing to see.
        """
        del splits, settings
