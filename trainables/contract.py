"""Base classes of everything that can be searched: a model in training and its hyperparameters.

A trainable outside this package derives from `Trainable`, and its hyperparameters from `TrainableConfig` or another
pydantic model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from trainables.error_analysis import ErrorAnalysis
from trainables.prediction import Predictor
from trainables.sound_profile import SoundExcerpts

if TYPE_CHECKING:
    from datasets.building.provider import DatasetProvider
    from datasets.building.spec import DatasetSpec
    from trainables.training_cost import SampleStep

__all__ = [
    "ConfigSection",
    "ContractError",
    "DivergedError",
    "InferenceParams",
    "InnerParameter",
    "Metric",
    "Metrics",
    "Trainable",
    "TrainableConfig",
]

InferenceParams = Mapping[str, float]
"""Inference-time parameters by name, e.g. `{"threshold": 0.4}`; they need no training."""

Metrics = dict[str, float]
"""Values of metrics by name; a search also takes numbers of other types, and NaN for an undefined value."""


@dataclass(frozen=True)
class Metric:
    """A metric that `Trainable.evaluate` returns.

    Attributes:
        name: Key in the returned mapping.
        direction: Direction in which the metric improves.
        meaning: Description for users, with the unit.
        headline: Whether tables show the metric in addition to the objectives.
    """

    name: str
    direction: Literal["maximize", "minimize"]
    meaning: str
    headline: bool = False


@dataclass(frozen=True)
class InnerParameter:
    """A parameter of inference: it needs no training, so every validation sweeps all its values.

    Attributes:
        name: Key in `InferenceParams`.
        low: Smallest value.
        high: Largest value.
        meaning: Description for users, with the unit.
    """

    name: str
    low: float
    high: float
    meaning: str


class ContractError(Exception):
    """A trainable departs from the contract; the message names the method, the value and what is expected."""


class DivergedError(Exception):
    """Training produced NaN or infinity; the message names the epoch."""


class ConfigSection(BaseModel):
    """A frozen group of hyperparameters without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TrainableConfig(ConfigSection):
    """Hyperparameters of a trainable, and hooks that a search calls before it starts.

    A Config may also derive from `pydantic.BaseModel`; the hooks that it lacks have the defaults below. A subclass overrides the
    hooks it needs. `registry.load_trainable` refuses public names that resemble a hook, so that a misspelling is noticed.

    Attributes:
        supports_ddp: Whether several processes can train one model, each on its own GPU. `train_epoch` is then called in all
            of them and synchronises them with `trainables.distributed`, and `ddp_batch_size` returns a number.
    """

    supports_ddp: ClassVar[bool] = False

    @property
    def ddp_batch_size(self) -> int | None:
        """Number of items per training step, which the processes share; None without `supports_ddp`."""
        return None

    def check_data(self, dataset: DatasetProvider) -> None:
        """Check that a model with these hyperparameters can learn from a dataset; the default accepts every dataset.

        Args:
            dataset: Dataset of the search, not necessarily built yet.

        Raises:
            InputError: If the dataset is unsuitable.
        """

    def epoch_presentations(self, dataset: DatasetProvider) -> int | None:
        """Return the number of training samples that an epoch shows, each repetition counted, for `budget.presentations`.

        Args:
            dataset: Dataset of the trial, not necessarily built yet.

        Returns:
            The number; None, the default, if it is unknown before a training.
        """
        del dataset
        return None

    def reported_metrics(self, declared: tuple[Metric, ...]) -> tuple[Metric, ...]:
        """Return the metrics that `evaluate` returns with these hyperparameters, which all trials of a search must share.

        Args:
            declared: Metrics that the trainable declares.

        Returns:
            Those, by default.
        """
        return declared


