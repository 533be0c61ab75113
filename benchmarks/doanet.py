"""`python -m benchmarks.doanet`: features and training steps of DOAnet, compared with a plain implementation.

The plain implementation has the structure of that of the authors: features per file, channel and pair; a network in fp32
and NCHW, whose batch is flattened to frames before the losses. tests/benchmarks asserts that features and losses are equal.
All measurements alternate in this process, on one thread.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.hnet import TorchLayers
from benchmarks.measure import Spread, measure_paired, measure_rate, write_results
from trainables.doanet.association import PADDING, Assign
from trainables.doanet.config import DoanetConfig, Format, LossConfig
from trainables.doanet.features import (
    BANDS,
    FEATURE_CHANNELS,
    FFT,
    FRAMES_PER_LABEL,
    HOP,
    SAMPLE_RATE_HZ,
    WINDOW,
    extract_features,
    mel_matrix,
)
from trainables.doanet.losses import compute_objective
from trainables.doanet.network import DoaNetwork
from trainables.doanet.random_batches import draw_batch
from trainables.doanet.targets import ReferenceTracks
from trainables.hnet.config import HnetConfig
from trainables.hnet.network import HungarianNetwork

Array = NDArray[Any]  # single precision, although the annotations of NumPy declare double precision
ROUNDS: Final = 7
SECONDS: Final = 3.0
RECORDING_S: Final = 60
FORMATS: Final[tuple[Format, ...]] = ("foa", "mic")
BATCH: Final = 16
NETWORKS: Final[dict[str, dict[str, Any]]] = {
    "laptop": {"network": {"channels": 32, "gru": 64, "branch": 64}},
    "the paper's": {},
}


def plain_spectrum(wave: Array) -> Array:
    """Compute the STFT of one channel, shape (frames, 513)."""
    window = np.zeros(FFT, np.float32)
    margin = (FFT - WINDOW) // 2
    window[margin : margin + WINDOW] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, FFT // 2), FFT)[::HOP]
    return np.fft.rfft(frames[: len(wave) // HOP] * window)


def plain_level(spectrum: Array, mel: Array) -> Array:
    """Compute the log-mel spectrum of one channel, shape (frames, 64)."""
    level = 10 * np.log10(np.maximum(np.abs(spectrum) ** 2 @ mel, 1e-10))
    raised: Array = np.maximum(level, level.max() - 80)
    return raised


def plain_intensity(spectra: list[Array], mel: Array) -> list[Array]:
    """Compute the intensities along Y, Z and X, each of shape (frames, 64)."""
    omni, *dipoles = spectra
    energy = 1e-8 + np.abs(omni) ** 2 + sum(np.abs(dipole) ** 2 for dipole in dipoles) / 3
    return [np.real(np.conj(omni) * dipole) / energy @ mel for dipole in dipoles]


def plain_correlation(first: Array, second: Array) -> Array:
    """Compute the GCC-PHAT of one pair, shape (frames, 64)."""
    lags = np.fft.irfft(np.exp(1j * np.angle(first.conj() * second)))
    return np.concatenate([lags[:, -BANDS // 2 :], lags[:, : BANDS // 2]], axis=1)


def plain_extract(recording: Array, fmt: Format) -> Array:
    """Compute the features of one recording of shape (4, samples), equal to those of `extract_features`."""
    mel = mel_matrix().astype(np.float32)
    spectra = [plain_spectrum(wave) for wave in recording]
    levels = [plain_level(spectrum, mel) for spectrum in spectra]
    if fmt == "foa":
        return np.stack(levels + plain_intensity(spectra, mel))
    return np.stack(levels + [plain_correlation(first, second) for first, second in itertools.combinations(spectra, 2)])


class PlainNetwork(nn.Module):
    """DOAnet in fp32 and NCHW, with the parameters of another network.

    The output consists of x of all sources, then y, then z, and of the activities.
    """

    def __init__(self, config: DoanetConfig, network: DoaNetwork) -> None:
        super().__init__()
        size, sources = config.network, config.max_sources
        layers: list[nn.Module] = []
        inputs = FEATURE_CHANNELS[config.format]
        for pool in ((FRAMES_PER_LABEL, 2), (1, 2), (1, 2)):
            layers += [nn.Conv2d(inputs, size.channels, 3, padding=1), nn.BatchNorm2d(size.channels), nn.ReLU()]
            layers += [nn.MaxPool2d(pool), nn.Dropout2d(size.dropout)]
            inputs = size.channels
        self.convolutions = nn.Sequential(*layers)
        self.gru = nn.GRU(size.channels * BANDS // 8, size.gru, size.gru_layers, batch_first=True, bidirectional=True)
        self.directions, self.activity = (
            nn.Sequential(
                nn.Linear(size.gru, size.branch),
                nn.ReLU(),
                nn.Linear(size.branch, size.branch),
                nn.ReLU(),
                nn.Linear(size.branch, outputs),
                nn.Tanh(),
            )
            for outputs in (3 * sources, sources)
        )
        with torch.no_grad():
            for own, other in zip(self.parameters(), network.parameters(), strict=True):
                own.copy_(other)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (batch, channels, frames, 64) to (batch, labels, 3 · sources) and (batch, labels, sources)."""
        local = self.convolutions(features).transpose(1, 2).flatten(2)
        both = self.gru(local)[0].tanh()
        half = both.shape[-1] // 2
        hidden = both[..., :half] * both[..., half:]
        return self.directions(hidden), self.activity(hidden)


