"""Hyperparameters of the Hungarian network: names, defaults (the authors'), bounds and units. Does not import torch."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from datasets.building.provider import DatasetProvider, require_kind
from trainables.contract import ConfigSection, InnerParameter, Metric, TrainableConfig

Padding = Literal["mixed", "constant", "random"]
Permutation = Literal["none", "either", "rows", "columns", "both"]

METRICS: Final = (
    Metric(
        "f_weighted",
        "maximize",
        "the authors' F-score: both classes, weighted, mean over batches of 256",
        headline=True,
    ),
    Metric("f_weighted_pooled", "maximize", "the same over the whole split at once"),
    Metric("f1", "maximize", "F1 of the associations alone", headline=True),
    Metric("exact", "maximize", "share of matrices without a single wrong entry", headline=True),
)

INNER: Final[tuple[InnerParameter, ...]] = ()
"""Empty: an association is a probability above 0.5, here and in localizers that are trained through this network."""


class DataConfig(ConfigSection):
    """Distance matrices to learn from."""

    matrices: int = Field(
        15_000,
        ge=150,
        le=1_000_000,
        description="training matrices of each resolution with `max_sources` references and predictions; there are fewer "
        "with fewer sources",
    )
    padding: Padding = Field(
        "mixed",
        description="positions of missing sources: all at (10, 10, 10) (`constant`), `random` within ±100, or a fair coin for "
        "each matrix",
    )


class NetworkConfig(ConfigSection):
    """Sizes and variants of the network."""

    hidden: int = Field(128, ge=4, le=1024, description="units of the GRU and of the attention")
    bidirectional: bool = Field(False, description="whether a second GRU reads the rows from the last to the first")
    scaled_attention: bool = Field(False, description="divide the attention's scores by √hidden")
    distance_limit: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="larger distances count as this; 0 is no limit. Distances of directions are at most 2; the authors have no "
        "limit",
    )


class LossConfig(ConfigSection):
    """Weights of the three binary cross entropies."""

    assignment: float = Field(1.0, gt=0, le=100, description="weight of the entries")
    rows: float = Field(1.0, ge=0, le=100, description="weight of the rows' maxima: has this reference a prediction?")
    columns: float = Field(
        1.0, ge=0, le=100, description="weight of the columns' maxima: has this prediction a reference?"
    )
    reduction: Literal["sum", "mean"] = Field(
        "sum", description="over batch and entries; `mean` gives an entry 1 / max_sources of what a maximum counts"
    )


class OptimizerConfig(ConfigSection):
    """Optimizer and learning-rate schedule."""

    lr: float = Field(1e-3, gt=0, le=1, description="learning rate of Adam")
    schedule: Literal["constant", "cosine", "one_cycle"] = Field(
        "constant", description="learning rate over the epochs"
    )
    batch_size: int = Field(256, ge=1, le=65_536, description="matrices per step")
    weight_decay: float = Field(0.0, ge=0, le=1, description="decoupled, as in AdamW")
    clip_norm: float = Field(0.0, ge=0, le=1e6, description="largest gradient norm; 0 is no limit")


class AugmentConfig(ConfigSection):
    """Random changes to the training matrices, drawn independently in each epoch."""

    permute: Permutation = Field(
        "none",
        description="reorder the references (rows), the predictions (columns), one of these chosen by a fair coin, or both",
    )


class HnetConfig(TrainableConfig):
    """Hyperparameters of the Hungarian network; all defaults are the authors' values."""

    max_sources: int = Field(2, ge=2, le=7, description="rows and columns of a matrix; a grid of 30° has 7 elevations")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "fp32",
        description="`auto` takes bf16 where the hardware multiplies it faster; distances are always read in fp32",
    )
    data: DataConfig = Field(default_factory=DataConfig)
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    augment: AugmentConfig = Field(default_factory=AugmentConfig)

    def epoch_presentations(self, dataset: DatasetProvider) -> int:
        """Return the matrices of all complete batches of an epoch."""
        from trainables.hnet.matrices import RESOLUTIONS_DEG, count_pairs  # loads SciPy

        del dataset
        matrices = len(RESOLUTIONS_DEG) * sum(count_pairs(self.max_sources, self.data.matrices).values())
        size = min(self.optimizer.batch_size, matrices)
        return matrices // size * size

    def check_data(self, dataset: DatasetProvider) -> None:
        """Require distance matrices.

        Raises:
            InputError: If the dataset is of another kind.
        """
        require_kind(dataset, "matrices")
