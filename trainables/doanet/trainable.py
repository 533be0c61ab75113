"""Training of DOAnet: sequences, network, losses through a frozen Hungarian network, tracks and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from datasets.building.spec import DatasetSpec
from datasets.tau2020.labels import FRAMES
from datasets.tau2020.provider import RecordingSet
from runtime.errors import InputError
from runtime.uris import expand_home
from trainables import distributed
from trainables.contract import InferenceParams, Metrics
from trainables.doanet.association import Assign, exact_association
from trainables.doanet.config import GATES_DEG, INNER, METRICS, DoanetConfig, OptimizerConfig
from trainables.doanet.error_analysis import analyse_recordings
from trainables.doanet.features import SAMPLE_RATE_HZ
from trainables.doanet.losses import compute_objective
from trainables.doanet.metrics import count_errors, recording_terms, summarise_terms
from trainables.doanet.network import DoaNetwork, DoaOutput
from trainables.doanet.predictor import DoanetPredictor, PredictedTrajectories, merge_weights, split_weights
from trainables.doanet.random_batches import draw_batch
from trainables.doanet.sequences import LabelledSequences, cut_sequences, fit_split_scaler, load_split
from trainables.doanet.targets import ReferenceTracks
from trainables.doanet.tracks import OutputChoice, TrackingOutputs, concatenate_outputs
from trainables.error_analysis import ErrorAnalysis
from trainables.hnet import pretrained
from trainables.hnet.network import HungarianNetwork
from trainables.network_trainable import NetworkTrainable, count_trainable, count_unbuilt, epoch_indices, step_optimizer
from trainables.sound_profile import SoundExcerpts
from trainables.training_cost import SampleStep

_EVALUATION_BATCH: Final = 4
"""Number of recordings that are evaluated at once."""
_EXCERPT_SAMPLES: Final = SAMPLE_RATE_HZ // 5
"""Length of the excerpts that recordings are compared with, in samples."""
_PLOTTED_RECORDINGS: Final = 3
"""Number of recordings per split in the figure."""


class Doanet(NetworkTrainable):
    """Direction estimation with tracking-based training."""

    Config = DoanetConfig
    metrics = METRICS
    inner = INNER

    def __init__(self, config: DoanetConfig, data: RecordingSet, *, device: str, seed: int, epochs: int) -> None:
        super().__init__(config, device=device, seed=seed, epochs=epochs)
        self._data = data
        self._load: Callable[[str], LabelledSequences] = lambda split: load_split(
            data, split, config.format, config.max_sources
        )
        train = load_split(data, "train", config.format, config.max_sources, config.augment.mixing)
        self._splits: dict[str, LabelledSequences] = {"train": train}
        self._scaler = fit_split_scaler(self._splits["train"])
        self._assign = build_association(config, data.cache, device)
        self.network = self._build_seeded(lambda: DoaNetwork(config))

    def _build_optimizer(self) -> torch.optim.Optimizer:
        return _build_optimizer(self.config.optimizer, self.network)

    def train_epoch(self) -> Metrics:
        """Train on sequences of recordings; seed and epoch determine the order of recordings, and sequences stay in order."""
        self.network.train()
        train, size = self._splits["train"], self.config.optimizer.batch_size
        order = self._epoch_order()
        batches = [order[first : first + size] for first in range(0, len(order), size)]
        if len(batches[-1]) < distributed.world_size() and len(batches) > 1:
            batches.pop()  # fewer sequences than processes
        sums: dict[str, Tensor] = {}
        with torch.random.fork_rng(devices=[]):
            # Dropout uses the global generator.
            torch.manual_seed(distributed.rank_seed(self.seed * 100_003 + self.epoch))
            for step, chosen in enumerate(batches):
                self._set_lr(step / len(batches))
                shard = chosen[distributed.shard_batch(len(chosen))]
                features, reference = train.read_batch(shard, self.config.sequence_frames, self._scaler)
                for name, term in self._train_step(features, reference).items():
                    sums[name] = sums.get(name, torch.zeros((), device=self.device)) + term * len(chosen) / len(order)
        means = {f"train_{name}": float(distributed.all_reduce_mean(value)) for name, value in sums.items()}
        return means | self._end_epoch(means["train_loss"])

    def _epoch_order(self) -> list[tuple[int, int]]:
        """Return the sequences of this epoch: a segment of concatenated permutations of the recordings."""
        files = len(self._splits["train"].features)
        sequences = cut_sequences(range(files), self.config.sequence_frames)
        indices = np.arange(len(sequences)).reshape(files, -1)

        def permutation(number: int) -> NDArray[np.int64]:
            return indices[np.random.default_rng([self.seed, number]).permutation(files)].ravel()

        length = self.config.optimizer.epoch_sequences or len(sequences)
        return [sequences[index] for index in epoch_indices(self.epoch, length, len(sequences), permutation)]

    def _train_step(self, features: Tensor, reference: ReferenceTracks) -> dict[str, Tensor]:
        output = self._ddp_network()(features.to(self.device))
        terms = compute_objective(output, self._move_to_device(reference), self.config.loss, self._assign)
        self._optimizer_step(terms["loss"])
        return {name: term.detach() for name, term in terms.items()}

    def _move_to_device(self, reference: ReferenceTracks) -> ReferenceTracks:
        return ReferenceTracks(
            reference.directions.to(self.device), reference.active.to(self.device), reference.ids.to(self.device)
        )

    @torch.inference_mode()
    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Evaluate all inference parameters on complete recordings from one pass of the network; adds the mean loss."""
        tracks, loss = self._track_recordings(split)
        choices = [OutputChoice.from_params(self.config.inference, params) for params in params_grid]
        return [summary | {"loss": loss} for summary in count_errors(tracks, choices).summarise_counts()]

    @torch.inference_mode()
    def evaluate_scenes(self, split: str, inference_params: InferenceParams) -> NDArray[np.float64]:
        """Return the terms of `metrics.recording_terms`, shape (recordings, terms)."""
        tracks, _ = self._track_recordings(split)
        return recording_terms(tracks, OutputChoice.from_params(self.config.inference, inference_params))

    @torch.inference_mode()
    def analyse_errors(self, split: str, inference_params: InferenceParams) -> ErrorAnalysis:
        """Return the errors of the predicted directions; examples play the first channel."""
        tracks, _ = self._track_recordings(split)
        recordings = self._data.open_recordings(self.config.format)
        names = self._data.recording_names(recordings, split)

        def read_sound(number: int) -> NDArray[np.float32]:
            is_mixture = number >= len(names)  # mixtures of training recordings follow them
            return np.zeros(0, np.float32) if is_mixture else recordings.read_audio(names[number])[0]

        choice = OutputChoice.from_params(self.config.inference, inference_params)
        return analyse_recordings(tracks, choice, sorted(GATES_DEG), read_sound)

    @classmethod
    def summarise_scenes(cls, sums: NDArray[np.float64], config: DoanetConfig) -> list[Metrics]:  # noqa: ARG003
        """Return the metrics of sums of the terms of `evaluate_scenes`."""
        return summarise_terms(sums)

    def _track_recordings(self, split: str) -> tuple[TrackingOutputs, float]:
        """Return the outputs and events of a split, and the mean loss."""
        self.network.eval()
        sequences = self._load_split(split)
        loss, tracks = 0.0, []
        files = len(sequences.features)
        if not files:
            raise ValueError(f"split {split!r} is empty")
        for first in range(0, files, _EVALUATION_BATCH):
            rows = range(first, min(first + _EVALUATION_BATCH, files))
            output, reference = self._run_network(sequences, rows)
            objective = compute_objective(output, reference, self.config.loss, self._assign)["loss"]
            loss += float(objective) * len(rows) / files
            tracks.append(_tracking_outputs(output, sequences, rows, self.config.sequence_frames))
        return concatenate_outputs(tracks), loss

    def _load_split(self, name: str) -> LabelledSequences:
        if name not in self._splits:
            self._splits[name] = self._load(name)
        return self._splits[name]

    def _run_network(self, sequences: LabelledSequences, rows: Sequence[int]) -> tuple[DoaOutput, ReferenceTracks]:
        features, reference = sequences.read_batch(
            cut_sequences(rows, self.config.sequence_frames), self.config.sequence_frames, self._scaler
        )
        return self.network(features.to(self.device)), self._move_to_device(reference)

    def predict(
        self, audio: Float[Tensor, "batch 4 samples"], inference_params: InferenceParams
    ) -> PredictedTrajectories:
        """Predict the trajectories in recordings at 24 kHz of at most 60 s."""
        predictor = DoanetPredictor(self.config, self.network, self._scaler, self.device)
        return predictor.predict_trajectories(audio, inference_params)

    @classmethod
    def expected_parameters(cls, config: DoanetConfig, dataset: DatasetSpec) -> int:
        """Return the number of parameters of the network; the frozen Hungarian network is not trained."""
        del dataset
        return count_unbuilt(lambda: DoaNetwork(config))

    @classmethod
    def sample_step(cls, config: DoanetConfig, dataset: DatasetSpec) -> SampleStep:
        """Return a training step on a random batch, through an untrained Hungarian network."""
        del dataset
        network = DoaNetwork(config)
        optimizer = _build_optimizer(config.optimizer, network)
        hungarian = HungarianNetwork(pretrained.default_config(config.max_sources)).requires_grad_(False)

        def associate(distances: Tensor) -> Tensor:
            return exact_association(distances) if config.hnet == "exact" else hungarian(distances).entries.sigmoid()

        def run(items: int) -> None:
            features, reference = draw_batch(config, items)
            loss = compute_objective(network(features), reference, config.loss, associate)["loss"]
            step_optimizer(network, optimizer, loss)

        return SampleStep(run, config.optimizer.batch_size, count_trainable(network))

    def training_excerpts(self, count: int) -> SoundExcerpts:
        """Return excerpts of training recordings, evenly spread over recordings and time."""
        recordings = self._data.open_recordings(self.config.format)
        names = self._data.recording_names(recordings, "train")
        chosen = np.linspace(0, len(names), count, endpoint=False).astype(np.int64)
        # Successive excerpts of a recording are far apart, and those of many recordings are at all times.
        times = np.linspace(0, 1, count, endpoint=False) * len(names) % 1
        waves = [
            recordings.read_excerpt(names[index], float(time), _EXCERPT_SAMPLES)
            for index, time in zip(chosen, times, strict=True)
        ]
        return SoundExcerpts(SAMPLE_RATE_HZ, np.stack(waves))

    def prepare_prediction(self) -> Callable[[], object]:
        """Return the prediction of directions from the features of the first sequence of the validation split."""
        frames = self.config.sequence_frames
        first = cut_sequences(range(1), frames)[:1]
        features, _ = self._load_split("validate").read_batch(first, frames, self._scaler)
        self.network.eval()

        def predict() -> DoaOutput:
            with torch.inference_mode():
                output: DoaOutput = self.network(features.to(self.device))
            return output

        return predict

    @classmethod
    def predictor(cls, config: DoanetConfig, weights: Mapping[str, Any], *, device: str) -> DoanetPredictor:
        """Build a predictor for recordings in the format of the training data."""
        return DoanetPredictor.from_weights(config, weights, torch.device(device))

    def plot_predictions(self, splits: Sequence[str], inference_params: InferenceParams) -> Any:
        """Plot azimuth and elevation of events and outputs over time, one row per recording."""
        from trainables.doanet.plots import plot_timelines

        self.network.eval()
        tracks = {}
        with torch.inference_mode():
            for name in splits:
                sequences = self._load_split(name)
                rows = range(min(_PLOTTED_RECORDINGS, len(sequences.features)))
                output, _ = self._run_network(sequences, rows)
                tracks[name] = _tracking_outputs(output, sequences, rows, self.config.sequence_frames)
        return plot_timelines(tracks, OutputChoice.from_params(self.config.inference, inference_params))

    def weights(self) -> dict[str, Any]:
        """Return the weights of the network and the scaling of its features."""
        return merge_weights(super().weights(), self._scaler)

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Replace the weights of the network and the scaling of its features."""
        network, self._scaler = split_weights(weights)
        super().load_weights(network)


def _build_optimizer(config: OptimizerConfig, network: torch.nn.Module) -> torch.optim.Optimizer:
    kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    return kind(network.parameters(), config.lr, weight_decay=config.weight_decay, fused=True)


def build_association(config: DoanetConfig, folder: Path, device: str) -> Assign:
    """Build the association of outputs with events for the tracking losses.

    Args:
        config: Hyperparameters; `hnet` selects the association.
        folder: Folder of trained Hungarian networks.
        device: Name of a torch device.

    Returns:
        `exact_association`, or a frozen Hungarian network.

    Raises:
        InputError: If the file of the network is missing or is for another number of sources.
    """
    if config.hnet == "exact" or not config.loss.uses_tracking:
        return exact_association
    path = expand_home(config.hnet)
    if config.hnet == "trained":
        path = pretrained.train_or_load(pretrained.default_config(config.max_sources), folder, device=device)
    hnet, network = pretrained.load_pretrained(path, "hnet")
    if hnet.max_sources != config.max_sources:
        raise InputError(
            "hnet",
            f"the Hungarian network must be for {config.max_sources} sources, the value of max_sources",
            value=f"{path} is for {hnet.max_sources}",
            remedy="train one with  --set max_sources=…  of spaces/hnet.yaml, or write `trained`",
        )
    network.to(device)
    return lambda distances: network(distances).entries.sigmoid()


def _tracking_outputs(
    output: DoaOutput, sequences: LabelledSequences, rows: Sequence[int], frames: int
) -> TrackingOutputs:
    """Concatenate the sequences of recordings; a rest shorter than a sequence is left out."""
    files, length = len(rows), FRAMES // frames * frames
    directions = output.directions.cpu().unflatten(0, (files, -1)).flatten(1, 2).numpy()
    activity = None
    if output.activity is not None:
        activity = output.activity.sigmoid().cpu().unflatten(0, (files, -1)).flatten(1, 2).numpy()
    chosen = list(rows)
    return TrackingOutputs(
        directions,
        activity,
        sequences.directions[chosen, :length],
        sequences.active[chosen, :length],
        sequences.ids[chosen, :length],
    )
