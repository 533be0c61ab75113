"""The encoder-decoder of Table II, for any number of arrays and any grid."""

from __future__ import annotations

import itertools
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainables.localizer.config import LocalizerConfig, Network
from trainables.localizer.features import FRAMES

_CODE: Final = 512
_PAIR_FILTERS: Final = 8

_STRIDES: Final = {"late": ((1, 1, 1, 1, 1), (2, 2), 2), "early": ((2, 2, 1, 1, 1), (1, 1), 2)}
"""Frequency strides of the 1×5 layers, of the two 1×3 layers, and of the 9×4 layer. All come to a factor of 8."""


class PairExtractor(nn.Module):
    """Pair-wise features: a 2×7 convolution with stride 2 over channels of all pairs side by side (section II-A, Table II).

    The convolution is linear in each channel, so the rows are never laid out: its kernel is spread over the array's own
    channels, where each pair has its two entries, and one dense convolution gives the same numbers without the copies.

    Shape:
        input (batch, 2 · mics, 9, 256), output (batch, 8 · rows, 9, 256) with rows = 2 · pairs; channel = filter · rows + row.
    """

    member: Tensor

    def __init__(self, mics: int, leak: float) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(1, _PAIR_FILTERS, (2, 7))  # holds Table II's parameters; `forward` spreads them
        self.norm = nn.BatchNorm2d(_PAIR_FILTERS)
        self.activation = nn.LeakyReLU(leak)
        pairs = [
            (part * mics + i, part * mics + j) for part in range(2) for i, j in itertools.combinations(range(mics), 2)
        ]
        self.rows = len(pairs)
        # member[half, row, channel] is 1 where the channel is that half of the row's pair
        member = functional.one_hot(torch.tensor(pairs).T, 2 * mics).float()
        self.register_buffer("member", member, persistent=False)

    @property
    def pair_channels(self) -> int:
        """Channels of the output."""
        return _PAIR_FILTERS * self.rows

    def forward(self, spectra: Float[Tensor, "batch channels 9 256"]) -> Float[Tensor, "batch out 9 256"]:
        """Convolve, normalise each filter over all its rows, activate."""
        weight = torch.einsum("fhk,hrc->frck", self.kernel.weight[:, 0], self.member).flatten(0, 1)[:, :, None]
        bias = None if self.kernel.bias is None else self.kernel.bias.repeat_interleave(self.rows)
        responses = functional.conv2d(spectra, weight, bias, padding=(0, 3))
        by_filter = responses.unflatten(1, (_PAIR_FILTERS, self.rows)).flatten(2, 3)
        normed: Tensor = self.activation(self.norm(by_filter))
        rows: Tensor = normed.unflatten(2, (self.rows, FRAMES))
        return rows.flatten(1, 2)


class ArrayEncoder(nn.Sequential):
    """Spectra to a code of 512 values; the frequency axis shrinks from 256 to 32, the time axis from 9 to 1 (Table II).

    Shape:
        input (batch, channels, 9, 256), output (batch, 512).
    """

    def __init__(self, channels: int, network: Network) -> None:
        wide, narrow, last = _STRIDES[network.strides]
        layers: list[nn.Module] = []
        for stride in wide:
            layers += _conv_block(channels, network.width, (1, 5), stride, network.leak, norm=True)
            channels = network.width
        for filters, stride in zip((network.tail_width, network.tail_width // 2), narrow, strict=True):
            layers += _conv_block(channels, filters, (1, 3), stride, network.leak, norm=network.encoder_norm)
            channels = filters
        layers += _conv_block(channels, _CODE // 32, (FRAMES, 4), last, network.leak, norm=network.encoder_norm)
        super().__init__(*layers, nn.Flatten())


def _conv_block(
    channels: int, filters: int, kernel: tuple[int, int], stride: int, leak: float, *, norm: bool
) -> list[nn.Module]:
    # Half padding in frequency; the 9×4 kernel is even-sized and pads by one, the paper's only way from 64 to 32 bins.
    padding = (0, (kernel[1] - 1) // 2)
    conv = nn.Conv2d(channels, filters, kernel, (1, stride), padding)
    return [conv, *([nn.BatchNorm2d(filters)] if norm else []), nn.LeakyReLU(leak)]


def decoder_sizes(cells: int) -> tuple[int, int, int, int]:
    """Grid sizes after the four transposed convolutions: 3, 9, 27, 81 and 3, 6, 6, 6 as in Table II, and between."""
    if cells <= 9:
        return (3, cells, cells, cells)
    if cells <= 27:
        return (3, round(cells / 3), cells, cells)
    return (3, 9, round(cells / 3), cells)


class GridDecoder(nn.Sequential):
    """A code to a square grid of 1 or 3 channels (Table II).

    Shape:
        input (batch, code), output (batch, outputs, cells, cells).
    """

    def __init__(self, code: int, cells: int, outputs: int, width: int) -> None:
        layers: list[nn.Module] = [nn.Unflatten(1, (code, 1, 1))]
        size, channels = 1, code
        for step, target in enumerate(decoder_sizes(cells)):
            filters = width >> step
            layers += [_upsample_block(channels, filters, size, target), nn.BatchNorm2d(filters), nn.ReLU()]
            size, channels = target, filters
        for filters in (16, 8):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
            channels = filters
        layers.append(nn.Conv2d(channels, outputs, 3, padding=1))
        super().__init__(*layers)


def _upsample_block(channels: int, filters: int, size: int, target: int) -> nn.ConvTranspose2d:
    """A transposed convolution from `size` to exactly `target` cells, with the paper's kernels where it has them."""
    if size == target:
        return nn.ConvTranspose2d(channels, filters, 3, padding=1)
    stride = target // size
    return nn.ConvTranspose2d(channels, filters, target - (size - 1) * stride, stride)


class LocalizerNetwork(nn.Module):
    """Spectra of all arrays to the representation's raw output.

    TG and RG return logits of activity (channel 0); RG's channels 1 and 2 are logits of the position in the cell; HM
    returns the map after its last activation.

    Shape:
        input (batch, arrays, 2 · mics, 9, 256), output (batch, 1 or 3, cells, cells).
    """

    def __init__(self, config: LocalizerConfig, arrays: int, mics: int) -> None:
        super().__init__()
        network = config.network
        self.together = config.encoder == "single"
        self.merge = network.merge
        pairs = PairExtractor(mics, network.leak) if config.encoder == "combined" else None
        channels = pairs.pair_channels if pairs is not None else 2 * mics * (arrays if self.together else 1)
        self.pairs = pairs if pairs is not None else nn.Identity()
        self.encoder = ArrayEncoder(channels, network)
        code = _CODE * (arrays if not self.together and network.merge == "concat" else 1)
        self.decoder = GridDecoder(
            code, config.grid.cells, 3 if config.representation == "rg" else 1, network.decoder_width
        )
        activations = {"relu": nn.ReLU(), "linear": nn.Identity(), "sigmoid": nn.Sigmoid()}
        self.last = activations[network.heatmap_activation] if config.representation == "hm" else nn.Identity()

    def forward(self, spectra: Float[Tensor, "batch arrays channels 9 256"]) -> Float[Tensor, "batch out cells cells"]:
        """Encode each array with the same weights, merge, decode."""
        batch, arrays = spectra.shape[:2]
        if self.together:
            code = self.encoder(self.pairs(spectra.flatten(1, 2)))
        else:
            codes = self.encoder(self.pairs(spectra.flatten(0, 1))).unflatten(0, (batch, arrays))
            code = codes.flatten(1) if self.merge == "concat" else codes.sum(1)
        result: Tensor = self.last(self.decoder(code))
        return result
