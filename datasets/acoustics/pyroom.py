"""Simulations by pyroomacoustics: impulse responses, image sources, and mixtures one by one.

Impulse responses and image sources enter the data. The mixtures are the reference against which the batched renderer of
`datasets.acoustics.propagation` is tested and timed. pyroomacoustics is imported where it is called: anechoic data needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics.arrays import MIXTURE_SAMPLES, SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S
from datasets.acoustics.materials import OCTAVES_HZ
from datasets.acoustics.shoebox import SURFACES, ShoeboxRoom


def simulate_free_field(
    sources: NDArray[np.float32], positions_m: NDArray[np.float64], microphones_m: NDArray[np.float64], lead: int
) -> NDArray[np.float64]:
    """Simulate one mixture in an anechoic room (section III-A).

    Args:
        sources: Source signals, shape (sources, length).
        positions_m: Source positions, shape (sources, 2).
        microphones_m: Microphone positions, shape (arrays, microphones, 2), or 3 with heights above the sources.
        lead: Index of the first returned sample, not counting the constant delay of the simulator.

    Returns:
        Microphone signals, shape (arrays, microphones, 2560).
    """
    import pyroomacoustics

    pyroomacoustics.constants.set("c", SPEED_OF_SOUND_M_S)
    # The 10 Hz high-pass of the simulator is truncated by impulse responses of about 20 ms, which causes artefacts.
    pyroomacoustics.constants.set("rir_hpf_enable", False)
    axes = microphones_m.shape[-1]
    room = pyroomacoustics.AnechoicRoom(dim=axes, fs=SAMPLE_RATE_HZ)
    for wave, position in zip(sources, positions_m, strict=True):
        room.add_source([*position, 0.0][:axes], signal=wave)
    room.add_microphone_array(microphones_m.reshape(-1, axes).T)
    room.simulate()
    start = lead + delay_samples()
    signals = room.mic_array.signals[:, start : start + MIXTURE_SAMPLES]
    return np.asarray(signals).reshape(*microphones_m.shape[:2], MIXTURE_SAMPLES)


def delay_samples() -> int:
    """Return the constant delay of impulse responses, in samples, which keeps their fractional delay filters complete."""
    import pyroomacoustics

    return int(pyroomacoustics.constants.get("frac_delay_length")) // 2


def compute_impulse_responses(
    room: ShoeboxRoom,
    positions_m: NDArray[np.float64],
    *,
    decay_db: float = 70.0,
    directivities: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Compute impulse responses of a shoebox room by the image source method, truncated after the energy has decayed.

    The responses include the constant delay of the simulator, 40 samples, so that the first arrival is complete, and its
    10 Hz high-pass, without which the sum of many positive reflections drifts.

    Args:
        room: Shoebox room.
        positions_m: Source positions in room coordinates, shape (positions, 3).
        decay_db: Minimum level difference between the energy of a response and that of its truncated tail, in dB.
        directivities: Azimuth in degrees that each source faces, and its pattern p + (1 - p) cos; shape (positions, 2).

    Returns:
        Impulse responses, shape (positions, arrays, microphones, taps).
    """
    # By reciprocity, sources and microphones are interchanged: the few microphones have fewer images than the positions.
    simulated = _build_shoebox(
        room, sources=room.microphones_m.reshape(-1, 3), microphones=positions_m, directivities=directivities
    )
    simulated.compute_rir()
    stacked = stack_responses(simulated.rir, decay_db)
    return stacked.reshape(len(positions_m), *room.microphones_m.shape[:2], -1)


def stack_responses(rows: Sequence[Sequence[NDArray[Any]]], decay_db: float) -> NDArray[np.float32]:
    """Pad impulse responses to one length, truncated after the energy of each has decayed.

    Args:
        rows: Responses of different lengths by position and microphone.
        decay_db: Minimum level difference between the energy of a response and that of its truncated tail, in dB.

    Returns:
        Shape (positions, microphones, taps).
    """
    taps = max(len(response) for row in rows for response in row)
    full = np.zeros((len(rows), len(rows[0]), taps), np.float32)
    for position, row in enumerate(rows):
        for microphone, response in enumerate(row):
            full[position, microphone, : len(response)] = response
    remaining = np.cumsum(np.square(full[..., ::-1], dtype=np.float64), axis=-1)[..., ::-1]
    return full[..., : int((remaining > 10 ** (-decay_db / 10) * remaining[..., :1]).sum(-1).max())]


