"""Every hyperparameter of the Hungarian network: name, default (the authors'), bounds, unit. Needs no torch."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from datasets.building.provider import DatasetProvider, require_kind
from datasets.rooms.spec import Frozen
from trainables.contract import InnerParameter, Metric

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
"""None: an association is whatever has a probability above 0.5, here and where a localizer is trained through it."""


class Data(Frozen):
    """The matrices it learns from."""

    matrices: int = Field(
        15_000,
        ge=150,
        le=1_000_000,
        description="training matrices of each resolution with `max_sources` references and predictions; fewer have fewer",
    )
    padding: Padding = Field(
        "mixed",
        description="what missing sources are: all at (10, 10, 10), `random` within ±100, or a fair coin for each matrix",
    )


class Network(Frozen):
    """Sizes and variants."""

    hidden: int = Field(128, ge=4, le=1024, description="units of the GRU and of the attention")
    bidirectional: bool = Field(False, description="whether a second GRU reads the rows from the last to the first")
    scaled_attention: bool = Field(False, description="divide the attention's scores by √hidden")
    distance_limit: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="larger distances count as this; 0 is no limit. Real ones are at most 2; the authors have none",
    )


class Loss(Frozen):
    """A sum of three binary cross entropies."""

    assignment: float = Field(1.0, gt=0, le=100, description="weight of the entries")
    rows: float = Field(1.0, ge=0, le=100, description="weight of the rows' maxima: has this reference a prediction?")
    columns: float = Field(1.0, ge=0, le=100, description="weight of the columns' maxima, likewise")
    reduction: Literal["sum", "mean"] = Field(
        "sum", description="over batch and entries; `mean` gives an entry 1 / max_sources of what a maximum counts"
    )


class Optimizer(Frozen):
    """How it is trained."""

    lr: float = Field(1e-3, gt=0, le=1, description="learning rate of Adam")
    schedule: Literal["constant", "cosine", "one_cycle"] = Field(
        "constant", description="learning rate over the epochs"
    )
    batch_size: int = Field(256, ge=1, le=65_536, description="matrices a step")
    weight_decay: float = Field(0.0, ge=0, le=1, description="decoupled, as in AdamW")
    clip_norm: float = Field(0.0, ge=0, le=1e6, description="largest gradient norm; 0 is no limit")


class Augment(Frozen):
    """Changes to the training matrices, drawn anew each epoch."""

    permute: Permutation = Field(
        "none",
        description="reorder the references (rows), the predictions (columns), a coin's choice of these, or both",
    )


class HnetConfig(Frozen):
    """The Hungarian network. All defaults are the authors' values."""

    max_sources: int = Field(2, ge=2, le=7, description="rows and columns of a matrix; a grid of 30° has 7 elevations")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "fp32",
        description="`auto` takes bf16 where the hardware multiplies it faster; distances are always read in fp32",
    )
    data: Data = Field(default_factory=Data)
    network: Network = Field(default_factory=Network)
    loss: Loss = Field(default_factory=Loss)
    optimizer: Optimizer = Field(default_factory=Optimizer)
    augment: Augment = Field(default_factory=Augment)

    def check_data(self, source: DatasetProvider) -> None:
        """See `trainables.contract.Trainable.Config`."""
        require_kind(source, "matrices")
