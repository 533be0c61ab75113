"""Diffuse noise, whose eight channels have the coherence of an isotropic field at the array.

Independent noises are mixed by the Cholesky factor of the field's covariance (Habets, Cohen and Gannot, "Generating
nonstationary multisensor signals under a spatial coherence constraint", JASA 2008). The covariance is known in closed
form: averaged over all directions, P_n(a d) P_m(b d) is P_n(a b) / (2n + 1) for n = m and 0 otherwise.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

from datasets.scenes import array_response
from datasets.tau2020.layout import CHANNELS, SAMPLE_RATE_HZ

EIGHT: Final = 2 * CHANNELS
_TAPS: Final = 128
_LEAD: Final = 48
_PINK_TAPS: Final = 1_024
_BLOCK: Final = 8_192
_TRANSFORM: Final = 2_048
_CORNER_HZ: Final = 100.0
"""Frequency below which the spectrum of the ambient noise is flat, as after the high-pass of a recorder."""
_LEAST_POWER: Final = 1e-9
"""Regularisation: below about 100 Hz, capsules and ambisonics channels coincide, and the covariance is almost singular."""


def diffuse_covariance(frequency_hz: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Compute the covariance of W, Y, Z, X and the four capsules in an isotropic field that has power 1 in W.

    Args:
        frequency_hz: Shape (bins,), Hz.

    Returns:
        Shape (bins, 8, 8); entry (i, j) is the mean of channel i times the conjugate of channel j.
    """
    modes, capsules = array_response.sphere_modes(frequency_hz), array_response.capsule_positions()
    order = np.arange(modes.shape[1])
    legendre = special.eval_legendre(order, np.clip((capsules[:, None] * capsules).sum(-1), -1, 1)[..., None])
    result = np.zeros((len(frequency_hz), EIGHT, EIGHT), np.complex128)
    result[:, range(CHANNELS), range(CHANNELS)] = [1, 1 / 3, 1 / 3, 1 / 3]
    result[:, CHANNELS:, CHANNELS:] = np.einsum("fn,ijn->fij", np.abs(modes) ** 2 / (2 * order + 1), legendre)
    # A dipole is the first Legendre polynomial along its axis, so only the mode of order 1 correlates with it.
    axes = array_response.foa_gains(capsules)
    result[:, CHANNELS:, 0] = modes[:, :1]
    result[:, CHANNELS:, 1:CHANNELS] = modes[:, 1, None, None] / 3 * axes[:, 1:]
    result[:, :CHANNELS, CHANNELS:] = result[:, CHANNELS:, :CHANNELS].conj().swapaxes(1, 2)
    return result


def white_noise(generator: np.random.Generator, samples: int) -> NDArray[np.float32]:
    """Draw isotropic white noise of power 1 in W.

    Returns:
        Shape (8, samples): W, Y, Z, X, M1, M2, M3, M4.
    """
    return _mix_channels(generator, _noise_kernels(), samples)


def ambient_noise(generator: np.random.Generator, samples: int) -> NDArray[np.float32]:
    """Draw isotropic noise whose power falls as 1/f above 100 Hz; the power of W is not normalised.

    Returns:
        Shape (8, samples): W, Y, Z, X, M1, M2, M3, M4.
    """
    return _mix_channels(generator, _pink_kernels(), samples)


def _mix_channels(generator: np.random.Generator, kernels: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Filter eight noises into eight channels, block by block (overlap-save)."""
    taps = kernels.shape[-1]
    length = min(_BLOCK, fft.next_fast_len(samples + taps - 1, real=True))
    hop = length - taps + 1
    blocks = -(-samples // hop)
    noise = generator.standard_normal((EIGHT, blocks * hop + taps - 1), np.float32)
    spectra = fft.rfft(kernels, length)
    result = np.empty((EIGHT, blocks * hop), np.float32)
    for start in range(0, blocks * hop, hop):
        # The first taps - 1 samples of a block wrap around; they belong to the previous block.
        played = fft.rfft(noise[:, start : start + length])
        heard = fft.irfft(np.einsum("ijk,jk->ik", spectra, played), length)
        result[:, start : start + hop] = heard[:, taps - 1 :]
    return result[:, :samples]


@lru_cache(maxsize=1)
def _noise_kernels() -> NDArray[np.float32]:
    """Return the mixing filters of white noise, shape (8, 8, 128)."""
    return array_response.make_causal(np.moveaxis(_covariance_factors(), 0, -1), _TAPS, _LEAD).astype(np.float32)


@lru_cache(maxsize=1)
def _pink_kernels() -> NDArray[np.float32]:
    """Return the mixing filters of noise with a spectrum of 1/f, shape (8, 8, 1024)."""
    frequency = fft.rfftfreq(_TRANSFORM, 1 / SAMPLE_RATE_HZ)
    shape = np.sqrt(_CORNER_HZ / np.maximum(frequency, _CORNER_HZ)) * (frequency > 0)
    return array_response.make_causal(
        np.moveaxis(_covariance_factors(), 0, -1) * shape, _PINK_TAPS, _PINK_TAPS // 2
    ).astype(np.float32)


def _covariance_factors() -> NDArray[np.complex128]:
    """Compute the lower triangles L with L L^H = covariance, shape (1025, 8, 8)."""
    frequency = fft.rfftfreq(_TRANSFORM, 1 / SAMPLE_RATE_HZ)
    return np.asarray(np.linalg.cholesky(diffuse_covariance(frequency) + _LEAST_POWER * np.eye(EIGHT)))
