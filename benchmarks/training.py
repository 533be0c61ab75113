"""`python -m benchmarks.training`: training throughput of the localizer, compared with a plain implementation.

The plain implementation is the same network in fp32 and NCHW, with the microphone pairs arranged in rows as in Table II.
Both are measured alternately in this process, with the number of threads of a trial.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.measure import measure_paired, measure_rate, write_results
from trainables.localizer.config import LocalizerConfig
from trainables.localizer.features import BINS, FRAMES
from trainables.localizer.network import LocalizerNetwork
from trainables.localizer.trainable import build_optimizer
from trainables.precision import use_bf16

_SECONDS = 3.0
_ROUNDS = 5

LAPTOP = {"width": 32, "tail_width": 16, "decoder_width": 128, "strides": "early", "encoder_norm": True}
NETWORKS = {
    "rg_rep on a laptop": (64, {"representation": "rg", "encoder": "array", "network": LAPTOP}),
    "the same, combined": (64, {"representation": "rg", "encoder": "combined", "network": LAPTOP}),
    "the paper's, array": (16, {"representation": "rg", "encoder": "array"}),
    "the paper's, combined": (16, {"representation": "rg", "encoder": "combined"}),
}


class LaidOutPairs(nn.Module):
    """Pair extractor as in Table II: a 2×7 convolution with stride 2 over 24 rows."""

    def __init__(self, mics: int, leak: float) -> None:
        super().__init__()
        pairs = list(itertools.combinations(range(mics), 2))
        self.order = [part * mics + channel for part in range(2) for pair in pairs for channel in pair]
        self.layers = nn.Sequential(nn.Conv2d(1, 8, (2, 7), (2, 1), (0, 3)), nn.BatchNorm2d(8), nn.LeakyReLU(leak))

    def forward(self, spectra: Tensor) -> Tensor:
        """Arrange the rows, convolve them and restore the frames."""
        rows = spectra[:, self.order].transpose(1, 2).reshape(-1, 1, len(self.order), BINS)
        pairs: Tensor = self.layers(rows)
        by_frame: Tensor = pairs.flatten(1, 2).unflatten(0, (len(spectra), FRAMES))
        return by_frame.transpose(1, 2)


def make_trainer(
    network: LocalizerNetwork, config: LocalizerConfig, batch: int, *, half: bool, last: bool
) -> Callable[[], int]:
    """Return a function that trains one batch and returns its size."""
    if last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(config.optimizer, network)
    spectra = torch.randn(batch, 2, 8, FRAMES, BINS)

    def step() -> int:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = network(spectra).float().square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return batch

    return step


def main() -> None:
    """Measure, print and store the results."""
    torch.set_num_threads(1)
    half = use_bf16("auto", torch.device("cpu"))
    results = {}
    for name, (batch, values) in NETWORKS.items():
        config = LocalizerConfig.model_validate(values)
        plain = LocalizerNetwork(config, 2, 4)
        if config.encoder == "combined":
            plain.pairs = LaidOutPairs(4, config.network.leak)  # type: ignore[assignment]
        ours = make_trainer(LocalizerNetwork(config, 2, 4), config, batch, half=half, last=True)
        theirs = make_trainer(plain, config, batch, half=False, last=False)
        results[name] = measure_paired(
            partial(measure_rate, ours, _SECONDS), partial(measure_rate, theirs, _SECONDS), _ROUNDS
        )
        print(
            f"{name:<24} ours {results[name]['ours']}  plain {results[name]['theirs']}  ratio {results[name]['ratio']}",
            flush=True,
        )
    print(write_results("training", {"bf16": half, "threads": 1, "samples_per_second": results}))


if __name__ == "__main__":
    main()
