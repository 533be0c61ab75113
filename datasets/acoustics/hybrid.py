"""Impulse responses of shoebox rooms from image sources up to the mixing time, and noise thereafter.

After the mixing time, image sources are too dense to be resolved: in a room of volume V, 4 pi c^3 t^2 / V of them arrive per
second, each with an energy of 1 / (c t)^2, so that the energy per second is 4 pi c / V at any time (Kuttruff, Room Acoustics,
4.1), times the loss at the walls. Sound from the direction u meets the walls along an axis of length L_i at the rate
c |u_i| / L_i, which determines its loss (Lehmann and Johansson 2008). Flat rooms therefore decay more slowly than by Sabine's
formula, and their late sound arrives from the sides. The noise at the microphones of an array has the covariance of plane waves
with these energies. Its cost is proportional to its length, and not to the third power of the reverberation time.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics import pyroom
from datasets.acoustics.arrays import SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S
from datasets.acoustics.materials import octave_weights
from datasets.acoustics.shoebox import ShoeboxRoom, image_distance_m, order_within

DECAY_DB: Final = 70.0
"""Decay at which responses end."""
_EARLY_IMAGES: Final = 100
"""Number of image sources that have arrived at the mixing time."""
_COMPLETE_DB: Final = 200.0
"""Decay to which the early responses are kept: all of it, since only their crossfade ends them."""
_CROSSFADE_S: Final = 0.004
_FRAME: Final = 512
"""Length of a frame of noise, in samples; half of it is the step from frame to frame."""
_DIRECTIONS: Final = 500
"""Number of plane waves that the covariance is the sum of."""
_FRAMES_PER_COVARIANCE: Final = 2
"""Number of frames, 32 ms, after which the covariance of the plane waves is computed anew."""
_COMPLEX_RMS: Final = np.float32(math.sqrt(2))
_CLOSE_M: Final = 0.5
"""Distance of the centres of arrays below which they hear the same plane waves."""
_LEAST_REFLECTED: Final = 1e-12
_LEAST_ENERGY: Final = 1e-30
_POWER_STEP: Final = 64
"""Distance of the samples between which the decay is interpolated."""
_LONGEST_S: Final = 60.0
_LEAST_POWER: Final = 1e-6
"""Power of independent noise at each microphone relative to the plane waves, for covariances that are nearly singular."""


def compute_responses(
    generator: np.random.Generator,
    room: ShoeboxRoom,
    positions_m: NDArray[np.float64],
    *,
    directivities: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Compute impulse responses by the method of the room; see `compute_hybrid_responses` for the arguments."""
    if room.is_hybrid:
        return compute_hybrid_responses(generator, room, positions_m, directivities=directivities)
    return pyroom.compute_impulse_responses(room, positions_m, directivities=directivities)


