"""Noise of rooms and microphones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.acoustics.arrays import MIXTURE_SAMPLES, SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S

_CORNER_HZ: Final = 100.0
"""Frequency below which pink noise has a flat spectrum, as after the high-pass of a recorder."""

DrawNoise = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float32]]
"""Returns noise of power 1 for waveforms of a shape (samples, arrays, microphones, time)."""


def draw_white(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return white noise of each microphone."""
    return generator.standard_normal(shape, dtype=np.float32)


def add_noise(
    waves: Tensor,
    generator: np.random.Generator,
    snr_db: tuple[float, float],
    draw: DrawNoise = draw_white,
) -> None:
    """Add noise to waveforms, in place.

    Args:
        waves: Waveforms, shape (samples, arrays, microphones, time).
        generator: Random generator.
        snr_db: Range of the SNR, drawn uniformly per sample: ratio of the mean power over all microphones to that of the
            noise.
        draw: Returns the noise.
    """
    power = waves.square().mean(dim=(1, 2, 3), keepdim=True)
    ratio = torch.from_numpy(10 ** (generator.uniform(*snr_db, len(waves)) / 10)).float()[:, None, None, None]
    noise = torch.from_numpy(draw(generator, tuple(waves.shape)))
    waves.addcmul_(noise, (power / ratio).sqrt())


def noise_source(kind: str, microphones_m: NDArray[np.float64]) -> DrawNoise:
    """Return the source of a kind of noise for samples of 160 ms.

    Args:
        kind: `white` or `pink`, with independent noise of each microphone; `diffuse`: pink noise from all directions at once,
            whose coherence between two microphones at a distance d is sin(2πfd/c) / (2πfd/c) (Cook et al. 1955).
        microphones_m: Positions of the microphones, shape (arrays, microphones, 2 or 3).

    Raises:
        ValueError: If there is no such kind.
    """
    if kind == "white":
        return draw_white
    if kind == "pink":
        return functools.partial(_draw_pink, mixing=None)
    if kind == "diffuse":
        return functools.partial(_draw_pink, mixing=_mix_isotropic(microphones_m.reshape(-1, microphones_m.shape[-1])))
    raise ValueError(f"there is no {kind} noise")


def _draw_pink(
    generator: np.random.Generator, shape: tuple[int, ...], mixing: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Draw pink noise that is periodic in the length of a sample.

    Args:
        generator: Random generator.
        shape: Shape of the noise (samples, arrays, microphones, time).
        mixing: Matrices between independent noises and microphones, shape (bins, microphones, microphones); None for none.
    """
    samples, arrays, mics, time = shape
    amplitude = _pink_amplitude(time)
    parts = generator.standard_normal((len(amplitude), arrays * mics, samples, 2), dtype=np.float32)
    spectra = parts.view(np.complex64)[..., 0] * amplitude[:, None, None]
    if mixing is not None:
        spectra = mixing @ spectra
    waves = np.fft.irfft(spectra.transpose(2, 1, 0), time)
    return waves.reshape(shape).astype(np.float32)


@functools.lru_cache(maxsize=4)
def _pink_amplitude(time: int) -> NDArray[np.float32]:
    """Return the amplitude of each bin with which noise of a length has power 1, without those of the two real bins."""
    frequency_hz = np.fft.rfftfreq(time, 1 / SAMPLE_RATE_HZ)
    amplitude = 1 / np.sqrt(np.maximum(frequency_hz, _CORNER_HZ))
    amplitude[[0, -1]] = 0
    # Each bin stands for two of the full transform, and has a real and an imaginary part of power 1.
    return np.asarray(amplitude * time / np.sqrt(4 * np.square(amplitude).sum()), dtype=np.float32)


def _mix_isotropic(microphones_m: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the square roots of the coherence of microphones in an isotropic field, shape (bins, microphones, microphones)."""
    distances_m = np.linalg.norm(microphones_m[:, None] - microphones_m, axis=-1)
    frequency_hz = np.fft.rfftfreq(MIXTURE_SAMPLES, 1 / SAMPLE_RATE_HZ)
    coherence = np.sinc(2 * frequency_hz[:, None, None] * distances_m / SPEED_OF_SOUND_M_S)
    power, vectors = np.linalg.eigh(coherence)  # not positive definite at low frequencies, to rounding
    return np.asarray(vectors * np.sqrt(np.maximum(power, 0))[:, None, :], dtype=np.float32)
