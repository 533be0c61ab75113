"""Prediction of positions from recordings with a trained localizer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets.acoustics.arrays import MIXTURE_SAMPLES, SAMPLE_RATE_HZ
from trainables.contract import InferenceParams
from trainables.localizer import features, retrieval
from trainables.localizer.array_layout import ArrayLayout, network_weights
from trainables.localizer.config import LocalizerConfig
from trainables.localizer.grid import CellGrid
from trainables.localizer.network import LocalizerNetwork, run_network
from trainables.localizer.retrieval import Keypoints
from trainables.precision import use_bf16
from trainables.prediction import ExportableNetwork, Prediction, Predictor, Recording, SoundFormat
from trainables.source_tracks import FoundTrack, link_detections

COLUMNS: Final = ("frame", "time_s", "source", "x_m", "y_m", "score", "track")
_BATCH: Final = 250
"""Number of windows that are predicted at once, 40 s."""
_MAX_GAP: Final = 6
"""Largest number of windows without a position of a track, about one second."""
_WINDOW_S: Final = MIXTURE_SAMPLES / SAMPLE_RATE_HZ


class LocalizerPredictor(Predictor):
    """Localizer network with the layout of its arrays.

    Args:
        config: Hyperparameters of the network.
        layout: Room and arrays.
        network: The network; its weights may change later.
        device: Device of the network.
    """

    def __init__(self, config: LocalizerConfig, layout: ArrayLayout, network: nn.Module, device: torch.device) -> None:
        self._arrays, self._mics, _ = layout.microphones_m.shape
        meaning = f"{self._mics} microphones of each of {self._arrays} arrays, array by array"
        self.sound = SoundFormat(SAMPLE_RATE_HZ, self._arrays * self._mics, meaning, MIXTURE_SAMPLES)
        self._grid = CellGrid.over_area(config.grid, layout.size_m)
        self._config = config
        self._gate_m = max(config.evaluation.resolutions_m)  # between consecutive positions of a track
        self._layout = layout
        self._network = network
        self._device = device
        self._bf16 = use_bf16(config.precision, device)

    @classmethod
    def from_weights(
        cls, config: LocalizerConfig, weights: Mapping[str, Any], device: torch.device
    ) -> LocalizerPredictor:
        """Build a predictor from the weights of a localizer.

        Args:
            config: Hyperparameters of the localizer.
            weights: Weights as `Localizer.weights` returns them.
            device: Device to predict on.

        Raises:
            KeyError, RuntimeError: If the weights do not belong to this Config or contain no layout.
        """
        layout = ArrayLayout.from_weights(weights)
        network = LocalizerNetwork(config, *layout.microphones_m.shape[:2])
        network.load_state_dict(network_weights(weights))
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(config, layout, network, device)

    @torch.inference_mode()
    def find_keypoints(
        self, waves: Float[Tensor, "batch arrays mics 2560"], inference_params: InferenceParams
    ) -> list[Keypoints]:
        """Return the predicted sources of each sample.

        Args:
            waves: Microphone signals.
            inference_params: Inner parameters; missing ones take the Config's values.
        """
        self._network.eval()
        params = retrieval.complete_params(self._config.retrieval, inference_params)
        output = run_network(self._network, waves.to(self._device), self._config, bf16=self._bf16)
        candidates = retrieval.find_candidates(self._config, self._grid, output, params["smoothing_m"])
        keep = retrieval.keep_candidates(self._config.retrieval, candidates, params["nms_radius_m"])
        selected = keep & (candidates.scores > params["threshold"])
        return [
            Keypoints(positions[chosen].cpu(), scores[chosen].cpu())
            for positions, scores, chosen in zip(candidates.positions_m, candidates.scores, selected, strict=True)
        ]

    def export_network(self) -> ExportableNetwork:
        """Return the features and the network, from the signals of a window to the raw output in single precision."""
        noise = torch.randn((8, self._arrays, self._mics, MIXTURE_SAMPLES), generator=torch.Generator().manual_seed(0))
        levels = torch.logspace(-3, -0.5, 8).reshape(-1, 1, 1, 1)
        cells = self._config.grid.cells
        channels = 3 if self._config.representation == "rg" else 1
        return ExportableNetwork(
            _WaveNetwork(copy.deepcopy(self._network).cpu(), self._config).eval(),
            noise * levels,
            _WINDOW_S,
            f"signals of a window at {SAMPLE_RATE_HZ} Hz, (batch, {self._arrays} arrays, {self._mics} microphones,"
            f" {MIXTURE_SAMPLES} samples)",
            (f"raw {self._config.representation.upper()} grid, (batch, {channels}, {cells}, {cells})",),
        )

    def predict(self, recording: Recording, inference_params: InferenceParams) -> Prediction:
        """Return the positions in consecutive windows of 160 ms, strongest first, and a room plan with them."""
        windows = recording.samples // MIXTURE_SAMPLES
        found: list[Keypoints] = []
        for first in range(0, windows, _BATCH):
            count = min(_BATCH, windows - first)
            sound = recording.read(first * MIXTURE_SAMPLES, count * MIXTURE_SAMPLES)
            shape = (count, MIXTURE_SAMPLES, self._arrays, self._mics)
            waves = np.ascontiguousarray(sound.reshape(shape).transpose(0, 2, 3, 1))
            found += self.find_keypoints(torch.from_numpy(waves), inference_params)
        numbers = link_detections(
            [keypoints.positions_m.numpy() for keypoints in found], _distances_m, gate=self._gate_m, max_gap=_MAX_GAP
        )
        rows = [
            row
            for frame, (keypoints, tracks) in enumerate(zip(found, numbers, strict=True))
            for row in _prediction_rows(frame, keypoints, tracks)
        ]
        table = np.array(rows).reshape(-1, len(COLUMNS))
        plan = partial(_draw_plan, self._layout, recording.name, table[:, 1], table[:, 3:5])
        return Prediction(COLUMNS, rows, header=True, figure=plan, tracks=_summarise_tracks(table))


class _WaveNetwork(nn.Module):
    """Features and network of a localizer as one module, which computes what `run_network` does."""

    _window: Tensor

    def __init__(self, network: nn.Module, config: LocalizerConfig) -> None:
        super().__init__()
        self._network = network
        self._config = config
        # A constant of the file, since the Hamming window of ONNX has other coefficients than that of torch.
        self.register_buffer("_window", torch.hamming_window(features.WINDOW))

    def forward(self, waves: Float[Tensor, "batch arrays mics 2560"]) -> Float[Tensor, "batch out cells cells"]:
        """Return the raw output of the network."""
        output: Tensor = self._network(features.compute_features(waves, self._config, self._window))
        return output


def _draw_plan(*arguments: Any) -> Any:
    """Plot a room plan with the positions of a recording; matplotlib is imported only then."""
    from trainables.localizer import plots

    return plots.plot_path_plan(*arguments)


def _distances_m(positions_m: NDArray[np.floating[Any]], others_m: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the distances between all pairs of positions."""
    distances: NDArray[np.float64] = np.linalg.norm(positions_m[:, None].astype(np.float64) - others_m, axis=-1)
    return distances


def _prediction_rows(frame: int, keypoints: Keypoints, tracks: NDArray[np.int64]) -> list[tuple[float, ...]]:
    time_s = round(frame * _WINDOW_S, 3)
    columns = zip(keypoints.positions_m.tolist(), keypoints.scores.tolist(), tracks.tolist(), strict=True)
    return [
        (frame, time_s, source, round(x, 3), round(y, 3), round(score, 4), track)
        for source, ((x, y), score, track) in enumerate(columns)
    ]


def _summarise_tracks(table: NDArray[np.float64]) -> list[FoundTrack]:
    """Return median position and spread of each track in a table of predictions."""
    tracks = []
    for number in np.unique(table[:, -1]).astype(int):
        rows = table[table[:, -1] == number]
        x_m, y_m = median = np.median(rows[:, 3:5], axis=0)
        spread_m = np.sqrt(np.square(rows[:, 3:5] - median).sum(1).mean())
        location = f"x {x_m:.2f} m, y {y_m:.2f} m, spread {spread_m:.2f} m"
        tracks.append(FoundTrack.from_windows(int(number), location, rows[:, 0].astype(int), _WINDOW_S))
    return tracks
