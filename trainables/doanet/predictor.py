"""Prediction of trajectories from recordings of any length with a trained DOAnet."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets.tau2020.label_lines import COLUMNS
from datasets.tau2020.labels import FRAMES
from trainables.contract import InferenceParams
from trainables.doanet.config import DoanetConfig
from trainables.doanet.features import (
    BANDS,
    FEATURE_CHANNELS,
    FRAMES_PER_LABEL,
    HOP,
    SAMPLE_RATE_HZ,
    FeatureScaler,
    extract_features,
)
from trainables.doanet.network import DoaNetwork
from trainables.doanet.tracks import OutputChoice, TrackingOutputs, angles_deg, azimuth_deg, elevation_deg, is_sounding
from trainables.prediction import (
    ExportableNetwork,
    Prediction,
    PredictionTable,
    Predictor,
    Recording,
    SoundFormat,
    cover_segments,
)
from trainables.source_tracks import FoundTrack, link_detections

_FRAME: Final = FRAMES_PER_LABEL * HOP
"""Number of samples per label frame."""
_MEANING: Final = {"foa": "first-order Ambisonics W, Y, Z, X", "mic": "the four capsules of the tetrahedron"}
_CLASS: Final = 0
"""Class in predicted labels; DOAnet does not distinguish classes of sound."""
_GATE_DEG: Final = 20.0
"""Largest angle between consecutive directions of a track, the limit of a correct detection in DCASE."""
_MAX_GAP: Final = 10
"""Largest number of frames without a direction of a track, one second."""
_FRAME_S: Final = _FRAME / SAMPLE_RATE_HZ
_MEAN: Final = "scaler.mean"
_DEVIATION: Final = "scaler.std"


@dataclass(frozen=True, eq=False)
class PredictedTrajectories:
    """Predicted trajectories of recordings.

    Attributes:
        directions: Vectors (x front, y left, z up), shape (recordings, frames, sources, 3); only their direction matters.
        sounding: Whether each output is active, shape (recordings, frames, sources).
    """

    directions: NDArray[np.floating[Any]]
    sounding: NDArray[np.bool_]


class DoanetPredictor(Predictor):
    """Network with the scaling of its features.

    As in training, the network processes `sequence_frames` at a time, and levels refer to the loudest moment of at most 60 s.
    """

    def __init__(self, config: DoanetConfig, network: nn.Module, scaler: FeatureScaler, device: torch.device) -> None:
        self.sound = SoundFormat(SAMPLE_RATE_HZ, 4, _MEANING[config.format], _FRAME)
        self._config = config
        self._network = network
        self._scaler = scaler
        self._device = device

    @classmethod
    def from_weights(cls, config: DoanetConfig, weights: Mapping[str, Any], device: torch.device) -> DoanetPredictor:
        """Build a predictor from the weights of a DOAnet.

        Args:
            config: Hyperparameters.
            weights: Weights as `merge_weights` returns them.
            device: Device to predict on.

        Raises:
            KeyError, RuntimeError: If the weights do not belong to this Config.
        """
        network_weights, scaler = split_weights(weights)
        network = DoaNetwork(config)
        network.load_state_dict(network_weights)
        return cls(config, network.to(device), scaler, device)

    def predict_trajectories(
        self, audio: Float[Tensor, "batch 4 samples"], inference_params: InferenceParams
    ) -> PredictedTrajectories:
        """Predict the trajectories in recordings of at most 60 s."""
        tracks = self._tracking_outputs(audio)
        choice = OutputChoice.from_params(self._config.inference, inference_params)
        return PredictedTrajectories(tracks.predicted, is_sounding(tracks, choice))

    def predict(self, recording: Recording, inference_params: InferenceParams) -> Prediction:
        """Return trajectories in the label format of the dataset, linked to tracks, and a plot of the outputs over time."""
        frames = recording.samples // _FRAME
        directions, activity = [], []
        for first, known in cover_segments(frames, FRAMES):
            sound = recording.read(first * _FRAME, min(FRAMES, frames) * _FRAME)
            segment = self._tracking_outputs(torch.from_numpy(np.ascontiguousarray(sound.T))[None])
            directions.append(segment.predicted[:, known:])
            activity += [] if segment.activity is None else [segment.activity[:, known:]]
        tracks = _concatenate_segments(directions, activity)
        choice = OutputChoice.from_params(self._config.inference, inference_params)
        directions, sounding = tracks.predicted[0], is_sounding(tracks, choice)[0]
        rows, vectors = _prediction_rows(directions, sounding), directions[sounding]
        return Prediction(
            COLUMNS,
            rows,
            header=False,
            figure=partial(_draw_timelines, {"": tracks}, choice, recording.name),
            tracks=_summarise_tracks(rows, vectors),
            served=_served_table(rows, vectors, None if tracks.activity is None else tracks.activity[0][sounding]),
        )

    def export_network(self) -> ExportableNetwork:
        """Return the network for one sequence, from scaled features to directions and activity."""
        frames, sources = self._config.sequence_frames, self._config.max_sources
        channels = FEATURE_CHANNELS[self._config.format]
        shape = (4, channels, frames * FRAMES_PER_LABEL, BANDS)
        outputs = [f"directions x, y, z, of which only the direction matters, (batch, {frames} frames, {sources}, 3)"]
        if self._config.loss.has_activity:
            outputs.append(f"probability of activity, (batch, {frames} frames, {sources})")
        return ExportableNetwork(
            _SequenceNetwork(copy.deepcopy(self._network).cpu()).eval(),
            torch.randn(shape, generator=torch.Generator().manual_seed(0)),
            frames * _FRAME_S,
            f"scaled features, (batch, {channels} channels, {frames * FRAMES_PER_LABEL} frames of 20 ms, {BANDS} bands)",
            tuple(outputs),
        )

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
        return _concatenate_segments(directions, activity)


class _SequenceNetwork(nn.Module):
    """Network with probabilities in place of logits, and without an output that is None."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network

    def forward(self, features: Float[Tensor, "batch channels frames 64"]) -> tuple[Tensor, ...]:
        """Return directions, and the probability of activity of a network that has it."""
        directions, activity = self._network(features)
        return (directions,) if activity is None else (directions, activity.sigmoid())


