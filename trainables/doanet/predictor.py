"""DOAnet in use: recordings of any length in, trajectories out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets.tau2020.labels import COLUMNS, FRAMES
from trainables.contract import Settings
from trainables.doanet.config import DoanetConfig
from trainables.doanet.features import FRAMES_PER_LABEL, HOP, SAMPLE_RATE_HZ, FeatureScaler, extract_features
from trainables.doanet.network import DoaNetwork
from trainables.doanet.tracks import OutputChoice, TrackingOutputs, azimuth_deg, elevation_deg, is_sounding
from trainables.prediction import Prediction, Predictor, Recording, SoundFormat, cover_segments

_FRAME: Final = FRAMES_PER_LABEL * HOP
"""Samples of a label frame."""
_MEANING: Final = {"foa": "first-order Ambisonics W, Y, Z, X", "mic": "the four capsules of the tetrahedron"}
_CLASS: Final = 0
"""DOAnet knows no classes of sound."""
_MEAN: Final = "scaler.mean"
_DEVIATION: Final = "scaler.std"


@dataclass(frozen=True, eq=False)
class PredictedTrajectories:
    """What the outputs say of recordings.

    Attributes:
        directions: Shape (recordings, frames, sources, 3); only the direction counts. x front, y left, z up.
        sounding: Which outputs sound, shape (recordings, frames, sources).
    """

    directions: NDArray[np.floating[Any]]
    sounding: NDArray[np.bool_]


class DoanetPredictor(Predictor):
    """A network with the scaling of its features.

    As in training, the network hears `sequence_frames` at a time, and levels refer to the loudest moment of at most 60 s.
    """

    def __init__(self, config: DoanetConfig, network: nn.Module, scaler: FeatureScaler, device: torch.device) -> None:
        self.sound = SoundFormat(SAMPLE_RATE_HZ, 4, _MEANING[config.format], _FRAME)
        self._config = config
        self._network = network
        self._scaler = scaler
        self._device = device

    @classmethod
    def from_weights(cls, config: DoanetConfig, weights: Mapping[str, Any], device: torch.device) -> DoanetPredictor:
        """Build it from what `join` returned.

        Raises:
            KeyError, RuntimeError: If these are no weights of this Config.
        """
        of_network, scaler = separate_slots(weights)
        network = DoaNetwork(config)
        network.load_state_dict(of_network)
        return cls(config, network.to(device), scaler, device)

    def inference_choice(self, settings: Settings) -> OutputChoice:
        """Settings, with the Config's values for what they leave out."""
        own = self._config.inference
        return OutputChoice(
            float(settings.get("threshold", own.threshold)),
            round(settings.get("smoothing_frames", own.smoothing_frames)),
        )

    def follow_sources(self, audio: Float[Tensor, "batch 4 samples"], settings: Settings) -> PredictedTrajectories:
        """Follow the events in recordings of at most 60 s."""
        tracks = self._tracking_outputs(audio)
        return PredictedTrajectories(tracks.predicted, is_sounding(tracks, self.inference_choice(settings)))

    def predict(self, recording: Recording, settings: Settings) -> Prediction:
        """Trajectories as the data set writes labels, the output as the track; and azimuth and elevation over time."""
        from trainables.doanet.plots import plot_timelines

        frames = recording.samples // _FRAME
        directions, activity = [], []
        for first, known in cover_segments(frames, FRAMES):
            sound = recording.read(first * _FRAME, min(FRAMES, frames) * _FRAME)
            part = self._tracking_outputs(torch.from_numpy(np.ascontiguousarray(sound.T))[None])
            directions.append(part.predicted[:, known:])
            activity += [] if part.activity is None else [part.activity[:, known:]]
        tracks, choice = _joined(directions, activity), self.inference_choice(settings)
        rows = _prediction_rows(tracks.predicted[0], is_sounding(tracks, choice)[0])
        return Prediction(COLUMNS, rows, header=False, figure=plot_timelines({"": tracks}, choice, recording.name))

    @torch.inference_mode()
    def _tracking_outputs(self, audio: Float[Tensor, "batch 4 samples"]) -> TrackingOutputs:
        self._network.eval()
        features = self._scaler.scale_features(extract_features(audio, self._config.format))
        frames, length = features.shape[2] // FRAMES_PER_LABEL, self._config.sequence_frames
        directions, activity = [], []
        for first, known in cover_segments(frames, length):
            span = slice(first * FRAMES_PER_LABEL, min(first + length, frames) * FRAMES_PER_LABEL)
            output = self._network(features[:, :, span].to(self._device))
            directions.append(output.directions[:, known:].cpu().numpy())
            activity += [] if output.activity is None else [output.activity[:, known:].sigmoid().cpu().numpy()]
        return _joined(directions, activity)


def _joined(directions: list[NDArray[np.floating[Any]]], activity: list[NDArray[np.floating[Any]]]) -> TrackingOutputs:
    """Stretches of the same recordings, one after the other."""
    heard = np.concatenate(activity, axis=1) if activity else None
    return TrackingOutputs.without_events(np.concatenate(directions, axis=1), heard)


def join_outputs(network: Mapping[str, Any], scaler: FeatureScaler) -> dict[str, Any]:
    """A network's weights and the scaling of the features it was trained with, as one mapping."""
    return {**network, _MEAN: scaler.mean.clone(), _DEVIATION: scaler.std.clone()}


def separate_slots(weights: Mapping[str, Any]) -> tuple[dict[str, Any], FeatureScaler]:
    """The two that `join` has joined.

    Raises:
        KeyError: If there is no scaling.
    """
    network = dict(weights)
    return network, FeatureScaler(network.pop(_MEAN), network.pop(_DEVIATION))


def _prediction_rows(directions: NDArray[np.floating[Any]], loud: NDArray[np.bool_]) -> list[list[int]]:
    """Lines of the data set's csv, frame by frame."""
    frame, output = np.nonzero(loud)
    there = directions[frame, output]
    angles = [np.rint(angle(there)).astype(np.int64) for angle in (azimuth_deg, elevation_deg)]
    rows: list[list[int]] = np.stack([frame, np.full_like(frame, _CLASS), output, *angles], axis=1).tolist()
    return rows
