"""Convolution block of the network, with operations ordered for low memory traffic."""

from __future__ import annotations

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_ROWS: Final = 4096
"""Number of positions whose squares are summed at once on a CPU, so that they stay in its cache."""


class _PooledNorm(torch.autograd.Function):
    """Maximum of each window, normalised with mean and variance of the batch.

    The backward pass needs the derivative at the maxima, which are a tenth of the values, and one affine map of the input.
    """

    @staticmethod
    def forward(
        ctx: Any, raw: Tensor, gain: Tensor, shift: Tensor, eps: float, window: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean = raw.mean((0, 2, 3))
        variance = _mean_square(raw) - mean.square()
        scale = (variance + eps).rsqrt()
        peaks, indices = functional.max_pool2d(raw, window, return_indices=True)
        normal = (peaks - _per_channel(mean)) * _per_channel(scale)
        ctx.save_for_backward(raw, indices, normal, gain, mean, scale)
        ctx.mark_non_differentiable(mean, variance)
        return normal * _per_channel(gain) + _per_channel(shift), mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        raw, indices, normal, gain, mean, scale = ctx.saved_tensors
        grad, count = grads[0], raw.numel() // raw.shape[1]
        of_shift, of_gain = grad.sum((0, 2, 3)), (grad * normal).sum((0, 2, 3))
        factor = gain * scale
        slope = -factor * scale * of_gain / count
        rows = torch.addcmul(-factor * of_shift / count - slope * mean, _channel_rows(raw), slope)
        rows.scatter_add_(1, _channel_rows(indices), _channel_rows(grad) * factor)
        return rows.unflatten(1, raw.shape[2:]).permute(0, 3, 1, 2), of_gain, of_shift, None, None


class ConvolutionBlock(nn.Module):
    """Convolution 3×3, batch normalisation, ReLU, maximum over windows, dropout of channels.

    Normalisation and ReLU are monotonic, so the maximum may precede them if channels with a negative gain are convolved with
    the opposite sign. The values are the same, and the most expensive layers process one value per window.

    Shape:
        input (batch, inputs, frames, bands), output (batch, outputs, frames / window[0], bands / window[1]).
    """

    def __init__(self, inputs: int, outputs: int, window: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout2d(dropout)
        self.window = window

    def forward(self, inputs: Float[Tensor, "batch inputs frames bands"]) -> Float[Tensor, "batch outputs labels less"]:
        """Filter, normalise and pool."""
        norm, bias = self.norm, self.convolution.bias
        assert bias is not None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        sign = torch.where(norm.weight.detach() < 0, -1.0, 1.0)
        filters = self.convolution.weight * sign[:, None, None, None]
        # Normalisation with the batch mean cancels the bias.
        raw = functional.conv2d(inputs.contiguous(memory_format=torch.channels_last), filters, padding=1)
        if raw.dtype == torch.bfloat16:  # sums over a batch need the precision of single numbers
            raw = raw.float()
        gain = norm.weight * sign
        if self.training:
            pooled, mean, variance = _PooledNorm.apply(raw, gain, norm.bias, norm.eps, self.window)  # type: ignore[no-untyped-call]
            self._update_statistics(mean * sign + bias.detach(), variance, raw.numel() // raw.shape[1])
        else:
            mean = (norm.running_mean - bias) * sign
            scale = (norm.running_var + norm.eps).rsqrt()
            pooled = (functional.max_pool2d(raw, self.window) - _per_channel(mean)) * _per_channel(
                scale * gain
            ) + _per_channel(norm.bias)
        result: Tensor = self.dropout(pooled.relu())
        return result

    @torch.no_grad()
    def _update_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.momentum is not None
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (count / (count - 1)), norm.momentum)


def _per_channel(values: Tensor) -> Tensor:
    """Reshape one value per channel for broadcasting with (batch, channels, frames, bands)."""
    return values[:, None, None]


def _channel_rows(values: Tensor) -> Tensor:
    """Reshape to (batch, positions, channels), without a copy if the memory format is channels-last."""
    return values.permute(0, 2, 3, 1).flatten(1, 2)


def _mean_square(raw: Tensor) -> Tensor:
    rows = _channel_rows(raw).flatten(0, 1)
    squares = torch.zeros_like(rows[0])
    for chunk in rows.split(len(rows) if raw.is_cuda else _ROWS):
        squares += chunk.square().sum(0)
    return squares / len(rows)
