"""The localizer in use: microphone signals in, positions out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from datasets.acoustics.arrays import SAMPLE_RATE_HZ, SAMPLES
from trainables.contract import Settings
from trainables.localizer import features, retrieval
from trainables.localizer.config import LocalizerConfig
from trainables.localizer.grid import CellGrid
from trainables.localizer.network import LocalizerNetwork
from trainables.localizer.retrieval import Candidates, Keypoints
from trainables.localizer.room import ArrayLayout, layout_of_network
from trainables.prediction import Prediction, Predictor, Recording, SoundFormat
from trainables.schedules import use_bf16

COLUMNS: Final = ("frame", "time_s", "source", "x_m", "y_m", "score")
_AT_ONCE: Final = 250
"""Windows of a recording, 40 s."""


class LocalizerPredictor(Predictor):
    """A network with its room, in training or trained.

    Args:
        config: What the network was built from.
        room: Where it listens.
        network: Its weights may change later.
        device: Where it is.
    """

    def __init__(
        self, config: LocalizerConfig, room: ArrayLayout, network: LocalizerNetwork, device: torch.device
    ) -> None:
        self._arrays, self._mics, _ = room.microphones_m.shape
        meaning = f"{self._mics} microphones of each of {self._arrays} arrays, array by array"
        self.sound = SoundFormat(SAMPLE_RATE_HZ, self._arrays * self._mics, meaning, SAMPLES)
        self.grid = CellGrid.over_area(config.grid, room.size_m)
        self._config = config
        self._room = room
        self._network = network
        self._device = device
        self._half = use_bf16(config.precision, device)

    @classmethod
    def from_weights(
        cls, config: LocalizerConfig, weights: Mapping[str, Any], device: torch.device
    ) -> LocalizerPredictor:
        """Build it from a localizer's weights.

        Raises:
            KeyError, RuntimeError: If these are no weights of this Config, or without the room.
        """
        room = ArrayLayout.from_weights(weights)
        network = LocalizerNetwork(config, *room.microphones_m.shape[:2])
        network.load_state_dict(layout_of_network(weights))
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(config, room, network, device)

    def forward(
        self, waves: Float[Tensor, "batch arrays mics 2560"], network: nn.Module | None = None
    ) -> Float[Tensor, "batch out cells cells"]:
        """The raw output, for waves that are on the device, of the network or of what stands for it in training."""
        if self._config.features.gain == "rms":
            waves = features.normalise_gain(waves)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
            output: Tensor = (network or self._network)(features.stft_features(waves))
        return output.float()

    def complete_params(self, settings: Settings) -> dict[str, float]:
        """Settings, with the Config's values for what they leave out."""
        own = self._config.retrieval
        defaults = {"threshold": own.threshold, "nms_radius_m": own.nms_radius_m, "smoothing_m": own.smoothing_m}
        return defaults | dict(settings)

    def keep_keypoints(self, found: Candidates, radius_m: float) -> Tensor:
        """Which candidates are not suppressed by stronger ones."""
        return retrieval.suppress_neighbours(found, radius_m if self._config.retrieval.peaks else 0.0)

    @torch.inference_mode()
    def find_keypoints(self, waves: Float[Tensor, "batch arrays mics 2560"], settings: Settings) -> list[Keypoints]:
        """The sources of each sample."""
        self._network.eval()
        complete = self.complete_params(settings)
        output = self.forward(waves.to(self._device))
        found = retrieval.find_candidates(self._config, self.grid, output, complete["smoothing_m"])
        keep = self.keep_keypoints(found, complete["nms_radius_m"]) & (found.scores > complete["threshold"])
        return [
            Keypoints(positions[kept].cpu(), scores[kept].cpu())
            for positions, scores, kept in zip(found.positions_m, found.scores, keep, strict=True)
        ]

    def predict(self, recording: Recording, settings: Settings) -> Prediction:
        """Positions in windows of 160 ms that follow each other, strongest first, and a plan of them."""
        from trainables.localizer.plots import plot_path_plan

        windows = recording.samples // SAMPLES
        rows: list[tuple[float, ...]] = []
        for first in range(0, windows, _AT_ONCE):
            count = min(_AT_ONCE, windows - first)
            sound = recording.read(first * SAMPLES, count * SAMPLES)
            shape = (count, SAMPLES, self._arrays, self._mics)
            waves = np.ascontiguousarray(sound.reshape(shape).transpose(0, 2, 3, 1))
            for frame, found in enumerate(self.find_keypoints(torch.from_numpy(waves), settings), first):
                rows += _prediction_rows(frame, found)
        table = np.array(rows).reshape(-1, len(COLUMNS))
        plan = plot_path_plan(self._room, recording.name, table[:, 1], table[:, 3:5])
        return Prediction(COLUMNS, rows, header=True, figure=plan)


def _prediction_rows(frame: int, found: Keypoints) -> list[tuple[float, ...]]:
    time_s = round(frame * SAMPLES / SAMPLE_RATE_HZ, 3)
    each = zip(found.positions_m.tolist(), found.scores.tolist(), strict=True)
    return [
        (frame, time_s, source, round(x, 3), round(y, 3), round(score, 4))
        for source, ((x, y), score) in enumerate(each)
    ]
