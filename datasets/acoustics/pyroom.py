"""The reference simulator, pyroomacoustics: one room object a sample. The batched renderer is tested and timed against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyroomacoustics
from numpy.typing import NDArray

from datasets.acoustics.arrays import SAMPLE_RATE_HZ, SAMPLES, SPEED_OF_SOUND_M_S
from datasets.acoustics.shoebox import ShoeboxRoom


def simulate_free_field(
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


def compute_impulse_responses(
    room: ShoeboxRoom, places_m: NDArray[np.float64], *, decay_db: float = 70.0
) -> NDArray[np.float32]:
    """Impulse responses of a shoebox by the image source method, cut where no energy to speak of is left.

    They keep the simulator's constant delay of 40 samples, so that nothing of the first arrival is lost, and its 10 Hz
    high-pass, without which the sum of so many positive reflections drifts.

    Args:
        room: The shoebox.
        places_m: Of the sources, in room coordinates, shape (places, 3).
        decay_db: What is cut off has less than the whole response's energy, by so many dB.

    Returns:
        Shape (places, arrays, microphones, taps).
    """
    # Sound travels both ways alike; the images of the few microphones are fewer than those of the many places.
    simulated = _shoebox(room, sources=room.microphones_m.reshape(-1, 3), microphones=places_m)
    simulated.compute_rir()
    taps = max(len(response) for row in simulated.rir for response in row)
    full = np.zeros((len(places_m), room.microphones_m.size // 3, taps), np.float32)
    for place, row in enumerate(simulated.rir):
        for microphone, response in enumerate(row):
            full[place, microphone, : len(response)] = response
    left = np.cumsum(np.square(full[..., ::-1], dtype=np.float64), axis=-1)[..., ::-1]
    kept = int((left > 10 ** (-decay_db / 10) * left[..., :1]).sum(-1).max())
    return full[..., :kept].reshape(len(places_m), *room.microphones_m.shape[:2], kept)


def simulate_scene(
    room: ShoeboxRoom, sources: NDArray[np.float32], places_m: NDArray[np.float64], lead: int
) -> NDArray[np.float64]:
    """Simulate one sample in a shoebox, the way a pyroomacoustics user does.

    Args:
        room: The shoebox.
        sources: Shape (sources, length).
        places_m: In room coordinates, shape (sources, 3).
        lead: First sample of the 160 ms that are kept.

    Returns:
        Shape (arrays, microphones, 2560).
    """
    simulated = _shoebox(room, sources=places_m, microphones=room.microphones_m.reshape(-1, 3), signals=sources)
    simulated.simulate()
    heard = simulated.mic_array.signals[:, lead : lead + SAMPLES]
    return np.asarray(heard).reshape(*room.microphones_m.shape[:2], SAMPLES)


def _shoebox(
    room: ShoeboxRoom,
    *,
    sources: NDArray[np.float64],
    microphones: NDArray[np.float64],
    signals: NDArray[np.float32] | None = None,
) -> Any:
    pyroomacoustics.constants.set("c", SPEED_OF_SOUND_M_S)
    pyroomacoustics.constants.set("rir_hpf_enable", True)
    pyroomacoustics.constants.set("num_threads", 1)  # a worker has one core, and the sum's order stays the same
    simulated = pyroomacoustics.ShoeBox(
        room.size_m,
        fs=SAMPLE_RATE_HZ,
        materials=pyroomacoustics.Material(room.absorption),
        max_order=room.max_order,
    )
    for number, position in enumerate(sources):
        simulated.add_source(position, signal=None if signals is None else signals[number])
    simulated.add_microphone_array(microphones.T)
    return simulated


@dataclass(frozen=True, eq=False)
class ImageSources:
    """Image sources of a room, seen from its array.

    Attributes:
        offsets_m: From the array to each image, shape (sources, images, 3).
        damping: Amplitude that the walls left, shape (sources, images).
        delays_s: Distance over the speed of sound, shape (sources, images).
    """

    offsets_m: NDArray[np.float64]
    damping: NDArray[np.float64]
    delays_s: NDArray[np.float64]


def compute_image_sources(
    size_m: tuple[float, float, float],
    array_m: NDArray[np.float64],
    sources_m: NDArray[np.float64],
    *,
    absorption: float,
    max_order: int,
) -> ImageSources:
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
    return ImageSources(offsets, damping, np.linalg.norm(offsets, axis=-1) / SPEED_OF_SOUND_M_S)
