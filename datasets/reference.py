"""The reference simulator, pyroomacoustics: one room object a sample. The batched renderer is tested and timed against it."""

from __future__ import annotations

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
