"""DOAnet in training: sequences, network, losses through a frozen Hungarian network, tracks and metrics put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from datasets.tau2020.labels import FRAMES
from datasets.tau2020.provider import RecordingSet
from runtime.errors import InputError
from trainables import distributed
from trainables.contract import Metrics, Settings
from trainables.doanet.association import Assign, exact_association
from trainables.doanet.config import INNER, METRICS, DoanetConfig
from trainables.doanet.losses import compute_objective
from trainables.doanet.metrics import count_errors
from trainables.doanet.network import DoaNetwork, Output
from trainables.doanet.predictor import DoanetPredictor, PredictedTrajectories, join_outputs, separate_slots
from trainables.doanet.sequences import LabelledSequences, cut_sequences, load_split, fit_split_scaler
from trainables.doanet.targets import ReferenceTracks
from trainables.doanet.tracks import TrackingOutputs, concatenate_outputs
from trainables.hnet import pretrained
from trainables.network_trainable import NetworkTrainable, epoch_indices

_RECORDINGS_AT_ONCE: Final = 4
_SHOWN: Final = 3
"""Recordings of a split in the picture."""


class Doanet(NetworkTrainable):
    """Direction estimation that is trained to track."""

    Config = DoanetConfig
    metrics = METRICS
    inner = INNER

    def __init__(self, config: DoanetConfig, data: RecordingSet, *, device: str, seed: int, epochs: int) -> None:
        super().__init__(config, device=device, seed=seed, epochs=epochs)
        self._load: Callable[[str], LabelledSequences] = lambda split: load_split(
            data, split, config.format, config.max_sources
        )
        train = load_split(data, "train", config.format, config.max_sources, config.augment.mixing)
        self._splits: dict[str, LabelledSequences] = {"train": train}
        self._scaler = fit_split_scaler(self._splits["train"])
        self._assign = build_association(config, data.cache, device)
        self.network = self._build_seeded(lambda: DoaNetwork(config))
        kind = torch.optim.Adam if config.optimizer.name == "adam" else torch.optim.AdamW
        self.optimizer = kind(
            self.network.parameters(), config.optimizer.lr, weight_decay=config.optimizer.weight_decay, fused=True
        )

    def train_epoch(self) -> Metrics:
        """Train on sequences of files in an order that seed and epoch decide; within a file they follow each other."""
        self.network.train()
        train, size = self._splits["train"], self.config.optimizer.batch_size
        order = self._epoch_order()
        batches = [order[first : first + size] for first in range(0, len(order), size)]
        if len(batches[-1]) < distributed.world_size() and len(batches) > 1:
            batches.pop()  # not one sequence for each process
        sums: dict[str, Tensor] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(
                distributed.rank_seed(self.seed * 100_003 + self.epoch)
            )  # dropout has no generator of its own
            for step, chosen in enumerate(batches):
                self._set_lr(step / len(batches))
                own = chosen[distributed.shard_batch(len(chosen))]
                for name, part in self._train_step(
                    *train.read_batch(own, self.config.sequence_frames, self._scaler)
                ).items():
                    sums[name] = sums.get(name, torch.zeros((), device=self.device)) + part * len(chosen) / len(order)
        found = {f"train_{name}": float(distributed.all_reduce_mean(value)) for name, value in sums.items()}
        return found | self._end_epoch(found["train_loss"])

    def _epoch_order(self) -> list[tuple[int, int]]:
        """This epoch's sequences: files in endlessly reshuffled order, of which an epoch takes a stretch."""
        files = len(self._splits["train"].features)
        whole = cut_sequences(range(files), self.config.sequence_frames)
        places = np.arange(len(whole)).reshape(files, -1)

        def shuffled(number: int) -> NDArray[np.int64]:
            return places[np.random.default_rng([self.seed, number]).permutation(files)].ravel()

        length = self.config.optimizer.epoch_sequences or len(whole)
        return [whole[place] for place in epoch_indices(self.epoch, length, len(whole), shuffled)]

    def _train_step(self, features: Tensor, reference: ReferenceTracks) -> dict[str, Tensor]:
        parts = compute_objective(
            self._ddp_network()(features.to(self.device)), self._loaded_data(reference), self.config.loss, self._assign
        )
        self._optimizer_step(parts["loss"])
        return {name: part.detach() for name, part in parts.items()}

    def _loaded_data(self, reference: ReferenceTracks) -> ReferenceTracks:
        return ReferenceTracks(
            reference.directions.to(self.device), reference.active.to(self.device), reference.ids.to(self.device)
        )

    @torch.inference_mode()
    def evaluate(self, split: str, settings: Sequence[Settings]) -> list[Metrics]:
        """Track whole recordings with all settings from one pass of the network, and measure each; adds the mean loss."""
        self.network.eval()
        whole = self._load_split(split)
        loss, found = 0.0, []
        files = len(whole.features)
        if not files:
            raise ValueError(f"split {split!r} is empty")
        for first in range(0, files, _RECORDINGS_AT_ONCE):
            rows = range(first, min(first + _RECORDINGS_AT_ONCE, files))
            output, reference = self._run_network(whole, rows)
            loss += (
                float(compute_objective(output, reference, self.config.loss, self._assign)["loss"]) * len(rows) / files
            )
            found.append(_tracking_outputs(output, whole, rows, self.config.sequence_frames))
        total = count_errors(
            concatenate_outputs(found), [self._predictor().inference_choice(setting) for setting in settings]
        )
        return [summary | {"loss": loss} for summary in total.summarise_counts()]

    def _load_split(self, name: str) -> LabelledSequences:
        if name not in self._splits:
            self._splits[name] = self._load(name)
        return self._splits[name]

    def _run_network(self, whole: LabelledSequences, rows: Sequence[int]) -> tuple[Output, ReferenceTracks]:
        features, reference = whole.read_batch(
            cut_sequences(rows, self.config.sequence_frames), self.config.sequence_frames, self._scaler
        )
        return self.network(features.to(self.device)), self._loaded_data(reference)

    def _predictor(self) -> DoanetPredictor:
        return DoanetPredictor(self.config, self.network, self._scaler, self.device)

    def predict(self, audio: Float[Tensor, "batch 4 samples"], settings: Settings) -> PredictedTrajectories:
        """Follow the events in recordings at 24 kHz, of at most 60 s."""
        return self._predictor().follow_sources(audio, settings)

    @classmethod
    def predictor(cls, config: DoanetConfig, weights: Mapping[str, Any], *, device: str) -> DoanetPredictor:
        """See the base class."""
        return DoanetPredictor.from_weights(config, weights, torch.device(device))

    def picture(self, splits: Sequence[str], settings: Settings) -> Any:
        """Azimuth and elevation over time, events and outputs, a row a recording."""
        from trainables.doanet.plots import plot_timelines

        self.network.eval()
        shown = {}
        with torch.inference_mode():
            for name in splits:
                whole = self._load_split(name)
                rows = range(min(_SHOWN, len(whole.features)))
                output, _ = self._run_network(whole, rows)
                shown[name] = _tracking_outputs(output, whole, rows, self.config.sequence_frames)
        return plot_timelines(shown, self._predictor().inference_choice(settings))

    def weights(self) -> dict[str, Any]:
        """The network's weights, and the scaling of the features it was trained with."""
        return join_outputs(super().weights(), self._scaler)

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Take over a network's weights and scaling."""
        network, self._scaler = separate_slots(weights)
        super().load_weights(network)


