"""Random changes to training samples: what real microphones, converters and rooms add to simulated signals."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from datasets.acoustics.arrays import SAMPLE_RATE_HZ
from trainables.localizer import features
from trainables.localizer.config import AugmentConfig

_NOISE_SPAN_DB: Final = 30.0
"""Range of SNRs above the lowest one."""


def augment_waves(
    waves: Float[Tensor, "batch arrays mics samples"], generator: torch.Generator, augment: AugmentConfig
) -> Float[Tensor, "batch arrays mics samples"]:
    """Apply the changes of a Config; without any, return the signals themselves and draw nothing.

    Args:
        waves: Microphone signals.
        generator: Generator of the random changes, on the CPU.
        augment: Largest changes.
    """
    if augment.level_db or augment.channel_gain_db:
        waves = features.vary_levels(
            waves, generator, level_db=augment.level_db, channel_gain_db=augment.channel_gain_db
        )
    if augment.array_delay_us:
        waves = delay_arrays(waves, generator, augment.array_delay_us)
    if augment.snr_db is not None:
        waves = add_white_noise(waves, generator, augment.snr_db)
    return waves


def delay_arrays(
    waves: Float[Tensor, "batch arrays mics samples"], generator: torch.Generator, delay_us: float
) -> Float[Tensor, "batch arrays mics samples"]:
    """Delay all microphones of an array alike, as clocks that are not synchronised do; samples wrap around.

    Args:
        waves: Microphone signals.
        generator: Generator of the delays.
        delay_us: Largest delay of an array in microseconds, in either direction.
    """
    batch, arrays, _, samples = waves.shape
    seconds = (torch.rand(batch, arrays, 1, 1, generator=generator) * 2 - 1) * delay_us * 1e-6
    hertz = torch.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    phase = (-2 * torch.pi * hertz * seconds).to(waves.device)
    delayed: Tensor = torch.fft.irfft(torch.fft.rfft(waves) * torch.polar(torch.ones_like(phase), phase), samples)
    return delayed


def add_white_noise(
    waves: Float[Tensor, "batch arrays mics samples"], generator: torch.Generator, snr_db: float
) -> Float[Tensor, "batch arrays mics samples"]:
    """Add white noise of the same power to all microphones of a sample.

    Args:
        waves: Microphone signals.
        generator: Generator of the noise.
        snr_db: Lowest SNR in dB; that of a sample is drawn uniformly from here to 30 dB above.
    """
    levels_db = snr_db + _NOISE_SPAN_DB * torch.rand(len(waves), 1, 1, 1, generator=generator)
    power = waves.square().mean(dim=(1, 2, 3), keepdim=True)
    own = generator
    if waves.device.type != "cpu":  # noise of a batch takes longer to draw and to copy than a training step
        own = torch.Generator(waves.device).manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
    noise = torch.randn(waves.shape, generator=own, device=waves.device)
    return waves + noise * (power / 10 ** (levels_db.to(waves.device) / 10)).sqrt()
