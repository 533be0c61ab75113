"""Reverberation of simulated rooms: early reflections with their directions, followed by a diffuse tail.

The early part consists of the image sources of a box up to the arrival of about 40 of them. Later ones are too dense to be
resolved: in a room of volume V, 4 pi c^3 t^2 / V of them arrive per second, each with an energy of 1 / (c t)^2, so that the
energy per second is 4 pi c / V for every t (Kuttruff, Room Acoustics, 4.1), times the loss at the walls. The tail is
isotropic noise of this power; its level is not a parameter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from datasets.acoustics import pyroom
from datasets.acoustics.arrays import SPEED_OF_SOUND_M_S
from datasets.acoustics.directions import unit_vectors
from datasets.acoustics.shoebox import image_distance_m, order_within
from datasets.scenes import array_response, diffuse
from datasets.scenes.array_response import LEAD, TAPS
from datasets.scenes.diffuse import EIGHT
from datasets.scenes.spec import ARRAY_OFFSET, CLEARANCE_M, SceneSpec
from datasets.tau2020.layout import SAMPLE_RATE_HZ

POINT_SAMPLES: Final = 2_400
"""Distance between the impulse responses of a moving source, in samples: 100 ms, as between labels; 4° at 40° per second."""

_EARLY_IMAGES: Final = 40
_ROOMS: Final = 1
"""Part of the seeds of rooms."""


@dataclass(frozen=True)
class SceneRoom:
    """Shoebox room with an array that faces along x.

    Attributes:
        size_m: Size x, y and height, in metres.
        array_m: Position of the centre of the array, in metres.
        rt60_s: Reverberation time, in seconds; 0 for an anechoic room.
    """

    size_m: tuple[float, float, float]
    array_m: tuple[float, float, float]
    rt60_s: float

    @property
    def volume_m3(self) -> float:
        """Volume of the room."""
        return math.prod(self.size_m)

    @property
    def mean_absorption(self) -> float:
        """Share of the energy that the walls absorb at a reflection, for the reverberation time (Eyring, 1930)."""
        if self.rt60_s == 0:
            return 1.0
        x, y, z = self.size_m
        surface = 2 * (x * y + y * z + z * x)
        exponent = 24 * math.log(10) * self.volume_m3 / (SPEED_OF_SOUND_M_S * surface * self.rt60_s)
        return 1 - math.exp(-exponent)

    @property
    def early_m(self) -> float:
        """Length of the longest path that is rendered as an image source; longer ones belong to the tail."""
        return image_distance_m(self.size_m, _EARLY_IMAGES)

    def farthest_m(self, azimuth_deg: float | None, elevation_deg: float) -> float:
        """Return the maximum distance of a source from the array, with the clearance from the walls.

        Args:
            azimuth_deg: Azimuth of the source; None for the distance that is possible at every azimuth.
            elevation_deg: Elevation of the source.
        """
        if azimuth_deg is None:
            level, up = math.cos(math.radians(elevation_deg)), math.sin(math.radians(elevation_deg))
            aims = [(level, 0.0, up), (-level, 0.0, up), (0.0, level, up), (0.0, -level, up)]
        else:
            aims = [tuple(unit_vectors(np.array(azimuth_deg), np.array(elevation_deg)).tolist())]
        return min(
            (side - CLEARANCE_M - position if step > 0 else position - CLEARANCE_M) / abs(step)
            for aim in aims
            for step, position, side in zip(aim, self.array_m, self.size_m, strict=True)
            if abs(step) > 1e-9
        )


def draw_room(spec: SceneSpec, number: int) -> SceneRoom:
    """Draw a room, which depends on the seed of the description and the number of the room alone.

    Args:
        spec: Description of the scenes, with the ranges of sizes and reverberation times.
        number: Number of the room, from 1.
    """
    generator = np.random.default_rng([spec.seed, _ROOMS, number])
    x, y, z = (float(generator.uniform(*side)) for side in (spec.length_m, spec.width_m, spec.height_m))
    array = [side * (0.5 + float(generator.uniform(-ARRAY_OFFSET, ARRAY_OFFSET))) for side in (x, y, z)]
    return SceneRoom((x, y, z), (array[0], array[1], array[2]), float(generator.uniform(*spec.rt60_s)))


def early_response(room: SceneRoom, sources_m: NDArray[np.float64]) -> NDArray[np.float32]:
    """Compute the direct sound and the first reflections, each with its direction.

    Args:
        room: The room.
        sources_m: Vectors from the array to each source in metres, shape (sources, 3).

    Returns:
        Shape (sources, 8, samples). A source at 1 m has a gain of 1 in W. Paths are rounded to whole samples at the
        array's centre; delays between the channels are exact.
    """
    array = np.array(room.array_m)
    images = pyroom.compute_image_sources(
        room.size_m,
        array,
        array + sources_m,
        absorption=room.mean_absorption,
        max_order=order_within(room.size_m, room.early_m) if room.rt60_s > 0 else 0,
    )
    distance = np.linalg.norm(images.offsets_m, axis=-1)
    audible = (distance <= room.early_m) & (images.damping > 0)
    row, _ = np.nonzero(audible)
    offsets, distance = images.offsets_m[audible], distance[audible]
    gains = (images.damping[audible] / distance).astype(np.float32)
    heard = array_response.response_filters(offsets / distance[:, None]) * gains[:, None, None]
    first = np.round(images.delays_s[audible] * SAMPLE_RATE_HZ).astype(np.int64) - LEAD
    result = np.zeros((len(sources_m), EIGHT, _early_samples(room) + TAPS), np.float32)
    for index, start, response in zip(row, first, heard, strict=True):
        result[index, :, start : start + TAPS] += response
    return result


def late_response(generator: np.random.Generator, room: SceneRoom) -> NDArray[np.float32]:
    """Draw the late reverberation of a source.

    Args:
        generator: Random generator.
        room: The room.

    Returns:
        Shape (8, samples), from the direct sound's emission to 60 dB of decay; no samples in an anechoic room.
    """
    if room.rt60_s == 0:
        return np.zeros((EIGHT, 0), np.float32)
    begin, end = _early_samples(room), round(room.rt60_s * SAMPLE_RATE_HZ)
    result = np.zeros((EIGHT, max(begin, end)), np.float32)
    if end > begin:
        time_s = np.arange(begin, end) / SAMPLE_RATE_HZ
        power = 4 * np.pi * SPEED_OF_SOUND_M_S / room.volume_m3 / SAMPLE_RATE_HZ * 10 ** (-6 * time_s / room.rt60_s)
        result[:, begin:] = diffuse.white_noise(generator, end - begin) * np.sqrt(power).astype(np.float32)
    return result


def render_source(
    wave: NDArray[np.float32], responses: NDArray[np.float32], reverberation: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Render a sound in a room.

    Args:
        wave: Sound, shape (samples,).
        responses: Result of `early_response`, shape (points, 8, taps): one for a static source, otherwise one per 100 ms
            from the beginning of the sound; two of them are crossfaded at any time.
        reverberation: Result of `late_response`, shape (8, taps).

    Returns:
        Shape (8, samples), longer than the wave by the responses.
    """
    if len(responses) == 1:
        return _convolve(wave, _sum_images(responses[0], reverberation))
    moving = _crossfade(wave, responses)
    return _sum_images(moving, _convolve(wave, reverberation)) if reverberation.shape[1] else moving