def build_association(config: DoanetConfig, folder: Path, device: str) -> Assign:
    """How the tracking losses see which output stands for which event.

    Args:
        config: Names a network, or what to do without one.
        folder: Where trained networks are kept.
        device: A torch device.

    Raises:
        InputError: If the network is for another number of sources, or no network.
    """
    if config.hnet == "exact" or not config.loss.uses_tracking:
        return exact_association
    path = Path(config.hnet)
    if config.hnet == "trained":
        path = pretrained.train_or_load(pretrained.default_config(config.max_sources), folder, device=device)
    hnet, network = pretrained.load_pretrained(path, "hnet")
    if hnet.max_sources != config.max_sources:
        raise InputError(
            "hnet",
            f"the Hungarian network must be for {config.max_sources} sources, as max_sources says",
            value=f"{path} is for {hnet.max_sources}",
            remedy="train one with  --set max_sources=…  of spaces/hnet.yaml, or write `trained`",
        )
    network.to(device)
    return lambda found: network(found).entries.sigmoid()


def _tracking_outputs(output: Output, whole: LabelledSequences, rows: Sequence[int], frames: int) -> TrackingOutputs:
    """Sequences joined to recordings again, as far as whole sequences go."""
    files, length = len(rows), FRAMES // frames * frames
    directions = output.directions.cpu().unflatten(0, (files, -1)).flatten(1, 2).numpy()
    activity = None
    if output.activity is not None:
        activity = output.activity.sigmoid().cpu().unflatten(0, (files, -1)).flatten(1, 2).numpy()
    chosen = list(rows)
    return TrackingOutputs(
        directions,
        activity,
        whole.directions[chosen, :length],
        whole.active[chosen, :length],
        whole.ids[chosen, :length],
    )
