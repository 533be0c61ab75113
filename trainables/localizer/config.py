"""Hyperparameters of the 2D localizer: names, defaults (the paper's), bounds and units. Does not import torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, field_validator, model_validator

from datasets.acoustics.conditions import AcousticCondition, list_conditions
from datasets.building.provider import DatasetProvider, require_kind
from datasets.rooms.provider import ArrayProvider
from runtime.errors import InputError
from trainables.contract import ConfigSection, InnerParameter, Metric, TrainableConfig

Representation = Literal["tg", "hm", "rg"]
Encoder = Literal["single", "array", "combined"]

_RESOLUTIONS_M: Final = (0.3, 1.0)
_LARGEST_RESOLUTION_M: Final = 20.0
_MOST_RESOLUTIONS: Final = 5
_MOST_LEVELS: Final = 4


def list_metrics(resolutions_m: Sequence[float]) -> tuple[Metric, ...]:
    """Return the metrics of an evaluation at some resolutions, in metres."""
    listed = " and ".join(f"at {resolution:g} m" for resolution in resolutions_m)
    meanings = (
        ("f1", "F1"),
        ("precision", "precision"),
        ("recall", "recall"),
        ("rmse", "RMSE of the matched, m,"),
    )
    return (
        Metric("f1_mean", "maximize", f"mean of F1 {listed}, so that none is bought with another", headline=True),
        *(
            Metric(
                f"{name}_{resolution:g}m",
                "minimize" if name == "rmse" else "maximize",
                f"{meaning} at {resolution:g} m",
                headline=name in ("f1", "rmse"),
            )
            for resolution in resolutions_m
            for name, meaning in meanings
        ),
    )


METRICS: Final = list_metrics(_RESOLUTIONS_M)
WORST: Final = "f1_mean_worst"
AVERAGE: Final = "f1_mean_average"
CONDITION_METRICS: Final = (
    Metric(
        WORST,
        "maximize",
        "least f1_mean of the conditions of `evaluation`, undisturbed samples among them",
        headline=True,
    ),
    Metric(AVERAGE, "maximize", "mean of f1_mean over these conditions"),
)

INNER: Final = (
    InnerParameter("threshold", 0.0, 1.0, "least score of a keypoint"),
    InnerParameter("nms_radius_m", 0.0, 5.0, "a keypoint this near to a stronger one is dropped, m"),
    InnerParameter("smoothing_m", 0.0, 2.0, "σ of the Gaussian that smooths a TG or HM map, m; 0 is none"),
)


class EvaluationConfig(ConfigSection):
    """Resolutions of the metrics (section III-B), and conditions that the samples of every evaluation are also tried under."""

    resolutions_m: tuple[float, ...] = Field(
        _RESOLUTIONS_M,
        min_length=1,
        max_length=_MOST_RESOLUTIONS,
        description="distances below which a prediction matches a source, increasing; they name the metrics, so all trials "
        "have the same",
    )
    snr_db: tuple[Annotated[float, Field(ge=-30, le=100)], ...] = Field(
        (),
        max_length=_MOST_LEVELS,
        description="SNRs of white noise under which all samples are evaluated again, dB; every combination with `gain_db` "
        f"lasts as long as an evaluation, and gives `{WORST}` and `{AVERAGE}`",
    )
    gain_db: tuple[Annotated[float, Field(gt=0, le=20)], ...] = Field(
        (),
        max_length=_MOST_LEVELS,
        description="gains under which they are evaluated again: each microphone deviates by up to ± this, dB",
    )

    def list_conditions(self) -> list[AcousticCondition]:
        """Return the conditions of an evaluation, of which the first leaves the samples as they are."""
        return list_conditions((0.0,), (None, *self.snr_db), (0.0, *self.gain_db))

    @field_validator("resolutions_m")
    @classmethod
    def _require_increasing(cls, resolutions_m: tuple[float, ...]) -> tuple[float, ...]:
        names = [f"{resolution:g}" for resolution in resolutions_m]
        if any(not 0 < resolution <= _LARGEST_RESOLUTION_M for resolution in resolutions_m):
            raise ValueError(f"resolutions must be above 0 and at most {_LARGEST_RESOLUTION_M:g} m")
        if sorted(resolutions_m) != list(resolutions_m) or len(set(names)) < len(names):
            raise ValueError("resolutions must increase, and differ in their first six digits")
        return resolutions_m


class FeaturesConfig(ConfigSection):
    """Input features of the network (section III-C)."""

    kind: Literal["spectra", "ipd"] = Field(
        "spectra",
        description="`spectra` as in the paper; `ipd`: cosine and sine of the phase differences to the first microphone of an "
        "array (of all, for the single encoder), and the log power",
    )
    gain: Literal["none", "rms"] = Field("none", description="`rms` divides a sample by the RMS of all its microphones")


class NetworkConfig(ConfigSection):
    """Sizes and variants of the network (Table II)."""

    width: int = Field(128, ge=4, le=512, description="filters of the five 1×5 layers")
    tail_width: int = Field(
        64, ge=4, le=256, multiple_of=2, description="filters of the first 1×3 layer; the second has half"
    )
    decoder_width: int = Field(
        256, ge=16, le=1024, multiple_of=8, description="filters of the first decoder layer; each next has half"
    )
    strides: Literal["late", "early"] = Field(
        "late",
        description="`late` as in the paper; `early` halves the frequencies in the first two layers: about 2.5 times faster",
    )
    merge: Literal["concat", "sum"] = Field(
        "concat", description="how the arrays' encodings are merged; not stated in the paper"
    )
    leak: float = Field(0.01, ge=0, le=0.5, description="slope of LeakyReLU below zero; not stated in the paper")
    encoder_norm: bool = Field(
        False, description="batch norm after the encoder's last three layers too; the paper has none there"
    )
    heatmap_activation: Literal["relu", "linear", "sigmoid"] = Field("relu", description="last activation of HM")


class GridConfig(ConfigSection):
    """Output grid (section IV)."""

    cells: int = Field(ge=3, le=243, description="cells along x and along y: 81 (TG, HM), 6 (RG)")
    margin_m: float = Field(
        ge=0,
        le=3,
        description="distance of the edge of the grid from the walls, outside the room, m: 1.05 (TG, HM), 0 (RG)",
    )


class TargetConfig(ConfigSection):
    """Target of the heat map."""

    sigma_m: float = Field(0.1**0.5, gt=0.02, le=2, description="σ of the Gaussians, m; σ² = 0.1 m²")


class LossConfig(ConfigSection):
    """Loss function (equations 1 to 5)."""

    classification: Literal["bce", "focal"] = Field("bce", description="loss of a cell's activity (TG, RG)")
    focal_gamma: float = Field(2.0, ge=0, le=5, description="focusing of the focal loss; 0 is BCE")
    inactive_weight: float = Field(ge=0, le=10, description="λ of eq. 2 (0.01), λ1 of eq. 5 (0.25)")
    position_weight: float = Field(10.0, ge=0, le=1000, description="λ2 of eq. 5 (RG)")
    regression: Literal["mse", "smooth_l1"] = Field("mse", description="loss of positions (RG) or of the map (HM)")
    huber_delta: float = Field(0.1, gt=0, le=1, description="where smooth L1 turns from quadratic to linear")


class OptimizerConfig(ConfigSection):
    """Optimizer and learning-rate schedule (section III-C)."""

    name: Literal["adam", "adamw", "sgd"] = Field("adam", description="optimizer")
    lr: float = Field(1e-4, gt=0, le=1, description="learning rate")
    beta1: float = Field(0.5, ge=0, lt=1, description="first-moment decay of Adam, momentum of SGD")
    beta2: float = Field(0.999, gt=0, lt=1, description="second-moment decay of Adam")
    weight_decay: float = Field(0.0, ge=0, le=1, description="weight decay; decoupled with AdamW")
    batch_size: int = Field(128, ge=2, le=4096, description="samples per step")
    epoch_samples: int = Field(
        0, ge=0, le=10_000_000, description="samples between two validations; 0 is the whole training split"
    )
    schedule: Literal["constant", "cosine", "one_cycle"] = Field(
        "constant", description="learning rate over the epochs"
    )
    clip_norm: float = Field(0.0, ge=0, le=100, description="largest gradient norm; 0 is no limit")


class AugmentConfig(ConfigSection):
    """Random changes to the training samples, drawn independently each time a sample is used."""

    level_db: float = Field(0.0, ge=0, le=40, description="a sample's level changes by up to ± this, dB")
    channel_gain_db: float = Field(0.0, ge=0, le=12, description="each microphone's level changes by up to ± this, dB")
    array_delay_us: float = Field(
        0.0, ge=0, le=1000, description="each array is delayed by up to ± this, as by a clock of its own, µs"
    )
    snr_db: float | None = Field(
        None, ge=-20, le=80, description="lowest SNR of added white noise, drawn up to 30 dB above, dB; none if absent"
    )


class RetrievalConfig(ConfigSection):
    """Retrieval of keypoints from the output (section II-C). `inner:` of a space sweeps these at every validation."""

    peaks: bool = Field(True, description="False takes every cell above the threshold: the TG baseline")
    threshold: float = Field(0.6, ge=0, le=1, description="least score; 0.1 for TG with peaks")
    nms_radius_m: float = Field(ge=0, le=5, description="m: 0.5 (TG, HM), 1 (RG)")
    smoothing_m: float = Field(ge=0, le=2, description="σ of the smoothing Gaussian, m; the target's (TG, HM), 0 (RG)")


_BY_REPRESENTATION: Final[dict[str, dict[str, dict[str, float]]]] = {
    "tg": {
        "grid": {"cells": 81, "margin_m": 1.05},
        "loss": {"inactive_weight": 0.01},
        "retrieval": {"threshold": 0.1, "nms_radius_m": 0.5},
    },
    "hm": {
        "grid": {"cells": 81, "margin_m": 1.05},
        "loss": {"inactive_weight": 0.01},
        "retrieval": {"nms_radius_m": 0.5},
    },
    "rg": {
        "grid": {"cells": 6, "margin_m": 0.0},
        "loss": {"inactive_weight": 0.25},
        "retrieval": {"nms_radius_m": 1.0, "smoothing_m": 0.0},
    },
}
"""The paper's values that differ by representation (sections III-C and IV)."""


