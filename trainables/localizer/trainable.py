"""Training of the 2D localizer: features, network, targets, losses, retrieval and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from datasets.acoustics.arrays import MIXTURE_SAMPLES, SAMPLE_RATE_HZ
from datasets.building.spec import DatasetSpec
from datasets.rooms.dataset import Batch, Dataset, Split
from datasets.rooms.disturbed import DisturbedSplit
from datasets.rooms.spec import SampleSpec
from trainables import distributed
from trainables.contract import InferenceParams, Metrics
from trainables.error_analysis import ErrorAnalysis
from trainables.localizer import augmentation, grid, losses, music, response_maps, retrieval, srp_phat
from trainables.localizer.array_layout import ArrayLayout, network_weights
from trainables.localizer.config import (
    AVERAGE,
    INNER,
    METRICS,
    WORST,
    EvaluationConfig,
    LocalizerConfig,
    OptimizerConfig,
)
from trainables.localizer.error_analysis import LocatedScene, analyse_scenes
from trainables.localizer.metrics import MatchCounts, count_matches, match_samples, summarise_counts, summarise_terms
from trainables.localizer.network import LocalizerNetwork, run_network
from trainables.localizer.predictor import LocalizerPredictor
from trainables.localizer.retrieval import Keypoints
from trainables.network_trainable import NetworkTrainable, count_trainable, count_unbuilt, epoch_indices, step_optimizer
from trainables.precision import use_bf16
from trainables.sound_profile import SoundExcerpts
from trainables.training_cost import SampleStep

YARDSTICKS: Final = {srp_phat.SRP_PHAT: srp_phat.SteeredResponse, music.MUSIC: music.PseudoSpectrum}
"""Networks of the methods without training, by their names."""
_EVALUATION_BATCH: Final = 250
"""Number of samples that are evaluated at once."""
_PLOTTED_SAMPLES: Final = 4
"""Number of samples per split in the figure."""
_SAMPLE_SOURCES: Final = 2
"""Number of sources of the random items of `Localizer.sample_step`."""


class Localizer(NetworkTrainable):
    """Multi-source 2D localizer."""

    Config = LocalizerConfig
    metrics = METRICS
    inner = INNER

    def __init__(self, config: LocalizerConfig, data: Dataset, *, device: str, seed: int, epochs: int) -> None:
        super().__init__(config, device=device, seed=seed, epochs=epochs)
        self.data = data
        self._layout = ArrayLayout(data.spec.area_m(), data.microphones_m)
        self.network = self._build_seeded(lambda: LocalizerNetwork(config, *self._layout.microphones_m.shape[:2]))
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.grid = grid.CellGrid.over_area(config.grid, self._layout.size_m)
        self._bf16 = use_bf16(config.precision, self.device)
        self._resolutions_m = config.evaluation.resolutions_m
        self._train = data.open_split("train")

    def _build_optimizer(self) -> torch.optim.Optimizer:
        return build_optimizer(self.config.optimizer, self.network)

    def train_epoch(self) -> Metrics:
        """Train on the next `epoch_samples` of endlessly reshuffled training samples; seed and epoch determine them."""
        self.network.train()
        order = self._epoch_order()
        generator = torch.Generator().manual_seed(distributed.rank_seed(self.seed * 100_003 + self.epoch))
        size = min(self.config.optimizer.batch_size, len(order))
        steps = len(order) // size
        total = torch.zeros((), device=self.device)
        for step in range(steps):
            self._set_lr(step / steps)
            chosen = order[step * size : (step + 1) * size]
            total += self._train_step(self._train.read_batch(chosen[distributed.shard_batch(size)]), generator)
        return self._end_epoch(float(distributed.all_reduce_mean(total)) / steps)

    def _epoch_order(self) -> NDArray[np.int64]:
        """Return the indices of this epoch: a segment of concatenated permutations of the split."""
        samples = len(self._train)
        length = self.config.optimizer.epoch_samples or samples

        def permutation(number: int) -> NDArray[np.int64]:
            return np.random.default_rng([self.seed, number]).permutation(samples)

        return epoch_indices(self.epoch, length, samples, permutation)

    def _train_step(self, batch: Batch, generator: torch.Generator) -> Float[Tensor, ""]:
        waves = batch.waves.to(self.device, non_blocking=True)
        waves = augmentation.augment_waves(waves, generator, self.config.augment)
        output = run_network(self._ddp_network(), waves, self.config, bf16=self._bf16)
        loss = self._compute_loss(output, batch.positions_m.to(self.device))
        self._optimizer_step(loss)
        return loss.detach()

    def _compute_loss(self, output: Tensor, positions_m: Tensor) -> Tensor:
        return _compute_loss(self.config, self.grid, output, positions_m)

    @torch.inference_mode()
    def evaluate(self, split: str, params_grid: Sequence[InferenceParams]) -> list[Metrics]:
        """Evaluate all inference parameters from one pass of the network per condition; adds the mean loss."""
        self.network.eval()
        complete = [retrieval.complete_params(self.config.retrieval, params) for params in params_grid]
        per_condition = [self._evaluate_samples(samples, complete) for samples in self._open_conditions(split)]
        return [_combine_conditions(metrics) for metrics in zip(*per_condition, strict=True)]

    def _evaluate_samples(self, samples: Split, complete: Sequence[dict[str, float]]) -> list[Metrics]:
        """Return the metrics of samples for each choice of complete inference parameters."""
        sweeps = _group_thresholds(complete)
        counts: dict[tuple[float, float, float], MatchCounts] = {}
        loss = 0.0
        for batch in _read_batches(samples):
            output = run_network(self.network, batch.waves.to(self.device), self.config, bf16=self._bf16)
            positions = batch.positions_m.to(self.device)
            loss += float(self._compute_loss(output, positions)) * len(positions) / len(samples)
            for key, batch_counts in self._count_matches(output, positions, sweeps).items():
                counts[key] = counts[key] + batch_counts if key in counts else batch_counts
        summaries = {key: summarise_counts(total) for key, total in counts.items()}
        return [_select_metrics(params, sweeps, summaries, self._resolutions_m) | {"loss": loss} for params in complete]

    @torch.inference_mode()
    def evaluate_scenes(self, split: str, inference_params: InferenceParams) -> NDArray[np.float64]:
        """Return the terms of `SampleMatches.first_terms` under each condition at each resolution, shape (samples, terms)."""
        self.network.eval()
        params = retrieval.complete_params(self.config.retrieval, inference_params)
        per_condition = [self._match_scenes(samples, params) for samples in self._open_conditions(split)]
        terms: NDArray[np.float64] = torch.cat(per_condition, dim=1).numpy()
        return terms

    def _match_scenes(self, samples: Split, params: Mapping[str, float]) -> Float[Tensor, "samples terms"]:
        level = torch.tensor([params["threshold"]], device=self.device)
        rows = []
        for batch in _read_batches(samples):
            output = run_network(self.network, batch.waves.to(self.device), self.config, bf16=self._bf16)
            candidates = retrieval.find_candidates(self.config, self.grid, output, params["smoothing_m"])
            keep = retrieval.keep_candidates(self.config.retrieval, candidates, params["nms_radius_m"])
            positions = batch.positions_m.to(self.device)
            matches = [match_samples(candidates, keep, positions, level, r) for r in self._resolutions_m]
            rows.append(torch.cat([match.first_terms() for match in matches], dim=1))
        return torch.cat(rows)

    @torch.inference_mode()
    def analyse_errors(self, split: str, inference_params: InferenceParams) -> ErrorAnalysis:
        """Return the errors of the predicted positions; examples play the first microphone."""
        samples = self._open_split(split)
        scenes = []
        for batch in _read_batches(samples):
            for truth, keypoints in zip(batch.positions_m, self.predict(batch.waves, inference_params), strict=True):
                present = truth[~truth.isnan().any(dim=-1)]
                scenes.append(LocatedScene(present.double().numpy(), keypoints.positions_m.double().numpy()))

        def read_sound(number: int) -> NDArray[np.float32]:
            waves: NDArray[np.float32] = samples.read_batch(np.array([number])).waves[0, 0, 0].numpy()
            return waves

        return analyse_scenes(self._layout, scenes, list(self._resolutions_m), read_sound)

    def score_yardsticks(self, splits: Sequence[str]) -> dict[str, dict[str, Metrics]]:
        """Return the metrics of SRP-PHAT and MUSIC on the same samples, their thresholds and radii chosen on validation."""
        scores = {}
        for method in YARDSTICKS:
            yardstick = SteeredLocalizer(self.data, method, device=str(self.device), evaluation=self.config.evaluation)
            chosen = yardstick.choose_inference_params()
            scores[method] = {split: _without_loss(yardstick.evaluate(split, [chosen])[0]) for split in splits}
        return scores

    @classmethod
    def summarise_scenes(cls, sums: NDArray[np.float64], config: LocalizerConfig) -> list[Metrics]:
        """Return the metrics of sums of the terms of `evaluate_scenes`."""
        resolutions_m = config.evaluation.resolutions_m
        conditions = len(config.evaluation.list_conditions())
        shaped = sums.reshape(len(sums), conditions, len(resolutions_m), -1).tolist()
        return [
            _combine_conditions(
                [
                    _name_metrics(dict(zip(resolutions_m, map(summarise_terms, terms), strict=True)))
                    for terms in per_condition
                ]
            )
            for per_condition in shaped
        ]

    def _open_conditions(self, name: str) -> list[Split]:
        """Open a split under each condition of the evaluation; the first one is the split itself."""
        samples = self._open_split(name)
        return [samples, *(DisturbedSplit(samples, c) for c in self.config.evaluation.list_conditions()[1:])]

    def _open_split(self, name: str) -> Split:
        return self._train if name == "train" else self.data.open_split(name)

    def _count_matches(
        self, output: Tensor, positions: Tensor, sweeps: dict[tuple[float, float], list[float]]
    ) -> dict[tuple[float, float, float], MatchCounts]:
        counts = {}
        candidates_by_smoothing = {
            smoothing: retrieval.find_candidates(self.config, self.grid, output, smoothing) for smoothing, _ in sweeps
        }
        for (smoothing, radius), thresholds in sweeps.items():
            candidates = candidates_by_smoothing[smoothing]
            keep = retrieval.keep_candidates(self.config.retrieval, candidates, radius)
            levels = torch.tensor(thresholds, device=output.device)
            for resolution in self._resolutions_m:
                counts[smoothing, radius, resolution] = count_matches(candidates, keep, positions, levels, resolution)
        return counts

    def predict(
        self, waves: Float[Tensor, "batch arrays mics 2560"], inference_params: InferenceParams
    ) -> list[Keypoints]:
        """Return the predicted sources of each sample."""
        predictor = LocalizerPredictor(self.config, self._layout, self.network, self.device)
        return predictor.find_keypoints(waves, inference_params)

    @classmethod
    def expected_parameters(cls, config: LocalizerConfig, dataset: DatasetSpec) -> int | None:
        """Return the number of parameters for the arrays of a dataset; None if a file of the dataset has the arrays."""
        if not isinstance(dataset, SampleSpec) or not dataset.has_own_arrays:
            return None
        arrays, mics = dataset.microphones_m().shape[:2]
        return count_unbuilt(lambda: LocalizerNetwork(config, arrays, mics))

    @classmethod
    def sample_step(cls, config: LocalizerConfig, dataset: DatasetSpec) -> SampleStep | None:
        """Return a training step on noise; None if a file of the dataset has the arrays."""
        if not isinstance(dataset, SampleSpec) or not dataset.has_own_arrays:
            return None
        microphones, area = dataset.microphones_m(), dataset.area_m()
        network = LocalizerNetwork(config, *microphones.shape[:2])
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = build_optimizer(config.optimizer, network)
        cells = grid.CellGrid.over_area(config.grid, area)

        def run(items: int) -> None:
            waves = torch.randn(items, *microphones.shape[:2], MIXTURE_SAMPLES)
            positions = torch.rand(items, _SAMPLE_SOURCES, 2) * torch.tensor(area)
            loss = _compute_loss(config, cells, run_network(network, waves, config, bf16=False), positions)
            step_optimizer(network, optimizer, loss)

        return SampleStep(
            run, config.optimizer.batch_size, count_trainable(network), is_half=config.precision != "fp32"
        )

    def training_excerpts(self, count: int) -> SoundExcerpts:
        """Return training samples, evenly spread and augmented as in training; arrays and microphones are the channels."""
        indices = np.unique(np.linspace(0, len(self._train) - 1, count).round().astype(np.int64))
        generator = torch.Generator().manual_seed(self.seed)
        waves = augmentation.augment_waves(self._train.read_batch(indices).waves, generator, self.config.augment)
        return SoundExcerpts(SAMPLE_RATE_HZ, waves.flatten(1, 2).transpose(1, 2).numpy())

    def prepare_prediction(self) -> Callable[[], object]:
        """Return the prediction of sources from the signals of the first validation sample: features, network, keypoints."""
        waves = self.data.open_split("validate").read_batch(np.arange(1)).waves
        predictor = LocalizerPredictor(self.config, self._layout, self.network, self.device)
        return lambda: predictor.find_keypoints(waves, {})

    @classmethod
    def predictor(cls, config: LocalizerConfig, weights: Mapping[str, Any], *, device: str) -> LocalizerPredictor:
        """Build a predictor for recordings in the room of the training data."""
        return LocalizerPredictor.from_weights(config, weights, torch.device(device))

    def weights(self) -> dict[str, Any]:
        """Return the weights of the network and the layout it was trained for."""
        return super().weights() | self._layout.weights()

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Replace the weights of the network; the layout remains that of the dataset."""
        super().load_weights(network_weights(weights))

    def plot_predictions(self, splits: Sequence[str], inference_params: InferenceParams) -> Any:
        """Plot room plans with true and predicted sources, one row per split."""
        from trainables.localizer.plots import plot_room_plans

        samples_by_split = {}
        for name in splits:
            samples = self.data.open_split(name)
            batch = samples.read_batch(np.arange(min(_PLOTTED_SAMPLES, len(samples))))
            samples_by_split[name] = (batch.positions_m, self.predict(batch.waves, inference_params))
        return plot_room_plans(self._layout, samples_by_split)


