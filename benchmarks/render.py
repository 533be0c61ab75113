"""`python -m benchmarks.render`: samples per second of the batched renderer and of pyroomacoustics, for the same mixtures.

Both run in one process per core; pyroomacoustics creates one room object per sample. Rooms: anechoic, with the reflections
that an RT60 of 0.4 s requires, and with reflections up to order 10. The impulse responses of reverberant rooms are computed
before the measurement, since samples share them. The time of the Fourier transforms alone bounds the anechoic case.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

from benchmarks.measure import measure_paired, write_results
from datasets.acoustics import propagation, pyroom
from datasets.acoustics.shoebox import ShoeboxRoom
from datasets.rooms import reverberation
from datasets.rooms.spec import RoomSpec
from runtime.machines import machine

_CHUNK = 32
_SPEC = RoomSpec()
_POSITIONS = 25
_REVERBERANT_SPECS = {
    "rt60 0.4 s": RoomSpec.model_validate({"acoustics": {"rt60_s": 0.4, "positions": _POSITIONS}}),
    "rt60 0.4 s, 10 reflections": RoomSpec.model_validate(
        {"acoustics": {"rt60_s": 0.4, "max_order": 10, "positions": _POSITIONS}}
    ),
}


@cache
def build_free_field() -> propagation.FreeField:
    """Return the propagation in the anechoic room."""
    return propagation.FreeField(_SPEC.size_m, _SPEC.microphones_m())


@cache
def draw_mixtures(count: int) -> tuple[Any, Any]:
    """Draw two noise sources at random positions: waves (count, 2, length), positions (count, 2, 2)."""
    generator = np.random.default_rng(0)
    positions = _SPEC.draw_positions(generator, count, 2)
    return generator.standard_normal((count, 2, build_free_field().window.length)).astype(np.float32), positions


def set_up_worker() -> None:
    """Configure a process like a worker of `datasets.generate`."""
    torch.set_num_threads(1)
    machine.disable_malloc_trim()


def render_free_field(count: int) -> int:
    """Render anechoic samples in batches."""
    waves, positions = draw_mixtures(count)
    for first in range(0, count, _CHUNK):
        rows = slice(first, first + _CHUNK)
        build_free_field().propagate(torch.from_numpy(waves[rows]), torch.from_numpy(positions[rows]))
    return count


def transform_only(count: int) -> int:
    """Compute only the transforms of `render_free_field`: one per source, and one inverse per microphone."""
    waves, _ = draw_mixtures(count)
    length = waves.shape[-1]
    spectra = torch.zeros(_CHUNK, _SPEC.microphones_m().size // 2, length // 2 + 1, dtype=torch.complex64)
    for first in range(0, count, _CHUNK):
        torch.fft.rfft(torch.from_numpy(waves[first : first + _CHUNK]))
        torch.fft.irfft(spectra, length)
    return count


def simulate_free_field(count: int) -> int:
    """Simulate anechoic samples with one room object per sample."""
    waves, positions = draw_mixtures(count)
    for wave, wave_positions in zip(waves, positions, strict=True):
        pyroom.simulate_free_field(wave, wave_positions, _SPEC.microphones_m(), build_free_field().window.lead)
    return count


@cache
def make_room(name: str) -> tuple[ShoeboxRoom, Any, propagation.ImpulseResponses, Any]:
    """Create a reverberant room, its source positions, its impulse responses, and noise for two sources."""
    spec = _REVERBERANT_SPECS[name]
    if spec.acoustics is None:
        raise ValueError(name)
    room = reverberation.draw_room(spec, spec.acoustics, "train", 0)
    positions = reverberation.draw_source_positions(spec, spec.acoustics, "train", 0) + np.array([*room.origin_m, 0.0])
    responses = propagation.ImpulseResponses(pyroom.compute_impulse_responses(room, positions))
    noise = np.random.default_rng(0).standard_normal((_CHUNK, 2, responses.window.length)).astype(np.float32)
    return room, positions, responses, noise


def convolve_mixtures(name: str, count: int) -> int:
    """Render samples of a reverberant room from its impulse responses."""
    _, positions, responses, noise = make_room(name)
    generator = np.random.default_rng(1)
    for _ in range(0, count, _CHUNK):
        responses.propagate(
            torch.from_numpy(noise), torch.from_numpy(generator.integers(0, len(positions), (_CHUNK, 2)))
        )
    return count


def simulate_shoebox(name: str, count: int) -> int:
    """Simulate samples of a reverberant room with one room object per sample."""
    room, positions, responses, noise = make_room(name)
    for sample in range(count):
        pyroom.simulate_shoebox(
            room, noise[sample], positions[[sample % _POSITIONS, (sample + 7) % _POSITIONS]], responses.window.lead
        )
    return count


def main() -> None:
    """Measure, print and store the results."""
    cores = machine.count_cores()
    with multiprocessing.get_context("spawn").Pool(cores, set_up_worker) as pool:

        def rate(work: Callable[..., int], *arguments: Any) -> Callable[[], float]:
            def once() -> float:
                started = time.perf_counter()
                return sum(pool.starmap(work, [arguments] * cores, chunksize=1)) / (time.perf_counter() - started)

            return once

        results = {
            "free field": measure_paired(rate(render_free_field, 6400), rate(simulate_free_field, 160), rounds=7),
            "transforms alone": measure_paired(rate(transform_only, 6400), rate(render_free_field, 6400), rounds=7),
        }
        for name, few in zip(_REVERBERANT_SPECS, (2, 16), strict=True):
            results[name] = measure_paired(
                rate(convolve_mixtures, name, 640), rate(simulate_shoebox, name, few), rounds=5
            )
    for name, result in results.items():
        print(f"{name:<28}{result['ours']}  compared with {result['theirs']}: ratio {result['ratio']}")
    print(write_results("render", {"samples_per_second": results}))


if __name__ == "__main__":
    main()