def compute_hybrid_responses(
    generator: np.random.Generator,
    room: ShoeboxRoom,
    positions_m: NDArray[np.float64],
    *,
    decay_db: float = DECAY_DB,
    directivities: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Compute impulse responses with the delay, the gain and the truncation of `pyroom.compute_impulse_responses`.

    Args:
        generator: Random generator of the late reverberation.
        room: Shoebox room whose `max_order` is at least `early_order`.
        positions_m: Source positions in room coordinates, shape (positions, 3).
        decay_db: Minimum level difference between the late reverberation at the emission and at the end, in dB.
        directivities: Azimuth in degrees that each source faces, and its pattern p + (1 - p) cos; shape (positions, 2). The
            late reverberation has the mean power of the pattern.

    Returns:
        Impulse responses, shape (positions, arrays, microphones, taps).
    """
    early = pyroom.compute_impulse_responses(room, positions_m, decay_db=_COMPLETE_DB, directivities=directivities)
    late = draw_late_responses(generator, room, len(positions_m), late_samples(room, decay_db))
    if directivities is not None:
        pattern = directivities[:, 1]
        power = pattern**2 + (1 - pattern) ** 2 / 3
        late *= np.sqrt(power).astype(np.float32)[:, None, None, None]
    return join_responses(room, early, late, pyroom.delay_samples())


def mixing_time_s(room: ShoeboxRoom) -> float:
    """Return the time from the emission to the beginning of late reverberation, in seconds.

    By then, a hundred image sources have arrived, and the direct sound at any place of the room.
    """
    return image_distance_m(room.size_m, _EARLY_IMAGES) / SPEED_OF_SOUND_M_S


def early_order(room: ShoeboxRoom) -> int:
    """Return the reflection order that contains all image sources up to the end of the crossfade."""
    return order_within(room.size_m, (mixing_time_s(room) + _CROSSFADE_S) * SPEED_OF_SOUND_M_S)


def late_power(room: ShoeboxRoom, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the expected power of late reverberation per sample, for a source with a gain of 1 at 1 m.

    Args:
        room: Shoebox room.
        time_s: Times after the emission, shape (times,).
    """
    decay = np.array([_remaining_share(room, time) for time in time_s.tolist()])
    return 4 * np.pi * SPEED_OF_SOUND_M_S / math.prod(room.size_m) / SAMPLE_RATE_HZ * decay


def has_decayed(room: ShoeboxRoom, time_s: float, decay_db: float) -> bool:
    """Return whether the power of late reverberation has decayed by a number of dB at a time after the emission."""
    return _remaining_share(room, time_s) <= 10 ** (-decay_db / 10)


def late_samples(room: ShoeboxRoom, decay_db: float) -> int:
    """Return the time from the emission until the power has decayed by a number of dB, in samples; at most a minute."""
    low, high = 0.0, _LONGEST_S
    while high - low > _POWER_STEP / SAMPLE_RATE_HZ:
        middle = (low + high) / 2
        low, high = (low, middle) if has_decayed(room, middle, decay_db) else (middle, high)
    return math.ceil(high * SAMPLE_RATE_HZ)


def draw_late_responses(
    generator: np.random.Generator, room: ShoeboxRoom, positions: int, samples: int
) -> NDArray[np.float32]:
    """Draw late responses, independently for every source position, and for arrays that are not close to each other.

    Args:
        generator: Random generator.
        room: Shoebox room.
        positions: Number of source positions.
        samples: Length from the emission, in samples.

    Returns:
        Shape (positions, arrays, microphones, samples); zero up to the mixing time.
    """
    arrays, microphones = room.microphones_m.shape[:2]
    begin, step = round(mixing_time_s(room) * SAMPLE_RATE_HZ), _FRAME // 2
    frames = max(-(-(samples - begin) // step) + 1, 0)
    length = begin + (frames + 1) * step
    result = np.zeros((positions, arrays, microphones, length), np.float32)
    # The window's square adds up to 1 over the frames, the first of which begins half a frame before the mixing time.
    window = np.sin(np.pi * (np.arange(_FRAME) + 0.5) / _FRAME).astype(np.float32)
    amplitude = np.sqrt(_sample_power(room, length)).astype(np.float32)
    # Octaves that decay differently change the spectrum from frame to frame.
    repeats = 1 if np.ndim(room.absorption) else _FRAMES_PER_COVARIANCE
    for group in _group_arrays(room.microphones_m):
        steering = _steering_vectors(room.microphones_m[group].reshape(-1, 3))
        for frame in range(frames):
            first = begin + (frame - 1) * step
            if frame % repeats == 0:
                mixing = _mixing_matrices(room, steering, (first + (repeats + 1) * step / 2) / SAMPLE_RATE_HZ)
            spectra = generator.standard_normal((_FRAME // 2 + 1, len(group) * microphones, 2 * positions), np.float32)
            noise = np.fft.irfft(mixing @ spectra.view(np.complex64), _FRAME, axis=0, norm="ortho") / _COMPLEX_RMS
            skipped = max(begin - first, 0)
            shape = window[skipped:] * amplitude[first + skipped : first + _FRAME]
            late = (noise.transpose(2, 1, 0)[..., skipped:] * shape).reshape(positions, len(group), microphones, -1)
            result[:, group, :, first + skipped : first + _FRAME] += late
    return result[..., :samples]


def _group_arrays(microphones_m: NDArray[np.float64]) -> list[list[int]]:
    """Return the numbers of the arrays in groups that are close together, directly or by way of others."""
    centres = microphones_m.mean(axis=1)
    groups: list[list[int]] = []
    for number, centre in enumerate(centres):
        close = [g for g in groups if (np.linalg.norm(centres[g] - centre, axis=-1) < _CLOSE_M).any()]
        groups = [g for g in groups if g not in close] + [sorted([number, *(n for g in close for n in g)])]
    return groups


def join_responses(
    room: ShoeboxRoom, early: NDArray[np.float32], late: NDArray[np.float32], delay: int
) -> NDArray[np.float32]:
    """Join early reflections and late reverberation, whose powers add up to a constant during the crossfade.

    Args:
        room: Shoebox room.
        early: Responses by image sources, shape (…, early samples), from `delay` samples before the emission.
        late: Late responses from the emission, shape (…, samples).
        delay: Constant delay of the early responses, in samples.

    Returns:
        Shape (…, delay + samples).
    """
    begin = round(mixing_time_s(room) * SAMPLE_RATE_HZ)
    end = begin + round(_CROSSFADE_S * SAMPLE_RATE_HZ)
    rise = np.sin(np.linspace(0, np.pi / 2, end - begin)).astype(np.float32)
    result = np.zeros((*late.shape[:-1], delay + max(late.shape[-1], end)), np.float32)
    kept = min(early.shape[-1], delay + end)
    result[..., :kept] = early[..., :kept]
    result[..., delay + begin : delay + end] *= rise[::-1]
    faded = late[..., begin:].copy()
    faded[..., : end - begin] *= rise[: faded.shape[-1]]
    result[..., delay + begin : delay + begin + faded.shape[-1]] += faded
    return result


def _sample_power(room: ShoeboxRoom, samples: int) -> NDArray[np.float64]:
    """Return `late_power` at every sample, interpolated, shape (samples,)."""
    grid = np.arange(0, samples + _POWER_STEP, _POWER_STEP)
    level = np.log(late_power(room, grid / SAMPLE_RATE_HZ))
    return np.exp(np.interp(np.arange(samples), grid, level))


def _steering_vectors(placed_m: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the phases of plane waves at the microphones of an array, shape (frequencies, microphones, directions)."""
    lead_s = (placed_m - placed_m.mean(axis=0)) @ _spread_directions().T / SPEED_OF_SOUND_M_S
    frequencies = np.fft.rfftfreq(_FRAME, 1 / SAMPLE_RATE_HZ)
    return np.asarray(np.exp(2j * np.pi * frequencies[:, None, None] * lead_s))


def _mixing_matrices(room: ShoeboxRoom, steering: NDArray[np.complex128], time_s: float) -> NDArray[np.complex64]:
    """Return matrices that give independent noise the covariance of the plane waves at a time, for a power of 1.

    Args:
        room: Shoebox room.
        steering: Result of `_steering_vectors`.
        time_s: Time after the emission.

    Returns:
        Shape (frequencies, microphones, microphones).
    """
    energy = np.exp(_frequency_weights(room) @ np.log(_remaining_energy(room, time_s)))
    power = energy.mean(axis=1, keepdims=True)
    # In double precision: at low frequencies, the matrices are nearly singular.
    coherence = (steering * (energy / power / _DIRECTIONS)[:, None]) @ steering.conj().transpose(0, 2, 1)
    coherence += _LEAST_POWER * np.eye(steering.shape[1])
    return np.asarray(np.sqrt(power / power.mean())[..., None] * np.linalg.cholesky(coherence), dtype=np.complex64)


def _frequency_weights(room: ShoeboxRoom) -> NDArray[np.float64]:
    """Return the weights of octaves at each frequency, shape (257, 7); (1, 1) where all frequencies decay alike."""
    if isinstance(room.absorption, float | int):
        return np.ones((1, 1))
    return octave_weights(np.fft.rfftfreq(_FRAME, 1 / SAMPLE_RATE_HZ).astype(np.float64))


def _remaining_share(room: ShoeboxRoom, time_s: float) -> float:
    """Return the share of the power that reflections and air have left, over all directions and frequencies."""
    by_octave = _remaining_energy(room, time_s).mean(axis=1)
    return float(np.exp(_frequency_weights(room) @ np.log(by_octave)).mean())


def _remaining_energy(room: ShoeboxRoom, time_s: float) -> NDArray[np.float64]:
    """Return the share of the energy of image sources in each direction that reflections and air have left.

    An image source of order n along an axis has been reflected n times by the two walls in turn, and is between (n - 1) and
    (n + 1) lengths of the room away along it, so that the mean over sources and microphones is linear between the orders.

    Returns:
        Shape (octaves, directions), where all frequencies decay alike, (1, directions).
    """
    if isinstance(room.absorption, float | int):
        reflected, result = np.full((6, 1), 1 - room.absorption), np.ones((1, _DIRECTIONS))
    else:
        air = np.exp(-pyroom.air_absorption() * SPEED_OF_SOUND_M_S * time_s)
        reflected, result = 1 - room.absorption, np.tile(air[:, None], _DIRECTIONS)
    logarithm = np.log(np.maximum(reflected, _LEAST_REFLECTED)).reshape(3, 2, -1)
    orders = SPEED_OF_SOUND_M_S * time_s * _spread_directions() / np.asarray(room.size_m)
    for order, (lower, upper) in zip(orders.T, logarithm, strict=True):
        below = np.floor(order)
        ends = [_count_reflections(number) for number in (below, below + 1)]
        near, far = (np.exp(np.multiply.outer(lower, low) + np.multiply.outer(upper, up)) for low, up in ends)
        result *= near + (order - below) * (far - near)
    return np.maximum(result, _LEAST_ENERGY)


def _count_reflections(order: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how often image sources have been reflected by the wall at the lower and at the upper end of an axis."""
    first, second = np.ceil(np.abs(order) / 2), np.floor(np.abs(order) / 2)
    return np.where(order < 0, first, second), np.where(order < 0, second, first)


@functools.cache
def _spread_directions() -> NDArray[np.float64]:
    """Return unit vectors that are spread evenly over the sphere (Fibonacci lattice), shape (directions, 3)."""
    number = np.arange(_DIRECTIONS) + 0.5
    height = 1 - 2 * number / _DIRECTIONS
    azimuth = np.pi * (1 + np.sqrt(5)) * number
    level = np.sqrt(1 - height**2)
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), height], axis=1)
