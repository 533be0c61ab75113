"""`python -m benchmarks.hungarian`: how well a Hungarian network is trained within minutes, from nothing, on fresh matrices.

The recipe that `hnet: trained` uses, for two and three sources. Each seed draws its own matrices; time includes drawing them.
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
SHOWN: Final = ("f_weighted", "f1", "exact")


def train_network(config: HnetConfig, seed: int) -> dict[str, float]:
    """Draw, train, and score on matrices that no training saw."""
    started = time.perf_counter()
    network = Hnet(config, MatricesSpec(seed=seed), device="cpu", seed=seed, epochs=EPOCHS)
    for _ in range(EPOCHS):
        network.train_epoch()
    seconds = time.perf_counter() - started
    return network.evaluate("test", [{}])[0] | {"seconds": seconds}


def main() -> None:
    """Train, print, store."""
    torch.set_num_threads(1)
    result: dict[str, dict[str, Spread]] = {}
    for sources in SOURCES:
        name = f"{sources} sources"
        found = [train_network(default_config(sources), seed) for seed in SEEDS]
        result[name] = {figure: Spread.from_samples([run[figure] for run in found]) for figure in (*SHOWN, "seconds")}
        print(name, "  ".join(f"{figure} {spread}" for figure, spread in result[name].items()), flush=True)
    print(write_results("hungarian", {"epochs": EPOCHS, "threads": 1, "seeds": len(SEEDS), "test": result}))


if __name__ == "__main__":
    main()
