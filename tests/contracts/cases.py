"""For every built-in trainable: a small Config, and for each of its fields a value that has to make a difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.building.builder import Builder
from datasets.matrices import MatricesSpec
from datasets.rooms.dataset import Dataset
from datasets.scenes.provider import SceneProvider
from datasets.scenes.spec import SceneSpec
from datasets.tau2020.provider import RecordingSet
from runtime.storage import storage_at
from spaces.schema import Value
from trainables.hnet import pretrained
from trainables.hnet.config import HnetConfig

Late = Callable[[Path], Value]
"""A value that is made when it is first needed, in a folder for all tests."""
Values = Mapping[str, Value | Late]


@dataclass(frozen=True)
class Case:
    """What the contract suite needs to know of a trainable.

    Attributes:
        base: Dotted Config values that train in a tenth of a second.
        variants: Changes to it under which state, seeds and resuming are tested.
        exploding: A change that makes training diverge sooner or later, if any can.
        fields: For every field of the Config, what has to be set for it to matter, and another value for it.
        data: What it is trained on, made in a folder for all tests; the localizer's dataset if there is no such thing.
        infer: Runs inference outside of an evaluation.
        recorded: A recording for its predictor, shape (samples, channels); None if it has no predictor.
        test: Name of a test set.
        inference: Group of the Config with the defaults of inner parameters.
    """

    base: Values
    variants: Mapping[str, Values]
    exploding: Values | None
    fields: Mapping[str, tuple[Values, Value | Late]]
    data: Callable[[Path], Any] | None = None
    infer: Callable[[Any, Dataset], Any] = lambda model, tiny: model.predict(
        tiny.open_split("S0").read_batch(np.arange(3)).waves, {}
    )
    recorded: Callable[[Dataset], NDArray[np.float32]] | None = None
    test: str = "S0"
    inference: str = "retrieval"


SCENES = SceneSpec.model_validate({"folds": {1: 1, 2: 1, 3: 4}, "rooms": 3})


@cache
def scenes(folder: Path) -> RecordingSet:
    """Six recordings of 60 s, four of them to train on."""
    source = SceneProvider.from_spec(SCENES, "tests")
    store = storage_at(str(folder / "scenes"))
    source.build(Builder(store))
    return source.open_dataset(store, folder / "cache")


def one_after_the_other(waves: Tensor) -> NDArray[np.float32]:
    """Samples of the localizer, shape (samples, arrays, mics, 2560), as one recording of shape (times, channels)."""
    return waves.flatten(1, 2).transpose(1, 2).flatten(0, 1).numpy()


@cache
def small_hnet(folder: Path) -> str:
    """The file of a Hungarian network that has hardly learnt anything."""
    config = HnetConfig.model_validate({"data": {"matrices": 150}, "network": {"hidden": 8}})
    return str(pretrained.train_or_load(config, folder / "cache", device="cpu", epochs=1))


_MAP: Values = {
    "representation": "hm",
    "grid.cells": 12,
    "grid.margin_m": 0.0,
    "network.heatmap_activation": "sigmoid",
    "retrieval.threshold": 0.05,
    "retrieval.smoothing_m": 0.3,
}

CASES: Mapping[str, Case] = {
    "localizer": Case(
        base={
            "representation": "rg",
            "encoder": "array",
            "precision": "fp32",
            "network.width": 4,
            "network.tail_width": 4,
            "network.decoder_width": 16,
            "network.strides": "early",
            "optimizer.lr": 2e-3,
            "optimizer.batch_size": 12,
            "optimizer.epoch_samples": 36,
            "retrieval.threshold": 0.2,
        },
        variants={
            "adam": {},
            "sgd, one cycle": {"optimizer.name": "sgd", "optimizer.schedule": "one_cycle", "optimizer.beta1": 0.9},
            "adamw, cosine, augmented": {
                "optimizer.name": "adamw",
                "optimizer.schedule": "cosine",
                "optimizer.weight_decay": 0.1,
                "augment.level_db": 10.0,
                "augment.channel_gain_db": 2.0,
                "augment.array_delay_us": 50.0,
                "augment.snr_db": 10.0,
            },
            "tight grid": {"representation": "tg", "grid.cells": 20},
            "heat map, bf16": {**_MAP, "precision": "bf16"},
        },
        exploding={
            "optimizer.name": "sgd",
            "optimizer.lr": 1.0,
            "optimizer.beta1": 0.9,
            "loss.position_weight": 1000.0,
        },
        fields={
            "representation": ({"grid.cells": 12}, "tg"),
            "encoder": ({}, "single"),
            "precision": ({}, "bf16"),
            "features.kind": ({"encoder": "array"}, "ipd"),
            "features.gain": ({}, "rms"),
            "network.width": ({}, 8),
            "network.tail_width": ({}, 8),
            "network.decoder_width": ({}, 24),
            "network.strides": ({}, "late"),
            "network.merge": ({}, "sum"),
            "network.leak": ({}, 0.2),
            "network.encoder_norm": ({}, True),
            "network.heatmap_activation": (_MAP, "linear"),
            "grid.cells": ({}, 7),
            "grid.margin_m": ({}, 0.5),
            "target.sigma_m": (_MAP, 0.6),
            "loss.classification": ({}, "focal"),
            "loss.focal_gamma": ({"loss.classification": "focal"}, 1.0),
            "loss.inactive_weight": ({}, 0.5),
            "loss.position_weight": ({}, 20.0),
            "loss.regression": ({}, "smooth_l1"),
            "loss.huber_delta": ({"loss.regression": "smooth_l1"}, 0.3),
            "optimizer.name": ({"optimizer.weight_decay": 0.1}, "adamw"),
            "optimizer.lr": ({}, 1e-3),
            "optimizer.beta1": ({}, 0.9),
            "optimizer.beta2": ({}, 0.9),
            "optimizer.weight_decay": ({}, 0.1),
            "optimizer.batch_size": ({}, 18),
            "optimizer.epoch_samples": ({}, 48),
            "optimizer.schedule": ({}, "cosine"),
            "optimizer.clip_norm": ({}, 0.5),
            "augment.level_db": ({}, 6.0),
            "augment.channel_gain_db": ({}, 3.0),
            "augment.array_delay_us": ({}, 100.0),
            "augment.snr_db": ({}, 20.0),
            "evaluation.resolutions_m": ({}, [0.3, 2.0]),
            "evaluation.snr_db": ({}, [10.0]),
            "evaluation.gain_db": ({}, [3.0]),
            "retrieval.peaks": ({}, False),
            "retrieval.threshold": ({}, 0.9),
            "retrieval.nms_radius_m": ({}, 3.0),
            "retrieval.smoothing_m": (_MAP, 1.0),
        },
        recorded=lambda tiny: one_after_the_other(tiny.open_split("S0").read_batch(np.arange(5)).waves),
    ),
    "hnet": Case(
        base={
            "data.matrices": 150,
            "network.hidden": 12,
            "optimizer.lr": 3e-3,
            "optimizer.batch_size": 512,
        },
        variants={
            "as it is": {},
            "bidirectional, one cycle": {"network.bidirectional": True, "optimizer.schedule": "one_cycle"},
            "permuted, clipped": {"augment.permute": "both", "optimizer.clip_norm": 1.0},
            "three sources": {"max_sources": 3, "network.scaled_attention": True},
        },
        exploding=None,  # Adam's steps are bounded, and a cross entropy of logits is finite
        fields={
            "max_sources": ({}, 3),
            "precision": ({}, "bf16"),
            "data.matrices": ({}, 160),
            "data.padding": ({}, "random"),
            "network.hidden": ({}, 16),
            "network.bidirectional": ({}, True),
            "network.scaled_attention": ({}, True),
            "network.distance_limit": ({}, 4.0),
            "loss.assignment": ({}, 2.0),
            "loss.rows": ({}, 0.0),
            "loss.columns": ({}, 0.5),
            "loss.reduction": ({}, "mean"),
            "optimizer.lr": ({}, 1e-3),
            "optimizer.schedule": ({}, "cosine"),
            "optimizer.batch_size": ({}, 256),
            "optimizer.weight_decay": ({}, 0.5),
            "optimizer.clip_norm": ({}, 0.05),
            "augment.permute": ({}, "both"),
        },
        data=lambda _: MatricesSpec(seed=1),
        infer=lambda model, _: model.associate(torch.rand(3, 2, 2)),
        test="test",
    ),
    "doanet": Case(
        base={
            "hnet": "exact",
            "network.channels": 4,
            "network.gru": 8,
            "network.branch": 8,
            "optimizer.batch_size": 4,
            "optimizer.epoch_sequences": 24,
            "optimizer.lr": 3e-3,
            "inference.threshold": 0.45,
            "augment.mixing": 0,
        },
        variants={
            "as it is": {},
            "squared error, adamw, one cycle": {
                "loss.kind": "mse",
                "optimizer.name": "adamw",
                "optimizer.schedule": "one_cycle",
            },
            "deepmot, dropout": {"loss.form": "deepmot", "network.dropout": 0.2},
            "microphones, best order": {"format": "mic", "loss.kind": "pit_mse"},
        },
        exploding=None,  # tanh and Adam keep everything finite, however large the steps
        fields={
            "format": ({}, "mic"),
            "max_sources": ({}, 3),
            "sequence_frames": ({}, 60),
            "activity_tanh": ({}, False),
            "hnet": ({}, small_hnet),
            "network.channels": ({}, 8),
            "network.gru": ({}, 12),
            "network.gru_layers": ({}, 1),
            "network.branch": ({}, 12),
            "network.dropout": ({}, 0.5),
            "network.heads": ({}, 2),
            "loss.kind": ({}, "pit_mse"),
            "loss.form": ({}, "deepmot"),
            "loss.dmotp_weight": ({}, 10.0),
            "loss.dmota_weight": ({}, 5.0),
            "loss.ids_weight": ({}, 5.0),
            "loss.activity_weight": ({}, 1.0),
            "loss.gate": ({"hnet": small_hnet, "loss.gate": 0.0}, 0.45),
            "loss.borders": ({"hnet": small_hnet, "loss.gate": 0.0}, "kept"),
            "loss.delta": ({"loss.form": "deepmot"}, 0.9),
            "loss.temperature": ({"loss.form": "deepmot"}, 2.0),
            "optimizer.name": ({"optimizer.weight_decay": 0.1}, "adamw"),
            "optimizer.lr": ({}, 1e-3),
            "optimizer.weight_decay": ({}, 0.1),
            "optimizer.batch_size": ({}, 8),
            "optimizer.epoch_sequences": ({}, 16),
            "optimizer.schedule": ({}, "cosine"),
            "optimizer.clip_norm": ({}, 0.01),
            "augment.mixing": ({}, 1),
            "inference.threshold": ({"optimizer.lr": 0.03}, 0.5),
            "inference.smoothing_frames": ({"optimizer.lr": 0.03, "inference.threshold": 0.525}, 31),
        },
        data=scenes,
        infer=lambda model, _: model.predict(torch.randn(1, 4, 48_000) / 10, {}),
        recorded=lambda _: np.random.default_rng(0).normal(0, 0.1, (80_000, 4)).astype(np.float32),
        test="test",
        inference="inference",
    ),
}
