"""Responses of the array to plane waves: first-order ambisonics, and four capsules on a rigid sphere.

Both formats are eight channels of one set of filters, FOA first. The formulas are those of the data set's description
(TAU-NIGENS Spatial Sound Events 2020; Politis et al., 2020). Azimuth is counter-clockwise from the front, degrees.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from datasets.acoustics.arrays import SPEED_OF_SOUND_M_S
from datasets.acoustics.directions import unit_vectors
from datasets.tau2020.layout import CHANNELS, SAMPLE_RATE_HZ

RADIUS_M: Final = 0.042
CAPSULES_DEG: Final = ((45.0, 35.0), (-45.0, -35.0), (135.0, -35.0), (-135.0, 35.0))
"""Azimuth and elevation of the capsules M1 to M4."""
TAPS: Final = 64
LEAD: Final = 16
"""The tap at which a wave reaches the array's centre; it reaches capsules on the near side up to 4.5 samples earlier."""

_ORDER: Final = 30
_TRANSFORM: Final = 512
_TAPER: Final = 8
_GRID: Final = 181
"""Number of angles between capsule and direction of arrival for which filters are computed; linear interpolation between."""


def capsule_positions() -> NDArray[np.float64]:
    """Return the directions of the capsules from the centre of the sphere, shape (4, 3)."""
    azimuth, elevation = np.array(CAPSULES_DEG).T
    return unit_vectors(azimuth, elevation)


def foa_gains(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the gains of W, Y, Z, X (ACN order, SN3D: dipoles of unit gain).

    Args:
        directions: Unit vectors, shape (..., 3).

    Returns:
        Shape (..., 4).
    """
    x, y, z = np.moveaxis(directions, -1, 0)
    return np.stack([np.ones_like(x), y, z, x], axis=-1)


def sphere_modes(frequency_hz: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Compute the coefficients of the pressure on a rigid sphere under a plane wave, H = sum of b_n P_n(cos gamma).

    b_n = i^(n-1) (2n+1) / ((kR)^2 h_n'(kR)) with the spherical Hankel function of the second kind, so that a delay is
    exp(-i omega t), as in numpy's FFT. At 0 Hz the pressure is that of the incident wave everywhere.

    Args:
        frequency_hz: Shape (bins,), Hz.

    Returns:
        Shape (bins, 31).
    """
    order = np.arange(_ORDER + 1)
    modes = np.zeros((len(frequency_hz), len(order)), np.complex128)
    modes[:, 0] = 1
    sounding = frequency_hz > 0
    size = 2 * np.pi * frequency_hz[sounding, None] / SPEED_OF_SOUND_M_S * RADIUS_M
    slope = special.spherical_jn(order, size, derivative=True) - 1j * special.spherical_yn(order, size, derivative=True)
    modes[sounding] = 1j ** (order - 1) * (2 * order + 1) / (size**2 * slope)
    return modes


def response_filters(directions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the impulse responses of all eight channels to plane waves.

    Args:
        directions: Unit vectors towards the sources of the waves, shape (..., 3).

    Returns:
        Shape (..., 8, 64): W, Y, Z, X, M1, M2, M3, M4; the wave is at the array's centre at tap 16.
    """
    result = np.zeros((*directions.shape[:-1], 2 * CHANNELS, TAPS), np.float32)
    result[..., :CHANNELS, LEAD] = foa_gains(directions)
    # A sum of products, not a matrix product, whose last bit could depend on the number of threads.
    cosine = (directions[..., None, :] * capsule_positions()).sum(axis=-1)
    angle = np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0)))
    below = np.minimum(angle.astype(np.int64), _GRID - 2)
    part = (angle - below).astype(np.float32)[..., None]
    grid = _capsule_filters()
    result[..., CHANNELS:, :] = grid[below] * (1 - part) + grid[below + 1] * part
    return result


def make_causal(spectra: NDArray[np.complex128], taps: int, lead: int) -> NDArray[np.float64]:
    """Convert spectra to impulse responses, delayed by `lead` samples, cut to `taps` and faded at both ends.

    Args:
        spectra: Spectra from 0 Hz to half the sample rate, shape (..., bins).
        taps: Length of the impulse responses, in samples.
        lead: Number of samples before time 0.

    Returns:
        Shape (..., taps).
    """
    responses = np.roll(np.fft.irfft(spectra), lead, axis=-1)[..., :taps]
    fade = 0.5 - 0.5 * np.cos(np.pi * (np.arange(_TAPER) + 0.5) / _TAPER)
    responses[..., :_TAPER] *= fade
    responses[..., -_TAPER:] *= fade[::-1]
    return np.asarray(responses)


@lru_cache(maxsize=1)
def _capsule_filters() -> NDArray[np.float32]:
    """Return the impulse responses of a capsule per degree between it and the direction of arrival, shape (181, 64)."""
    frequency = np.arange(_TRANSFORM // 2 + 1) * SAMPLE_RATE_HZ / _TRANSFORM
    legendre = special.eval_legendre(np.arange(_ORDER + 1), np.cos(np.deg2rad(np.arange(_GRID)))[:, None])
    spectra = (legendre[:, None] * sphere_modes(frequency)).sum(axis=-1)
    return make_causal(spectra, TAPS, LEAD).astype(np.float32)
