"""`python -m benchmarks.reverberation`: hybrid impulse responses beside those of image sources alone, in the same rooms.

For rooms of three sizes and reverberation times: responses per second of both methods in one thread, alternating, and their
T20, EDT, C50 and DRR (medians over positions and microphones), the level in octave bands after the mixing time, and the
coherence of neighbouring microphones there. A response is one source position at one microphone.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import write_results
from datasets.acoustics import hybrid, pyroom
from datasets.acoustics.arrays import KINECT_OFFSETS_M, SAMPLE_RATE_HZ, linear_array
from datasets.acoustics.measures import measure_coherence, measure_responses
from datasets.acoustics.shoebox import ShoeboxRoom, count_images, sabine_absorption

_SIZES_M: Final = ((2.4, 2.6, 2.4), (5.0, 4.5, 2.7), (9.0, 7.5, 3.0))
_RT60_S: Final = (0.2, 0.4, 0.8)
_POSITIONS: Final = 25
_IMAGES: Final = 60_000_000
"""Number of image sources per case and repetition, over positions and microphones; takes about half a minute."""
_BANDS_HZ: Final = (125, 250, 500, 1000, 2000, 4000)


def make_room(size_m: tuple[float, float, float], rt60_s: float) -> ShoeboxRoom:
    """Return a room with two arrays of four microphones each, at heights that no source has."""
    absorption, order = sabine_absorption(rt60_s, size_m)
    near = linear_array((0.5, 0.6), 0, KINECT_OFFSETS_M)
    far = linear_array((size_m[0] - 0.6, size_m[1] - 0.5), 70, KINECT_OFFSETS_M)
    heights = np.full((2, 4, 1), 1.13)
    return ShoeboxRoom(size_m, (0.0, 0.0), absorption, order, np.concatenate([np.stack([near, far]), heights], axis=-1))


def draw_positions(room: ShoeboxRoom, count: int) -> NDArray[np.float64]:
    """Draw source positions away from the walls."""
    low, high = [0.3, 0.8, 1.3], [room.size_m[0] - 0.3, room.size_m[1] - 0.8, 1.9]
    return np.random.default_rng(1).uniform(low, high, (count, 3))


def describe_responses(responses: NDArray[np.float32], room: ShoeboxRoom) -> dict[str, Any]:
    """Return the figures of responses."""
    found = measure_responses(responses)
    late = late_part(responses, room).astype(np.float64)
    spectrum = np.square(np.abs(np.fft.rfft(late * np.hanning(late.shape[-1])))).mean((0, 1, 2))
    frequencies = np.fft.rfftfreq(late.shape[-1], 1 / SAMPLE_RATE_HZ)
    levels = {
        str(band): 10
        * math.log10(spectrum[(frequencies > band / math.sqrt(2)) & (frequencies < band * math.sqrt(2))].mean())
        for band in _BANDS_HZ
    }
    return {
        "t20_s": float(np.nanmedian(found.t20_s)),
        "edt_s": float(np.nanmedian(found.edt_s)),
        "c50_db": float(np.median(found.c50_db)),
        "drr_db": float(np.median(found.drr_db)),
        "late_level_db": levels,
    }


def late_part(responses: NDArray[np.float32], room: ShoeboxRoom) -> NDArray[np.float32]:
    """Return 128 ms of responses, from 10 ms after the mixing time."""
    begin = pyroom.delay_samples() + round((hybrid.mixing_time_s(room) + 0.01) * SAMPLE_RATE_HZ)
    return responses[..., begin : begin + 2048]


def _time(action: Callable[[], NDArray[np.float32]]) -> tuple[NDArray[np.float32], float]:
    begin = time.perf_counter()
    result = action()
    return result, time.perf_counter() - begin


def compare_methods(size_m: tuple[float, float, float], rt60_s: float, repetitions: int) -> dict[str, Any]:
    """Compare both methods in a room."""
    room = make_room(size_m, rt60_s)
    short = replace(room, max_order=hybrid.early_order(room), is_hybrid=True)
    microphones = room.microphones_m.size // 3
    count = max(1, min(_POSITIONS, _IMAGES // (count_images(room.max_order) * microphones)))
    positions = draw_positions(room, _POSITIONS)
    ratios: list[float] = []
    rates: dict[str, list[float]] = {"image_sources": [], "hybrid": []}
    for number in range(repetitions):
        full, full_s = _time(partial(pyroom.compute_impulse_responses, room, positions[:count]))
        generator = np.random.default_rng(number)
        ours, ours_s = _time(partial(hybrid.compute_hybrid_responses, generator, short, positions))
        rates["image_sources"].append(count * microphones / full_s)
        rates["hybrid"].append(_POSITIONS * microphones / ours_s)
        ratios.append(rates["hybrid"][-1] / rates["image_sources"][-1])
    # Two microphones 4 cm apart, 500 to 6,000 Hz.
    expected, heard = (measure_coherence(late_part(each, room), 1, 2)[8:97] for each in (full, ours[:count]))
    return {
        "size_m": size_m,
        "volume_m3": math.prod(size_m),
        "rt60_s": rt60_s,
        "orders": [room.max_order, short.max_order],
        "positions": [count, _POSITIONS],
        "responses_per_s": {name: statistics.median(values) for name, values in rates.items()},
        "ratio": {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
        "image_sources": describe_responses(full, room),
        "hybrid": describe_responses(ours[:count], room),
        "coherence_difference": float(np.sqrt(np.square(np.abs(heard - expected)).mean())),
    }


def main() -> None:
    """Measure, print and write `benchmarks/results/reverberation.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reverberation", description="Hybrid impulse responses.")
    parser.add_argument("--repetitions", type=int, default=3, help="repetitions of each measurement (default: 3)")
    options = parser.parse_args()
    results = []
    print(
        f"{'m³':>5} {'RT60':>5} {'RIR/s':>7} {'hybrid':>7} {'ratio':>6}   T20 s         EDT s         C50 dB        DRR dB"
    )
    for size_m in _SIZES_M:
        for rt60_s in _RT60_S:
            row = compare_methods(size_m, rt60_s, options.repetitions)
            results.append(row)
            pairs = "   ".join(
                f"{row['image_sources'][key]:5.2f} {row['hybrid'][key]:5.2f}"
                for key in ("t20_s", "edt_s", "c50_db", "drr_db")
            )
            rates = row["responses_per_s"]
            print(
                f"{row['volume_m3']:5.0f} {rt60_s:5.1f} {rates['image_sources']:7.1f} {rates['hybrid']:7.0f} "
                f"{row['ratio']['median']:6.1f}   {pairs}"
            )
    write_results("reverberation", {"repetitions": options.repetitions, "rooms": results})


if __name__ == "__main__":
    main()