class SteeredLocalizer(Localizer):
    """Localizer whose network is replaced by SRP-PHAT or MUSIC, so that their maps are read and counted in the same way."""

    def __init__(
        self,
        data: Dataset,
        method: str,
        *,
        device: str,
        evaluation: EvaluationConfig,
    ) -> None:
        config = response_maps.reading_config(data.spec.area_m(), evaluation)
        super().__init__(config, data, device=device, seed=0, epochs=1)
        self.network = YARDSTICKS[method](data.microphones_m, self.grid.centres_m()).to(self.device)

    def choose_inference_params(self) -> dict[str, float]:
        """Return the threshold and the radius with the largest mean F1 on validation."""
        choices = response_maps.list_inference_params(self._resolutions_m)
        values = [metrics["f1_mean"] for metrics in self.evaluate("validate", choices)]
        return choices[values.index(max(values))]


def _compute_loss(
    config: LocalizerConfig, cells: grid.CellGrid, output: Tensor, positions_m: Tensor
) -> Float[Tensor, ""]:
    """Return the training loss of a batch; rows of `positions_m` without a source are NaN."""
    if config.representation == "rg":
        return losses.refined_grid_loss(output, grid.refined_grid_target(cells, positions_m), config.loss)
    if config.representation == "tg":
        return losses.activity_loss(output[:, 0], grid.tight_grid_target(cells, positions_m), config.loss)
    target = grid.heat_map_target(cells, positions_m, config.target.sigma_m)
    return losses.heat_map_loss(output[:, 0], target, config.loss)