def _draw_timelines(*arguments: Any) -> Any:
    """Plot the outputs over time; matplotlib is imported only then."""
    from trainables.doanet import plots

    return plots.plot_timelines(*arguments)


def _served_table(
    rows: list[list[int]], vectors: NDArray[np.floating[Any]], activity: NDArray[np.floating[Any]] | None
) -> PredictionTable:
    """Return the rows of the label file for programs: times, tracks, angles in tenths of degrees, and activity if predicted."""
    table: dict[str, list[Any]] = {
        "time_s": [round(frame * _FRAME_S, 3) for frame, *_ in rows],
        "track": [track for _, _, track, *_ in rows],
        "azimuth_deg": azimuth_deg(vectors).round(1).tolist(),
        "elevation_deg": elevation_deg(vectors).round(1).tolist(),
    }
    if activity is not None:
        table["activity"] = activity.astype(np.float64).round(4).tolist()
    return PredictionTable(tuple(table), list(zip(*table.values(), strict=True)))


def _concatenate_segments(
    directions: list[NDArray[np.floating[Any]]], activity: list[NDArray[np.floating[Any]]]
) -> TrackingOutputs:
    """Concatenate consecutive segments of the same recordings."""
    joined = np.concatenate(activity, axis=1) if activity else None
    return TrackingOutputs.without_events(np.concatenate(directions, axis=1), joined)


def merge_weights(network: Mapping[str, Any], scaler: FeatureScaler) -> dict[str, Any]:
    """Merge the weights of a network and the scaling of its features into one mapping."""
    return {**network, _MEAN: scaler.mean.clone(), _DEVIATION: scaler.std.clone()}


def split_weights(weights: Mapping[str, Any]) -> tuple[dict[str, Any], FeatureScaler]:
    """Split weights that `merge_weights` returned into those of the network and the scaling of its features.

    Raises:
        KeyError: If the scaling is missing.
    """
    network = dict(weights)
    return network, FeatureScaler(network.pop(_MEAN), network.pop(_DEVIATION))


def _prediction_rows(directions: NDArray[np.floating[Any]], sounding: NDArray[np.bool_]) -> list[list[int]]:
    """Return the rows of the label file, frame by frame, with the directions linked to tracks."""
    frame, output = np.nonzero(sounding)
    vectors = directions[frame, output]
    in_frames = [chosen[is_active] for chosen, is_active in zip(directions, sounding, strict=True)]
    track = np.concatenate([frame[:0], *link_detections(in_frames, angles_deg, gate=_GATE_DEG, max_gap=_MAX_GAP)])
    angles = [np.rint(angle(vectors)).astype(np.int64) for angle in (azimuth_deg, elevation_deg)]
    rows: list[list[int]] = np.stack([frame, np.full_like(frame, _CLASS), track, *angles], axis=1).tolist()
    return rows


def _summarise_tracks(rows: list[list[int]], vectors: NDArray[np.floating[Any]]) -> list[FoundTrack]:
    """Return the ranges of azimuth and elevation of each track.

    Args:
        rows: Rows of the label file.
        vectors: Direction of each row.
    """
    frame, _, track, *_ = np.array(rows, np.int64).reshape(-1, len(COLUMNS)).T
    tracks = []
    for number in np.unique(track):
        of_track = np.flatnonzero(track == number)
        # Azimuths relative to the first one have no jump at ±180°, unless the track goes around the array.
        azimuth, elevation = azimuth_deg(vectors[of_track]), elevation_deg(vectors[of_track])
        relative = (azimuth - azimuth[0] + 180) % 360 - 180
        low, high = azimuth[0] + relative.min(), azimuth[0] + relative.max()
        location = f"azimuth {_format_range(low, high)}, elevation {_format_range(elevation.min(), elevation.max())}"
        tracks.append(FoundTrack.from_windows(int(number), location, np.unique(frame[of_track]), _FRAME_S))
    return tracks


def _format_range(low: float, high: float) -> str:
    return f"{low:.0f}°" if round(low) == round(high) else f"{low:.0f}° to {high:.0f}°"
