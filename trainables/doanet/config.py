"""Hyperparameters of DOAnet: names, defaults (the authors'), bounds and units. Does not import torch.

Source: Adavanne, Politis and Virtanen, "Differentiable tracking-based training of deep learning sound source localizers"
(WASPAA 2021), and the authors' published implementation for what the paper does not state.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field, model_validator

from datasets.building.provider import DatasetProvider, require_kind
from datasets.tau2020.labels import FRAMES
from datasets.tau2020.provider import RecordingProvider
from trainables.contract import ConfigSection, InnerParameter, Metric, TrainableConfig

Format = Literal["foa", "mic"]
LossKind = Literal["mse", "pit_mse", "dmotp", "dmotp_act", "dmotp_dmota_act"]

GATES_DEG: Final = (20.0, 180.0)
"""Largest angles between a matched prediction and reference in CLEAR-MOT; the second one admits every pair."""

_CLEAR: Final = (
    ("mota", "MOTA (CLEAR-MOT, %)"),
    ("motp", "MOTP (CLEAR-MOT), the mean angle of the matches in degrees,"),
    ("ids", "identity switches"),
    ("fp", "false positives"),
    ("fn", "misses"),
    ("fragmentations", "interruptions of a track"),
)

METRICS: Final = (
    *(
        Metric(
            f"{name}_{gate:g}deg",
            "maximize" if name == "mota" else "minimize",
            f"{meaning} within {gate:g}°",
            headline=name in ("mota", "ids") and gate == GATES_DEG[0],
        )
        for gate in GATES_DEG
        for name, meaning in _CLEAR
    ),
    Metric(
        "le",
        "minimize",
        "localization error of the authors, degrees, 180 without a match; silence in hard frames lowers it",
        headline=True,
    ),
    Metric("lr", "maximize", "localization recall of the authors, %", headline=True),
    Metric("lp", "maximize", "localization precision of the authors, %"),
    Metric("lf", "maximize", "F-score of the two, %"),
    Metric("mota_authors", "maximize", "MOTa of the authors, %; its switches are onsets of an output", headline=True),
    Metric("ids_authors", "minimize", "onsets of an output, which the authors call identity switches", headline=True),
)

INNER: Final = (
    InnerParameter("threshold", 0.0, 1.0, "an output sounds where its activity is above"),
    InnerParameter("smoothing_frames", 1.0, 51.0, "length of the median over an output's activity, frames of 100 ms"),
)


class NetworkConfig(ConfigSection):
    """Sizes of the convolutional recurrent network."""

    channels: int = Field(128, ge=4, le=512, description="filters of each of the three convolutions")
    gru: int = Field(128, ge=4, le=1024, description="units of the GRU in each direction, and of what follows it")
    gru_layers: int = Field(2, ge=1, le=4, description="bidirectional GRU layers")
    branch: int = Field(128, ge=4, le=1024, description="units of the two hidden layers of each branch")
    dropout: float = Field(0.0, ge=0, lt=1, description="after each convolution block and between GRU layers")
    heads: int = Field(0, ge=0, le=16, description="heads of the self-attention after the GRU; 0 is none")

    @model_validator(mode="after")
    def _check_consistency(self) -> NetworkConfig:
        if self.heads and self.gru % self.heads:
            raise ValueError(f"gru is a multiple of heads, got gru {self.gru} and heads {self.heads}")
        return self


class LossConfig(ConfigSection):
    """Loss function. All fields except `kind` concern the tracking losses alone."""

    kind: LossKind = Field(
        "dmotp_dmota_act",
        description="squared error slot by slot (mse) or for the best order of the slots (pit_mse); or the angle of the "
        "associated (dmotp), with the activity (act), with misses, false positives and switches (dmota)",
    )
    form: Literal["authors", "deepmot"] = Field(
        "authors", description="dMOTp and dMOTa as DOAnet's authors compute them, or as DeepMOT (Xu et al. 2020) does"
    )
    dmotp_weight: float = Field(50.0, ge=0, le=1000, description="weight of dMOTp; DeepMOT's is 5")
    dmota_weight: float = Field(1.0, ge=0, le=1000, description="weight of dMOTa")
    ids_weight: float = Field(
        1.0, ge=0, le=1000, description="weight of identity switches within dMOTa; DeepMOT's is 2"
    )
    activity_weight: float = Field(10.0, ge=0, le=1000, description="weight of the activity's cross entropy")
    gate: float = Field(0.5, ge=0, lt=1, description="associations up to this probability count as none")
    borders: Literal["crossed", "kept"] = Field(
        "crossed",
        description="`crossed` as the authors have it: the first frame of a sequence follows the last one of the previous "
        "sequence in the batch; `kept`: it follows no frame. DeepMOT's form always keeps borders",
    )
    delta: float = Field(
        0.5, gt=0, lt=1, description="DeepMOT: the association that a pair has to exceed to be a match"
    )
    temperature: float = Field(100.0, gt=0, le=1000, description="DeepMOT: factor within the softmax")

    @property
    def uses_tracking(self) -> bool:
        """Return whether the loss needs associations."""
        return self.kind not in ("mse", "pit_mse")

    @property
    def has_activity(self) -> bool:
        """Return whether the network has a branch for activity."""
        return self.kind in ("dmotp_act", "dmotp_dmota_act")

    @property
    def has_dmota(self) -> bool:
        """Return whether dMOTa is part of the loss."""
        return self.kind == "dmotp_dmota_act"


class OptimizerConfig(ConfigSection):
    """Optimizer and learning-rate schedule."""

    name: Literal["adam", "adamw"] = Field("adam", description="optimizer")
    lr: float = Field(1e-3, gt=0, le=1, description="learning rate")
    weight_decay: float = Field(0.0, ge=0, le=1, description="weight decay; decoupled with AdamW")
    batch_size: int = Field(64, ge=1, le=4096, description="sequences per step")
    epoch_sequences: int = Field(
        0, ge=0, le=10_000_000, description="sequences between two validations; 0 is the whole training split"
    )
    schedule: Literal["constant", "cosine", "one_cycle"] = Field(
        "constant", description="learning rate over the epochs"
    )
    clip_norm: float = Field(0.0, ge=0, le=1000, description="largest gradient norm; 0 is no limit")


class AugmentConfig(ConfigSection):
    """Additions to the training recordings; validation and test splits are unchanged."""

    mixing: int = Field(
        4,
        ge=0,
        le=8,
        description="number of mixtures of two recordings of one fold and room for each recording without overlap; 0 is none. "
        "The paper trains all losses with activity on such mixtures, with 4: three times as many recordings where half have no "
        "overlap. Mixtures with more simultaneous events than max_sources are left out",
    )


class InferenceConfig(ConfigSection):
    """Inference of tracks from the output. `inner:` of a space sweeps these at every validation."""

    threshold: float = Field(0.5, ge=0, le=1, description="an output sounds where its activity is above")
    smoothing_frames: int = Field(
        1, ge=1, le=51, description="median over an output's activity, frames of 100 ms; even numbers mean the next odd"
    )


class DoanetConfig(TrainableConfig):
    """Hyperparameters of DOAnet; all defaults are the authors'."""

    supports_ddp: ClassVar[bool] = True

    format: Format = Field("foa", description="first-order Ambisonics, or the four capsules of the tetrahedron")
    max_sources: int = Field(
        2, ge=1, le=4, description="outputs of the network, and the largest number of simultaneous events"
    )
    sequence_frames: int = Field(50, ge=2, le=600, description="length of a sequence, frames of 100 ms")
    activity_tanh: bool = Field(
        True,
        description="the activity passes a tanh before its sigmoid, as in the authors' code but not in their paper; its "
        "probability then stays within 0.269 and 0.731",
    )
    hnet: str = Field(
        "trained",
        min_length=1,
        description="source of the association in the tracking losses: `trained`, a Hungarian network that is trained at first "
        "use and stored; `exact`, which has no gradient of its own; or the file of a network",
    )
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    inference: InferenceConfig = Field(default_factory=InferenceConfig)

    @model_validator(mode="after")
    def _check_single_source(self) -> DoanetConfig:
        if self.max_sources == 1 and self.hnet != "exact" and self.loss.uses_tracking:
            raise ValueError("with max_sources 1 there is nothing to associate: write  hnet: exact")
        return self

    @property
    def ddp_batch_size(self) -> int:
        """Number of sequences per training step."""
        return self.optimizer.batch_size

    def epoch_presentations(self, dataset: DatasetProvider) -> int | None:
        """Return the sequences of an epoch; None if they depend on which recordings can be mixed."""
        if self.optimizer.epoch_sequences:
            return self.optimizer.epoch_sequences
        if self.augment.mixing:
            return None
        recordings = next(split.samples for split in dataset.list_splits() if split.name == "train")
        return recordings * (FRAMES // self.sequence_frames) or None

    def check_data(self, dataset: DatasetProvider) -> None:
        """Require recordings with trajectories, in this format and with at most `max_sources` simultaneous events.

        Raises:
            InputError: If the dataset is unsuitable.
        """
        require_kind(dataset, "scenes", "tau2020")
        if isinstance(dataset, RecordingProvider):
            dataset.require_split(self.format, self.max_sources)
