"""Input features of the network: spectra of the microphone signals (section III-C), or phase differences between them."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.localizer.config import LocalizerConfig

WINDOW: Final = 512
"""Length of the windows, in samples."""
HOP: Final = 256
"""Distance of the windows, in samples."""
FRAMES: Final = 9
BINS: Final = 256
_LEAST_POWER: Final = 1e-4
"""Added to the power before its logarithm; the power of a sample with an RMS of 1 is about 200."""
_LEAST_PRODUCT: Final = 1e-8
_LOG_SCALE: Final = 0.25
"""Scale of the logarithm of the power, whose range then resembles that of the phase features."""


def compute_features(
    waves: Float[Tensor, "batch arrays mics 2560"], config: LocalizerConfig, window: Float[Tensor, "512"] | None = None
) -> Float[Tensor, "batch inputs channels 9 256"]:
    """Return the features of each array, or of all microphones as one array for phase differences at the single encoder.

    Args:
        waves: Microphone signals.
        config: Hyperparameters.
        window: The Hamming window, for exported files; None computes it.
    """
    if config.features.gain == "rms":
        waves = normalise_gain(waves)
    if config.features.kind == "spectra":
        return stft_features(waves, window)
    if config.encoder == "single":
        waves = waves.flatten(1, 2).unsqueeze(1)
    return phase_features(stft_features(waves, window))


def count_channels(config: LocalizerConfig, arrays: int, mics: int) -> int:
    """Return the number of channels that reach the encoder, or the pair extractor, at once.

    Args:
        config: Hyperparameters.
        arrays: Number of arrays.
        mics: Number of microphones of each array.
    """
    joined = mics * (arrays if config.encoder == "single" else 1)
    return 2 * joined if config.features.kind == "spectra" else 2 * (joined - 1) + 1


def stft_features(
    waves: Float[Tensor, "batch arrays mics 2560"], window: Float[Tensor, "512"] | None = None
) -> Float[Tensor, "batch arrays channels 9 256"]:
    """Return real and imaginary parts of the STFT: 32 ms Hamming windows, half overlapping, no centring, no DC bin.

    Args:
        waves: Microphone signals.
        window: The Hamming window, for exported files; None computes it.

    Returns:
        Spectra with channels [R1 … R4, I1 … I4], twice as many as microphones.
    """
    batch, arrays, mics, samples = waves.shape
    if window is None:
        window = torch.hamming_window(WINDOW, device=waves.device)
    spectra = torch.stft(waves.reshape(-1, samples), WINDOW, HOP, window=window, center=False, return_complex=True)
    spectra = spectra[:, 1:].transpose(1, 2).reshape(batch, arrays, mics, FRAMES, BINS)
    return torch.cat([spectra.real, spectra.imag], dim=2)


def phase_features(
    spectra: Float[Tensor, "batch inputs channels 9 256"],
) -> Float[Tensor, "batch inputs features 9 256"]:
    """Return the phase differences of the microphones to the first one, and the power of all of them.

    The differences are cosine and sine of the phase of the cross-spectrum, i.e. the cross-spectrum with the phase transform
    (Knapp and Carter, "The generalized correlation method for estimation of time delay", IEEE TASSP 24(4), 1976), and 0 where
    there is no sound. Unlike in the spectra, the direction of a source is in them without products of channels.

    Args:
        spectra: Spectra of `stft_features`.

    Returns:
        Features with channels [cos 2 … cos M, sin 2 … sin M, log power], one less than there are channels of the spectra.
    """
    real, imag = spectra.chunk(2, dim=2)
    power = (real.square() + imag.square()).mean(dim=2, keepdim=True)
    product_real = real[:, :, 1:] * real[:, :, :1] + imag[:, :, 1:] * imag[:, :, :1]
    product_imag = imag[:, :, 1:] * real[:, :, :1] - real[:, :, 1:] * imag[:, :, :1]
    size = (product_real.square() + product_imag.square()).sqrt().clamp(min=_LEAST_PRODUCT)
    return torch.cat([product_real / size, product_imag / size, (power + _LEAST_POWER).log() * _LOG_SCALE], dim=2)


def normalise_gain(waves: Float[Tensor, "batch arrays mics samples"]) -> Float[Tensor, "batch arrays mics samples"]:
    """Divide each sample by the RMS over all its microphones, which preserves level differences between microphones."""
    rms = waves.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return waves / rms.clamp(min=1e-8)


def vary_levels(
    waves: Float[Tensor, "batch arrays mics samples"],
    generator: torch.Generator,
    *,
    level_db: float,
    channel_gain_db: float,
) -> Float[Tensor, "batch arrays mics samples"]:
    """Change the level of each sample, and of each of its microphones, by a uniformly distributed number of decibels.

    Args:
        waves: Microphone signals.
        generator: Generator of the random levels.
        level_db: Largest change of a sample's level, in dB, up or down.
        channel_gain_db: Largest additional change of a microphone's level, in dB, up or down.
    """
    batch, arrays, mics, _ = waves.shape
    level = (torch.rand(batch, 1, 1, 1, generator=generator) * 2 - 1) * level_db
    channel = (torch.rand(batch, arrays, mics, 1, generator=generator) * 2 - 1) * channel_gain_db
    return waves * (10 ** ((level + channel) / 20)).to(waves.device)