def simulate_shoebox(
    room: ShoeboxRoom, sources: NDArray[np.float32], positions_m: NDArray[np.float64], lead: int
) -> NDArray[np.float64]:
    """Simulate one mixture in a shoebox room with the standard interface of pyroomacoustics.

    Args:
        room: Shoebox room.
        sources: Source signals, shape (sources, length).
        positions_m: Source positions in room coordinates, shape (sources, 3).
        lead: Index of the first returned sample.

    Returns:
        Microphone signals, shape (arrays, microphones, 2560).
    """
    simulated = _build_shoebox(
        room, sources=positions_m, microphones=room.microphones_m.reshape(-1, 3), signals=sources
    )
    simulated.simulate()
    signals = simulated.mic_array.signals[:, lead : lead + MIXTURE_SAMPLES]
    return np.asarray(signals).reshape(*room.microphones_m.shape[:2], MIXTURE_SAMPLES)


def _build_shoebox(
    room: ShoeboxRoom,
    *,
    sources: NDArray[np.float64],
    microphones: NDArray[np.float64],
    signals: NDArray[np.float32] | None = None,
    directivities: NDArray[np.float64] | None = None,
) -> Any:
    import pyroomacoustics
    from pyroomacoustics.directivities import CardioidFamily, DirectionVector

    pyroomacoustics.constants.set("c", SPEED_OF_SOUND_M_S)
    pyroomacoustics.constants.set("rir_hpf_enable", True)
    pyroomacoustics.constants.set("num_threads", 1)  # one core per worker, and a fixed order of summation
    simulated = pyroomacoustics.ShoeBox(
        room.size_m,
        fs=SAMPLE_RATE_HZ,
        materials=_build_materials(room.absorption),
        max_order=room.max_order,
        air_absorption=np.ndim(room.absorption) > 0,
    )
    for number, position in enumerate(sources):
        simulated.add_source(position, signal=None if signals is None else signals[number])
    patterns = None
    if directivities is not None:  # of the sources, which are the microphones here
        patterns = [
            CardioidFamily(DirectionVector(azimuth=azimuth, colatitude=90.0, degrees=True), p=pattern)
            for azimuth, pattern in directivities.tolist()
        ]
    simulated.add_microphone_array(microphones.T, directivity=patterns)
    return simulated


def air_absorption() -> NDArray[np.float64]:
    """Return the energy that air absorbs per metre in the octaves of `materials.OCTAVES_HZ`."""
    from pyroomacoustics.parameters import Physics

    return np.array(Physics.from_speed(SPEED_OF_SOUND_M_S).get_air_absorption()["coeffs"], np.float64)


def _build_materials(absorption: float | NDArray[np.float64]) -> Any:
    import pyroomacoustics

    if isinstance(absorption, float | int):
        return pyroomacoustics.Material(float(absorption))
    return {
        name: pyroomacoustics.Material({"coeffs": coefficients.tolist(), "center_freqs": list(OCTAVES_HZ)})
        for name, coefficients in zip(SURFACES, absorption, strict=True)
    }


@dataclass(frozen=True, eq=False)
class ImageSources:
    """Image sources of a room relative to a microphone array.

    Attributes:
        offsets_m: Vectors from the array to the images, shape (sources, images, 3).
        damping: Amplitudes after the reflections, shape (sources, images).
        delays_s: Propagation delays, shape (sources, images).
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
    """Compute the image sources of a shoebox room (Allen and Berkley, 1979).

    Args:
        size_m: Size of the room: x, y and height.
        array_m: Position of the array, shape (3,).
        sources_m: Source positions, shape (sources, 3).
        absorption: Energy absorption coefficient of all walls; 1 removes all reflections.
        max_order: Maximum reflection order; 0 yields the direct sound only.
    """
    import pyroomacoustics

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
