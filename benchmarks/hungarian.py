"""`python -m benchmarks.hungarian`: accuracy of Hungarian networks after minutes of training from scratch.

The benchmark uses the recipe of `hnet: trained` for two and three sources. Each seed draws separate matrices; the time
includes drawing them.
"""

from __future__ import annotations

import time
from typing import Final

import torch

from benchmarks.measure import Spread, write_results
from datasets.matrices import MatricesSpec
from trainables.hnet.config import HnetConfig
from trainables.hnet.pretrained import EPOCHS, default_config
from trainables.hnet.trainable import Hnet

SEEDS: Final = (0, 1, 2)
SOURCES: Final = (2, 3)
METRICS: Final = ("f_weighted", "f1", "exact")


def train_network(config: HnetConfig, seed: int) -> dict[str, float]:
    """Train a network, and return its scores on test matrices and the elapsed time."""
    started = time.perf_counter()
    network = Hnet(config, MatricesSpec(seed=seed), device="cpu", seed=seed, epochs=EPOCHS)
    for _ in range(EPOCHS):
        network.train_epoch()
    seconds = time.perf_counter() - started
    return network.evaluate("test", [{}])[0] | {"seconds": seconds}


def main() -> None:
    """Train, print and store the results."""
    torch.set_num_threads(1)
    result: dict[str, dict[str, Spread]] = {}
    for sources in SOURCES:
        name = f"{sources} sources"
        runs = [train_network(default_config(sources), seed) for seed in SEEDS]
        result[name] = {metric: Spread.from_samples([run[metric] for run in runs]) for metric in (*METRICS, "seconds")}
        print(name, "  ".join(f"{metric} {spread}" for metric, spread in result[name].items()), flush=True)
    print(write_results("hungarian", {"epochs": EPOCHS, "threads": 1, "seeds": len(SEEDS), "test": result}))


if __name__ == "__main__":
    main()
