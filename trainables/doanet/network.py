"""Convolutional recurrent network of DOAnet, from features to directions and activity of each output."""

from __future__ import annotations

from typing import Final, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from trainables.doanet.blocks import ConvolutionBlock
from trainables.doanet.config import DoanetConfig, NetworkConfig
from trainables.doanet.features import BANDS, FEATURE_CHANNELS, FRAMES_PER_LABEL

_POOLS: Final = ((FRAMES_PER_LABEL, 2), (1, 2), (1, 2))
"""Pooling in time and band per block; the first one reduces feature frames to label frames."""


class DoaOutput(NamedTuple):
    """Output of the network per label frame.

    Attributes:
        directions: Vectors (x, y, z) within a cube of side 2; only their direction matters.
        activity: Logits of the activity, None without that branch.
    """

    directions: Float[Tensor, "batch labels sources 3"]
    activity: Float[Tensor, "batch labels sources"] | None


class RecurrentProduct(nn.Module):
    """Bidirectional GRU with the product of its two directions after a tanh.

    Shape:
        input (batch, labels, inputs), output (batch, labels, units).
    """

    def __init__(self, inputs: int, network: NetworkConfig) -> None:
        super().__init__()
        # Dropout acts between layers; PyTorch warns if there is only one.
        dropout = network.dropout if network.gru_layers > 1 else 0.0
        self.gru = nn.GRU(
            inputs, network.gru, network.gru_layers, batch_first=True, dropout=dropout, bidirectional=True
        )

    def forward(self, inputs: Float[Tensor, "batch labels inputs"]) -> Float[Tensor, "batch labels units"]:
        """Run both directions and multiply them."""
        forwards, backwards = self.gru(inputs)[0].tanh().chunk(2, dim=-1)
        product: Tensor = forwards * backwards
        return product


class SelfAttention(nn.Module):
    """Multi-head self-attention over the sequence (Vaswani et al. 2017), followed by a tanh; no residual.

    The authors mention it as an option that is off; the tanh keeps its output in the range of the recurrent block.
    """

    def __init__(self, units: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(units, heads, dropout, batch_first=True)

    def forward(self, inputs: Float[Tensor, "batch labels units"]) -> Float[Tensor, "batch labels units"]:
        """Attend to the complete sequence."""
        attended: Tensor = self.attention(inputs, inputs, inputs, need_weights=False)[0]
        return attended.tanh()


def _output_branch(network: NetworkConfig, outputs: int, *, tanh: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(network.gru, network.branch),
        nn.ReLU(),
        nn.Linear(network.branch, network.branch),
        nn.ReLU(),
        nn.Linear(network.branch, outputs),
        nn.Tanh() if tanh else nn.Identity(),
    )


class DoaNetwork(nn.Module):
    """Network of three convolution blocks, a recurrent block, a branch for directions and optionally one for activity.

    With the defaults it has 1 553 928 parameters (FOA) or 1 557 384 (MIC).

    Shape:
        input (batch, 7 or 10, 5 · labels, 64), output see `Output`; the direction branch's units are x of all sources,
        then y, then z.
    """

    def __init__(self, config: DoanetConfig) -> None:
        super().__init__()
        network = config.network
        channels = [FEATURE_CHANNELS[config.format], network.channels, network.channels]
        self.blocks = nn.Sequential(
            *(
                ConvolutionBlock(inputs, network.channels, pool, network.dropout)
                for inputs, pool in zip(channels, _POOLS, strict=True)
            )
        )
        bands = BANDS
        for _, pool in _POOLS:
            bands //= pool
        self.recurrent = RecurrentProduct(network.channels * bands, network)
        attends = network.heads > 0
        self.attention = SelfAttention(network.gru, network.heads, network.dropout) if attends else nn.Identity()
        self.directions = _output_branch(network, 3 * config.max_sources, tanh=True)
        has_activity = config.loss.has_activity
        self.activity = _output_branch(network, config.max_sources, tanh=config.activity_tanh) if has_activity else None

    def forward(self, features: Float[Tensor, "batch channels frames 64"]) -> DoaOutput:
        """Return direction and activity of each output."""
        local = self.blocks(features).transpose(1, 2).flatten(2)
        hidden = self.attention(self.recurrent(local))
        directions = self.directions(hidden).unflatten(-1, (3, -1)).transpose(-1, -2)
        return DoaOutput(directions, None if self.activity is None else self.activity(hidden))
