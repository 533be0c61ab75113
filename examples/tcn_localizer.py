"""A network of another package, wrapped: the temporal convolutional network of pytorch-tcn, along the frequency axis."""

import torch
from pydantic import Field
from pytorch_tcn import TCN
from torch import Tensor, nn

from examples.delay_localizer import DelayLocalizer
from trainables.contract import TrainableConfig


class TcnConfig(TrainableConfig):
    """Hyperparameters of the network."""

    lr: float = Field(1e-3, gt=0, le=1, description="learning rate of Adam")
    channels: tuple[int, ...] = Field((32, 32), min_length=1, description="channels of each residual block")
    kernel_size: int = Field(5, ge=2, le=15, description="kernel size of the convolutions, in frequency bins")


class TcnLocalizer(DelayLocalizer):
    """Localizer that trains and is evaluated like `DelayLocalizer`, with other features and another network."""

    Config = TcnConfig  # type: ignore[assignment]

    def build_network(self, pairs: int) -> nn.Module:
        """Return a TCN, whose output is averaged in eight bands, and a linear layer."""
        channels, kernel = list(self.config.channels), self.config.kernel_size
        tcn = TCN(2 * pairs, channels, kernel_size=kernel, causal=False, dropout=0.0)
        return nn.Sequential(tcn, nn.AdaptiveAvgPool1d(8), nn.Flatten(), nn.Linear(8 * channels[-1], 2))

    def compute_features(self, cross: Tensor) -> Tensor:
        """Return cosine and sine of the phase differences below 2 kHz, shape (batch, 2 · pairs, bins)."""
        return torch.cat([cross.real, cross.imag], dim=1)[..., :640]
