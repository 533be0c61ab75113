"""Encoder-decoder network of Table II, for any number of arrays and any grid."""

from __future__ import annotations

import itertools
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainables.localizer.config import LocalizerConfig, NetworkConfig
from trainables.localizer.features import FRAMES, compute_features, count_channels

_CODE: Final = 512
"""Values per encoded array."""
_PAIR_FILTERS: Final = 8
"""Filters of the pair-wise feature extractor."""

_STRIDES: Final = {"late": ((1, 1, 1, 1, 1), (2, 2), 2), "early": ((2, 2, 1, 1, 1), (1, 1), 2)}
"""Frequency strides of the 1×5 layers, of the two 1×3 layers, and of the 9×4 layer. Their product is 8."""


class PairExtractor(nn.Module):
    """Pair-wise features: a 2×7 convolution with stride 2 over the stacked channels of all pairs (section II-A, Table II).

    The convolution is linear in each channel, so the stacked channels are not materialised: its kernel is scattered to the
    channels of the array, two per pair, and one dense convolution gives the same numbers without the copies.

    Shape:
        input (batch, 2 · mics, 9, 256), output (batch, 8 · rows, 9, 256) with rows = 2 · pairs; channel = filter · rows + row.
    """

    member: Tensor

    def __init__(self, mics: int, leak: float) -> None:
        super().__init__()
        self.kernel = nn.Conv2d(1, _PAIR_FILTERS, (2, 7))  # holds the parameters of Table II; `forward` scatters them
        self.norm = nn.BatchNorm2d(_PAIR_FILTERS)
        self.activation = nn.LeakyReLU(leak)
        pairs = [
            (half * mics + i, half * mics + j) for half in range(2) for i, j in itertools.combinations(range(mics), 2)
        ]
        self.rows = len(pairs)
        # member[end, row, channel] is 1 where the channel is that end of the row's pair.
        member = functional.one_hot(torch.tensor(pairs).T, 2 * mics).float()
        self.register_buffer("member", member, persistent=False)

    @property
    def pair_channels(self) -> int:
        """Number of channels of the output."""
        return _PAIR_FILTERS * self.rows

    def forward(self, spectra: Float[Tensor, "batch channels 9 256"]) -> Float[Tensor, "batch out 9 256"]:
        """Convolve, normalise each filter over all its rows, and apply the activation."""
        weight = torch.einsum("fhk,hrc->frck", self.kernel.weight[:, 0], self.member).flatten(0, 1)[:, :, None]
        bias = None if self.kernel.bias is None else self.kernel.bias.repeat_interleave(self.rows)
        responses = functional.conv2d(spectra, weight, bias, padding=(0, 3))
        by_filter = responses.unflatten(1, (_PAIR_FILTERS, self.rows)).flatten(2, 3)
        normed: Tensor = self.activation(self.norm(by_filter))
        rows: Tensor = normed.unflatten(2, (self.rows, FRAMES))
        return rows.flatten(1, 2)


class ArrayEncoder(nn.Sequential):
    """Encoder of spectra to a code of 512 values; frequency shrinks from 256 to 32, time from 9 to 1 (Table II).

    Shape:
        input (batch, channels, 9, 256), output (batch, 512).
    """

    def __init__(self, channels: int, network: NetworkConfig) -> None:
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
    # Half padding in frequency; the even-sized 9×4 kernel pads by one, which alone gives the paper's 32 bins from 64.
    padding = (0, (kernel[1] - 1) // 2)
    conv = nn.Conv2d(channels, filters, kernel, (1, stride), padding)
    return [conv, *([nn.BatchNorm2d(filters)] if norm else []), nn.LeakyReLU(leak)]


def decoder_sizes(cells: int) -> tuple[int, int, int, int]:
    """Return the grid sizes after the four transposed convolutions.

    They are 3, 9, 27, 81 and 3, 6, 6, 6 as in Table II, and interpolate between these for other grids.

    Args:
        cells: Number of cells of the output along each axis.
    """
    if cells <= 9:
        return (3, cells, cells, cells)
    if cells <= 27:
        return (3, round(cells / 3), cells, cells)
    return (3, 9, round(cells / 3), cells)


class GridDecoder(nn.Sequential):
    """Decoder of a code to a square grid of 1 or 3 channels (Table II).

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
    """Return a transposed convolution from `size` to exactly `target` cells, with the paper's kernels for its sizes."""
    if size == target:
        return nn.ConvTranspose2d(channels, filters, 3, padding=1)
    stride = target // size
    return nn.ConvTranspose2d(channels, filters, target - (size - 1) * stride, stride)


class LocalizerNetwork(nn.Module):
    """Network from the features of all arrays to the raw output of the representation.

    TG and RG return logits of activity (channel 0); channels 1 and 2 of RG are logits of the position within the cell; HM
    returns the map after its last activation.

    Shape:
        input (batch, arrays, channels, 9, 256) of `features.compute_features`, output (batch, 1 or 3, cells, cells).
    """

    def __init__(self, config: LocalizerConfig, arrays: int, mics: int) -> None:
        super().__init__()
        network = config.network
        self.joint = config.encoder == "single"
        self.merge = network.merge
        pairs = PairExtractor(mics, network.leak) if config.encoder == "combined" else None
        channels = pairs.pair_channels if pairs is not None else count_channels(config, arrays, mics)
        self.pairs = pairs if pairs is not None else nn.Identity()
        self.encoder = ArrayEncoder(channels, network)
        code = _CODE * (arrays if not self.joint and network.merge == "concat" else 1)
        self.decoder = GridDecoder(
            code, config.grid.cells, 3 if config.representation == "rg" else 1, network.decoder_width
        )
        activations = {"relu": nn.ReLU(), "linear": nn.Identity(), "sigmoid": nn.Sigmoid()}
        self.last = activations[network.heatmap_activation] if config.representation == "hm" else nn.Identity()

    def forward(self, inputs: Float[Tensor, "batch arrays channels 9 256"]) -> Float[Tensor, "batch out cells cells"]:
        """Encode each array with the same weights, merge the codes, decode."""
        batch, arrays = inputs.shape[:2]
        if self.joint:
            code = self.encoder(self.pairs(inputs.flatten(1, 2)))
        else:
            codes = self.encoder(self.pairs(inputs.flatten(0, 1))).unflatten(0, (batch, arrays))
            code = codes.flatten(1) if self.merge == "concat" else codes.sum(1)
        result: Tensor = self.last(self.decoder(code))
        return result


def run_network(
    network: nn.Module, waves: Float[Tensor, "batch arrays mics 2560"], config: LocalizerConfig, *, bf16: bool
) -> Float[Tensor, "batch out cells cells"]:
    """Compute features and the raw output in single precision.

    Args:
        network: A `LocalizerNetwork`, or a wrapper of one that averages gradients over processes.
        waves: Microphone signals on the device of the network.
        config: Hyperparameters.
        bf16: Whether the network computes in bf16.
    """
    with torch.autocast(waves.device.type, torch.bfloat16, enabled=bf16):
        output: Tensor = network(compute_features(waves, config))
    return output.float()