def plain_objective(
    output: tuple[Tensor, Tensor], reference: ReferenceTracks, loss: LossConfig, assign: Assign
) -> Tensor:
    """Compute the tracking losses of the authors over all frames of a batch."""
    directions, activity = output
    sources = activity.shape[-1]
    estimated = directions.flatten(0, 1).unflatten(-1, (3, sources)).transpose(1, 2)
    estimated = estimated / (estimated.square().sum(-1, keepdim=True) + 1e-10).sqrt()
    target = torch.where(reference.active[..., None], reference.directions, PADDING).flatten(0, 1)
    count = reference.active.flatten(0, 1).sum(-1)
    distance = (estimated[:, :, None] - target[:, None]).norm(dim=-1)
    association = assign(distance)
    association = association * (association > loss.gate)
    strength = association.sum((1, 2))
    dmotp = ((distance * association).sum((1, 2)) * strength).sum() / strength.sum()
    best = association.max(2).values
    matched = best.sum(1)
    false_positives, misses = (matched - count).clamp(min=0), (count - matched).clamp(min=0)
    switches = (association[1:] * (1 - association[:-1])).sum((1, 2))
    errors = false_positives.sum() + misses.sum() + loss.ids_weight * switches.sum()
    dmota = errors / (matched + torch.finfo(torch.float32).eps).sum()
    activity_loss = functional.binary_cross_entropy_with_logits(
        activity.flatten(0, 1), (best > loss.gate).float().detach()
    )
    total: Tensor = loss.dmotp_weight * dmotp + loss.dmota_weight * dmota + loss.activity_weight * activity_loss
    return total


def random_association_network(sources: int) -> HungarianNetwork:
    """Return an untrained, frozen Hungarian network; its weights come from the global generator."""
    return HungarianNetwork(HnetConfig(max_sources=sources)).requires_grad_(False)


def random_association(sources: int) -> tuple[Assign, Assign]:
    """Return the association by an untrained Hungarian network, in our implementation and with standard PyTorch layers."""
    torch.manual_seed(0)
    ours, plain = random_association_network(sources), random_association_network(sources)
    plain.load_state_dict(ours.state_dict())
    plain.gru, plain.attention = TorchLayers(plain), nn.Identity()  # type: ignore[assignment]
    return lambda distances: ours(distances).entries.sigmoid(), lambda distances: plain(distances).entries.sigmoid()


def loss_functions(config: DoanetConfig, batch: int) -> tuple[tuple[nn.Module, Callable[[], Tensor]], ...]:
    """Return our network and the plain one with equal weights, each with a function that computes its loss."""
    torch.manual_seed(1)
    ours = DoaNetwork(config)
    plain = PlainNetwork(config, ours)
    assign, plain_assign = random_association(config.max_sources)
    features, reference = draw_batch(config, batch)
    return (
        (ours, lambda: compute_objective(ours(features), reference, config.loss, assign)["loss"]),
        (plain, lambda: plain_objective(plain(features), reference, config.loss, plain_assign)),
    )


def make_trainer(network: nn.Module, loss: Callable[[], Tensor], batch: int, *, fused: bool) -> Callable[[], float]:
    """Return a function that trains for a fixed time and returns sequences per second; `Doanet` uses a fused optimizer."""
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=fused)

    def step() -> int:
        batch_loss = loss()
        optimizer.zero_grad(set_to_none=True)
        batch_loss.backward()
        optimizer.step()
        return batch

    return lambda: measure_rate(step, SECONDS)


def make_extractors(fmt: Format) -> tuple[Callable[[], float], Callable[[], float]]:
    """Return functions that extract features for a fixed time and return recordings per second, ours and the plain one."""
    samples = RECORDING_S * SAMPLE_RATE_HZ
    recording = np.random.default_rng(0).normal(0, 0.1, (4, samples)).astype(np.float32)

    def ours() -> int:
        return len(extract_features(torch.from_numpy(recording)[None], fmt))

    def plain() -> int:
        return len(plain_extract(recording, fmt)[None])

    return lambda: measure_rate(ours, SECONDS), lambda: measure_rate(plain, SECONDS)


def main() -> None:
    """Measure, print and store the results."""
    torch.set_num_threads(1)
    features: dict[str, dict[str, Spread]] = {}
    for fmt in FORMATS:
        features[fmt] = rates = measure_paired(*make_extractors(fmt), ROUNDS)
        print(
            f"{fmt} features: {rates['ours']} recordings/s, {rates['ours'].median * RECORDING_S:.0f} times real time, "
            f"{rates['ratio']} times the plain implementation",
            flush=True,
        )
    steps: dict[str, dict[str, Spread]] = {}
    for name, values in NETWORKS.items():
        ours, plain = loss_functions(DoanetConfig.model_validate(values), BATCH)
        steps[name] = measure_paired(
            make_trainer(*ours, BATCH, fused=True), make_trainer(*plain, BATCH, fused=False), ROUNDS
        )
        print(
            f"{name}: {steps[name]['ours']} sequences/s, {steps[name]['ratio']} times the plain implementation",
            flush=True,
        )
    result = {"recordings_per_second": features, "recording_s": RECORDING_S, "sequences_per_second": steps}
    print(write_results("doanet", result | {"batch": BATCH, "threads": 1}))


if __name__ == "__main__":
    main()