class LocalizerConfig(TrainableConfig):
    """Hyperparameters of the 2D localizer; defaults are the paper's, or marked as not stated there."""

    supports_ddp: ClassVar[bool] = True

    representation: Representation = Field("hm", description="tight grid, heat map or refined grid (section II-B)")
    encoder: Encoder = Field("combined", description="single-, array- or pair-wise array-encoder (section II-A)")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="`auto` takes bf16 where the hardware multiplies it faster"
    )
    features: FeaturesConfig = Field(default_factory=FeaturesConfig)
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    grid: GridConfig
    target: TargetConfig = Field(default_factory=TargetConfig)
    loss: LossConfig
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    retrieval: RetrievalConfig

    def reported_metrics(self, declared: tuple[Metric, ...]) -> tuple[Metric, ...]:  # noqa: ARG002
        """Return the metrics at the resolutions of the evaluation, and those over its conditions if there are several."""
        several = len(self.evaluation.list_conditions()) > 1
        return list_metrics(self.evaluation.resolutions_m) + (CONDITION_METRICS if several else ())

    def without_conditions(self) -> LocalizerConfig:
        """Return the hyperparameters with an evaluation of the samples as they are only."""
        evaluation = self.evaluation.model_copy(update={"snr_db": (), "gain_db": ()})
        return self.model_copy(update={"evaluation": evaluation})

    @property
    def ddp_batch_size(self) -> int:
        """Number of samples per training step."""
        return self.optimizer.batch_size

    def epoch_presentations(self, dataset: DatasetProvider) -> int:
        """Return the samples of all complete batches of an epoch."""
        samples = next(split.samples for split in dataset.list_splits() if split.name == "train")
        length = self.optimizer.epoch_samples or samples
        size = min(self.optimizer.batch_size, length)
        return length // size * size

    def check_data(self, dataset: DatasetProvider) -> None:
        """Require a dataset of 160 ms mixtures at arrays, with the pairs of microphones that encoder and features need.

        Raises:
            InputError: If the dataset is of another kind, or its arrays have one microphone each.
        """
        require_kind(dataset, "room", "measured", "recordings", "mixed")
        if not isinstance(dataset, ArrayProvider):
            return
        arrays, mics = dataset.microphones_m.shape[:2]
        if self.encoder == "combined" and mics == 1:
            raise InputError(
                "encoder",
                "the combined encoder needs pairs of microphones within each array",
                value="combined, with one microphone per array",
                remedy="choose encoder: single or array, or put the microphones into one array",
            )
        if self.features.kind == "ipd" and mics * (arrays if self.encoder == "single" else 1) == 1:
            raise InputError(
                "features.kind",
                "phase differences need two microphones in an array, or the single encoder with two arrays",
                value=f"ipd, with one microphone per array and encoder: {self.encoder}",
                remedy="choose encoder: single or features.kind: spectra, or put the microphones into one array",
            )

    @model_validator(mode="after")
    def _require_spectra(self) -> LocalizerConfig:
        if self.features.kind == "ipd" and self.encoder == "combined":
            raise ValueError(
                "features.kind: ipd needs encoder: single or array, since the combined one pairs spectra itself"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _apply_paper_values(cls, data: Any) -> Any:
        """Fill in the defaults that depend on the representation."""
        if not isinstance(data, dict):
            return data
        representation = data.get("representation", "hm")
        paper_values = _BY_REPRESENTATION.get(representation if isinstance(representation, str) else "", {})
        filled = dict(data)
        for section in ("grid", "loss", "retrieval"):
            given = filled.get(section, {})
            if not isinstance(given, dict):
                continue
            values = dict(paper_values.get(section, {})) | given
            if section == "retrieval":
                _fill_retrieval(values, given, filled, representation)
            filled[section] = values
        return filled


def _fill_retrieval(
    values: dict[str, Any], given: dict[str, Any], data: dict[str, Any], representation: object
) -> None:
    if given.get("peaks") is False and representation == "tg" and "threshold" not in given:
        values["threshold"] = 0.6
    target = data.get("target", {})
    sigma = target.get("sigma_m") if isinstance(target, dict) else getattr(target, "sigma_m", None)
    values.setdefault("smoothing_m", TargetConfig().sigma_m if sigma is None else sigma)
