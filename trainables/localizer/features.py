"""Spectra of the microphone signals (section III-C), and augmentation of the signals."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

WINDOW: Final = 512
"""Length of the windows, in samples."""
HOP: Final = 256
"""Distance of the windows, in samples."""
FRAMES: Final = 9
BINS: Final = 256


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
