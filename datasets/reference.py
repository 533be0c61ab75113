"""The reference simulator, pyroomacoustics: one room object a sample. The batched renderer is tested and timed against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyroomacoustics
from numpy.typing import NDArray

from datasets.geometry import SAMPLE_RATE_HZ, SAMPLES, SPEED_OF_SOUND_M_S


def free_field(
    sources: NDArray[np.float32], positions_m: NDArray[np.float64], microphones_m: NDArray[np.float64], lead: int
) -> NDArray[np.float64]:
    """Simulate one sample in an anechoic room (section III-A).

    Args:
        sources: Shape (sources, length).
        positions_m: Shape (sources, 2).
        microphones_m: Shape (arrays, microphones, 2).
        lead: First sample of the 160 ms that are kept, counted without the simulator's own constant delay.

    Returns:
        Shape (arrays, microphones, 2560).
    """
    pyroomacoustics.constants.set("c", SPEED_OF_SOUND_M_S)
    # Its 10 Hz high-pass runs over impulse responses of some 20 ms, whose ends cut it off: an artefact, not physics.
    pyroomacoustics.constants.set("rir_hpf_enable", False)
    room = pyroomacoustics.AnechoicRoom(dim=2, fs=SAMPLE_RATE_HZ)
    for wave, position in zip(sources, positions_m, strict=True):
        room.add_source(position, signal=wave)
    room.add_microphone_array(microphones_m.reshape(-1, 2).T)
    room.simulate()
    start = lead + pyroomacoustics.constants.get("frac_delay_length") // 2
    heard = room.mic_array.signals[:, start : start + SAMPLES]
    return np.asarray(heard).reshape(*microphones_m.shape[:2], SAMPLES)


@dataclass(frozen=True, eq=False)
class Images:
    """Image sources of a room, seen from its array.

    Attributes:
        offsets_m: From the array to each image, shape (sources, images, 3).
        damping: Amplitude that the walls left, shape (sources, images).
        delays_s: Distance over the speed of sound, shape (sources, images).
    """

    offsets_m: NDArray[np.float64]
    damping: NDArray[np.float64]
    delays_s: NDArray[np.float64]


def shoebox_images(
    size_m: tuple[float, float, float],
    array_m: NDArray[np.float64],
    sources_m: NDArray[np.float64],
    *,
    absorption: float,
    max_order: int,
) -> Images:
    """Mirror sources at the walls of a box (Allen and Berkley, 1979).

    Args:
        size_m: The room: x, y and height.
        array_m: Shape (3,).
        sources_m: Shape (sources, 3).
        absorption: Share of the energy that a wall takes at each reflection; 1 leaves the sources alone.
        max_order: Reflections of an image at most; 0 keeps the sources alone.
    """
    pyroomacoustics.constants.set("c", SPEED_OF_SOUND_M_S)
    room = pyroomacoustics.ShoeBox(
        size_m, fs=SAMPLE_RATE_HZ, max_order=max_order, materials=pyroomacoustics.Material(absorption)
    )
    room.add_microphone(array_m)
    for position in sources_m:
        room.add_source(position)
    room.image_source_model()
    offsets = np.stack([source.images.T for source in room.sources]).astype(np.float64) - array_m
    damping = np.stack([source.damping[0] for source in room.sources]).astype(np.float64)
    return Images(offsets, damping, np.linalg.norm(offsets, axis=-1) / SPEED_OF_SOUND_M_S)
