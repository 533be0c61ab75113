"""`python -m benchmarks.hnet`: training steps of the Hungarian network, compared with standard PyTorch layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import Spread, measure_paired, measure_rate, write_results
from trainables.hnet import matrices
from trainables.hnet.config import HnetConfig, LossConfig
from trainables.hnet.losses import association_loss
from trainables.hnet.network import HungarianNetwork

ROUNDS: Final = 9
SECONDS: Final = 0.7
BATCHES: Final = (256, 1024)
SOURCES: Final = (2, 5)


class TorchLayers(nn.Module):
    """GRU and attention of a Hungarian network by standard PyTorch operations, with shared parameters."""

    def __init__(self, network: HungarianNetwork) -> None:
        super().__init__()
        self.gru, self.attention = network.gru.gru, network.attention

    def forward(self, distances: Tensor) -> Tensor:
        """Apply the GRU and the attention."""
        rows, attention = self.gru(distances)[0], self.attention
        scores = attention.query(rows) @ attention.key(rows).mT * attention.scale
        mixed: Tensor = scores.softmax(dim=2) @ attention.value(rows)
        return mixed


def make_stepper(sources: int, batch: int, *, plain: bool) -> Callable[[], float]:
    """Return a function that trains for a fixed time and returns the number of matrices per second."""
    torch.manual_seed(0)
    network = HungarianNetwork(HnetConfig(max_sources=sources))
    if plain:
        network.gru, network.attention = TorchLayers(network), nn.Identity()  # type: ignore[assignment]
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
    drawn = matrices.draw_matrices(sources, 300, np.random.default_rng(0))
    chosen = np.random.default_rng(1).permutation(len(drawn))[:batch]
    distances, truth = torch.from_numpy(drawn.distances[chosen]), torch.from_numpy(drawn.associations[chosen])

    def step() -> int:
        loss = association_loss(network(distances), truth, LossConfig())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return batch

    return lambda: measure_rate(step, SECONDS)


def main() -> None:
    """Measure, print and store the results."""
    torch.set_num_threads(1)
    result: dict[str, dict[str, Spread]] = {}
    for sources in SOURCES:
        for batch in BATCHES:
            name = f"{sources} sources, batches of {batch}"
            result[name] = measure_paired(
                make_stepper(sources, batch, plain=False), make_stepper(sources, batch, plain=True), ROUNDS
            )
            print(f"{name}: {result[name]['ours']} matrices/s, {result[name]['ratio']} times torch's layers")
    print(write_results("hnet", {"matrices_per_second": result, "threads": 1}))


if __name__ == "__main__":
    main()