def _combine_conditions(per_condition: Sequence[Metrics]) -> Metrics:
    """Return the metrics under the first condition, with the least and the mean F1 if there are others."""
    first = dict(per_condition[0])
    if len(per_condition) > 1:
        values = [metrics["f1_mean"] for metrics in per_condition]
        first |= {WORST: min(values), AVERAGE: sum(values) / len(values)}
    return first


def _without_loss(metrics: Metrics) -> Metrics:
    return {name: value for name, value in metrics.items() if name != "loss"}


def _read_batches(samples: Split) -> Iterator[Batch]:
    """Read all samples of a split in their order."""
    for first in range(0, len(samples), _EVALUATION_BATCH):
        yield samples.read_batch(np.arange(first, min(first + _EVALUATION_BATCH, len(samples))))


def build_optimizer(config: OptimizerConfig, network: torch.nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer of a Config for the parameters of a network."""
    parameters = list(network.parameters())
    if config.name == "sgd":
        return torch.optim.SGD(parameters, config.lr, momentum=config.beta1, weight_decay=config.weight_decay)
    kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    betas = (config.beta1, config.beta2)
    return kind(parameters, config.lr, betas=betas, weight_decay=config.weight_decay, fused=True)


def _group_thresholds(params_grid: Sequence[InferenceParams]) -> dict[tuple[float, float], list[float]]:
    """Group thresholds by smoothing and radius, since all thresholds of a group are evaluated together."""
    groups: dict[tuple[float, float], list[float]] = {}
    for params in params_grid:
        thresholds = groups.setdefault((params["smoothing_m"], params["nms_radius_m"]), [])
        if params["threshold"] not in thresholds:
            thresholds.append(params["threshold"])
    return groups


def _select_metrics(
    params: InferenceParams,
    groups: Mapping[tuple[float, float], list[float]],
    summaries: Mapping[tuple[float, float, float], list[dict[str, float]]],
    resolutions_m: Sequence[float],
) -> Metrics:
    """Return the metrics of one choice of inference parameters.

    Args:
        params: Complete inference parameters.
        groups: Thresholds by smoothing and radius.
        summaries: Metrics per threshold, by smoothing, radius and resolution.
        resolutions_m: Resolutions, in metres.
    """
    group = (params["smoothing_m"], params["nms_radius_m"])
    row = groups[group].index(params["threshold"])
    return _name_metrics({resolution: summaries[*group, resolution][row] for resolution in resolutions_m})


def _name_metrics(by_resolution: Mapping[float, Mapping[str, float]]) -> Metrics:
    """Return the metrics by the names of `config.list_metrics`."""
    metrics = {
        f"{name}_{resolution:g}m": value
        for resolution, summary in by_resolution.items()
        for name, value in summary.items()
    }
    mean = sum(summary["f1"] for summary in by_resolution.values()) / len(by_resolution)
    return {"f1_mean": mean} | metrics