class Trainable(ABC):
    """A model in training.

    A subclass sets the class attributes and implements the abstract methods. The same seed gives the same numbers on the
    same CPU; `state` and `load_state` continue a training bit for bit.

    Attributes:
        Config: Hyperparameters; the only source of their names, defaults, bounds and units. The defaults of the built-in
            trainables are the papers' values.
        metrics: Metrics that `evaluate` returns, the best-known first.
        inner: Parameters of inference that `evaluate` accepts; none by default.
        needs_data: Whether the trainable learns from a dataset. Without one, the space omits `dataset`, and `data` is None.
    """

    Config: ClassVar[type[BaseModel]]
    metrics: ClassVar[tuple[Metric, ...]]
    inner: ClassVar[tuple[InnerParameter, ...]] = ()
    needs_data: ClassVar[bool] = True

    @abstractmethod
    def __init__(self, config: Any, data: Any, *, device: str, seed: int, epochs: int) -> None:
        """Build the model.

        Args:
            config: Instance of `Config`.
            data: Opened dataset, as `DatasetProvider.open_dataset` returns it.
            device: Name of a torch device.
            seed: Seed of the initial weights, the order of samples and the augmentation.
            epochs: Length of a full training in epochs, for learning-rate schedules.
        """

    @abstractmethod
    def train_epoch(self) -> Metrics:
        """Train for one epoch.

        Returns:
            Metrics of the epoch, e.g. the mean training loss; None stands for none.

        Raises:
            DivergedError: If a loss is not finite.
        """

    @abstractmethod
    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Evaluate on a split, with one pass of the model for all choices of inference parameters.

        Args:
            split: Name of the split.
            params_grid: Choices of inner parameters; missing ones take the Config's values.

        Returns:
            One mapping of metrics per element of `params_grid`, with all objectives of the search.
        """

    def evaluate_scenes(self, split: str, inference_params: InferenceParams) -> NDArray[np.float64] | None:
        """Return what `evaluate` sums over the scenes of a split, one row per scene.

        With it, a search can tell how much a difference of two models depends on the scenes of a split.

        Args:
            split: Name of the split.
            inference_params: Inner parameters; missing ones take the Config's values.

        Returns:
            Additive terms, shape (scenes, terms), of which `summarise_scenes` computes the metrics; None if the metrics are no
            functions of sums over scenes.
        """
        del split, inference_params
        return None

    @classmethod
    def summarise_scenes(cls, sums: NDArray[np.float64], config: Any) -> list[Metrics]:
        """Return the metrics of sums over scenes.

        Args:
            sums: Sums of the rows of `evaluate_scenes`, shape (resamples, terms).
            config: Instance of `Config` of one of the models; they all report the same metrics.

        Returns:
            One mapping of metrics per resample; that of the sum over all scenes equals the result of `evaluate`.
        """
        raise NotImplementedError(f"{cls.__name__} has no results per scene")

    def analyse_errors(self, split: str, inference_params: InferenceParams) -> ErrorAnalysis | None:
        """Return where and when the model errs on a split, for the maps and examples of a report.

        Args:
            split: Name of the split.
            inference_params: Inner parameters; missing ones take the Config's values.

        Returns:
            Errors by source, and examples; None, the default, if the trainable does not locate sources.
        """
        del split, inference_params
        return None

    def score_yardsticks(self, splits: Sequence[str]) -> Mapping[str, Mapping[str, Metrics]]:
        """Return the metrics of methods without training on the same data, tuned on validation, for comparison in reports.

        Args:
            splits: Names of the test splits.

        Returns:
            Metrics by name of the method and split; none by default.
        """
        del splits
        return {}

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return everything that continuing needs: weights, optimizer, schedule, random state, epoch.

        Returns:
            Mapping of tensors and plain values, readable by `torch.load(…, weights_only=True)`; the first one is read back.
        """

    @abstractmethod
    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state` returned."""

    @abstractmethod
    def weights(self) -> dict[str, Any]:
        """Return what inference needs, and nothing else."""

    @abstractmethod
    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Replace the weights by those that `weights` returned."""

    @classmethod
    def predictor(cls, config: Any, weights: Mapping[str, Any], *, device: str) -> Predictor | None:
        """Build a predictor for recordings, without any dataset.

        Args:
            config: Instance of `Config`.
            weights: Weights that `weights` returned.
            device: Name of a torch device.

        Returns:
            The predictor; None if this trainable does not predict from recordings.

        Raises:
            KeyError, RuntimeError: If the weights do not belong to this Config.
        """
        del config, weights, device
        return None

    def training_excerpts(self, count: int) -> SoundExcerpts | None:
        """Return excerpts of the training sound, with which `search.predict` compares recordings.

        Args:
            count: Desired number of excerpts; fewer if there are not as many.

        Returns:
            Excerpts in the format of the predictor's recordings, the same at each call; None, the default, if the trainable
            does not learn from such sound.
        """
        del count
        return None

    def count_parameters(self) -> int | None:
        """Return the number of parameters that training changes, for constraints on `parameters`.

        Returns:
            The number; None, the default, if the trainable does not state it.
        """
        return None

    @classmethod
    def expected_parameters(cls, config: Any, dataset: DatasetSpec) -> int | None:
        """Return what `count_parameters` will return, before the model is built.

        A search calls it for every proposal, and draws a proposal again whose model is too large.

        Args:
            config: Instance of `Config`.
            dataset: Description of the dataset, which need not be built yet.

        Returns:
            The number; None, the default, if it is unknown until the model is built.
        """
        del config, dataset
        return None

    @classmethod
    def sample_step(cls, config: Any, dataset: DatasetSpec) -> SampleStep | None:
        """Return a training step of a new model on random items, from which `--dry-run` estimates the cost of a search.

        Args:
            config: Instance of `Config`.
            dataset: Description of the dataset, which need not be built yet.

        Returns:
            The step, on the CPU; None, the default, if it is unknown before the model is built.
        """
        del config, dataset
        return None

    def prepare_prediction(self) -> Callable[[], object] | None:
        """Return a function that predicts one sample of the validation split, for constraints on `latency_ms`.

        Everything that a prediction does not need, such as reading the sample, is done before the function is returned.

        Returns:
            The function; None, the default, if the trainable does not predict single samples.
        """
        return None

    def plot_predictions(self, splits: Sequence[str], inference_params: InferenceParams) -> Any:
        """Plot predictions for a few samples of each split.

        Returns:
            A matplotlib figure, or None if there is nothing to show.
        """
        del splits, inference_params