def trajectory_points(samples: int) -> int:
    """Return the number of impulse responses for a moving sound of this length."""
    return -(-samples // POINT_SAMPLES) + 1


def _crossfade(wave: NDArray[np.float32], responses: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convolve overlapping triangles of 200 ms, 100 ms apart, with one response each, and sum them."""
    count, channels, taps = responses.shape
    padded = np.zeros((count + 1) * POINT_SAMPLES, np.float32)
    padded[POINT_SAMPLES : POINT_SAMPLES + len(wave)] = wave
    rise = (np.arange(POINT_SAMPLES, dtype=np.float32) + np.float32(0.5)) / POINT_SAMPLES
    triangle = np.concatenate([rise, rise[::-1]])
    result = np.zeros((channels, len(padded) + taps), np.float32)
    for point, response in enumerate(responses):
        start = point * POINT_SAMPLES
        part = _convolve(padded[start : start + len(triangle)] * triangle, response)
        result[:, start : start + part.shape[1]] += part
    return result[:, POINT_SAMPLES : POINT_SAMPLES + len(wave) + taps - 1]


def _convolve(wave: NDArray[np.float32], response: NDArray[np.float32]) -> NDArray[np.float32]:
    samples = len(wave) + response.shape[1] - 1
    length = fft.next_fast_len(samples, real=True)
    return np.asarray(fft.irfft(fft.rfft(wave, length) * fft.rfft(response, length), length)[:, :samples])


def _sum_images(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    result = np.zeros((len(first), max(first.shape[1], second.shape[1])), np.float32)
    result[:, : first.shape[1]] += first
    result[:, : second.shape[1]] += second
    return result


def _early_samples(room: SceneRoom) -> int:
    """Return the number of samples from emission to the end of the longest path that is rendered as an image source."""
    return math.ceil(room.early_m / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ)
