"""`python -m benchmarks.render`: samples a second, batched renderer against pyroomacoustics, on the same scenes and cores.

pyroomacoustics makes one room object a sample; both run in one process a core. Rooms: without echo, with the reflections that
an RT60 of 0.4 s needs, and with 10 reflections. Impulse responses of rooms that echo are there before the clock starts, as
they are once places repeat; what they cost is measured too. What the Fourier transforms alone take bounds the first.
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
from datasets.acoustics import propagation, pyroom, shoebox
from datasets.acoustics.shoebox import ShoeboxRoom
from datasets.rooms.spec import RoomSpec
from runtime import machine

_CHUNK = 32
_SPEC = RoomSpec()
_PLACES = 25
_ECHOES = {
    "rt60 0.4 s": RoomSpec.model_validate({"acoustics": {"rt60_s": 0.4, "positions": _PLACES}}),
    "rt60 0.4 s, 10 reflections": RoomSpec.model_validate(
        {"acoustics": {"rt60_s": 0.4, "max_order": 10, "positions": _PLACES}}
    ),
}


@cache
def simulate_field() -> propagation.FreeField:
    """The room without echo."""
    return propagation.FreeField(_SPEC.size_m, _SPEC.microphones_m())


@cache
def draw_scenes(count: int) -> tuple[Any, Any]:
    """Two sources of noise at random places: waves (count, 2, length), positions (count, 2, 2)."""
    generator = np.random.default_rng(0)
    positions = _SPEC.draw_positions(generator, count, 2)
    return generator.standard_normal((count, 2, simulate_field().window.length)).astype(np.float32), positions


def prepare_inputs() -> None:
    """Set a process up as a worker of `datasets.generate` is."""
    torch.set_num_threads(1)
    machine.disable_malloc_trim()


def render_free_field(count: int) -> int:
    """Samples without echo, batched."""
    waves, positions = draw_scenes(count)
    for first in range(0, count, _CHUNK):
        rows = slice(first, first + _CHUNK)
        simulate_field().propagate(torch.from_numpy(waves[rows]), torch.from_numpy(positions[rows]))
    return count


def transform_only(count: int) -> int:
    """Only the transforms of `render_free_field`: one a source, one back a microphone."""
    waves, _ = draw_scenes(count)
    length = waves.shape[-1]
    heard = torch.zeros(_CHUNK, _SPEC.microphones_m().size // 2, length // 2 + 1, dtype=torch.complex64)
    for first in range(0, count, _CHUNK):
        torch.fft.rfft(torch.from_numpy(waves[first : first + _CHUNK]))
        torch.fft.irfft(heard, length)
    return count


def simulate_free_field(count: int) -> int:
    """Samples without echo, a room object each."""
    waves, positions = draw_scenes(count)
    for wave, places in zip(waves, positions, strict=True):
        pyroom.simulate_free_field(wave, places, _SPEC.microphones_m(), simulate_field().window.lead)
    return count


@cache
def make_room(name: str) -> tuple[ShoeboxRoom, Any, propagation.ImpulseResponses, Any]:
    """A room that echoes, its places, its responses, and noise for two sources."""
    spec = _ECHOES[name]
    if spec.acoustics is None:
        raise ValueError(name)
    drawn = shoebox.draw_room(spec, spec.acoustics, "train", 0)
    places = shoebox.draw_source_positions(spec, spec.acoustics, "train", 0) + np.array([*drawn.origin_m, 0.0])
    responses = propagation.ImpulseResponses(pyroom.compute_impulse_responses(drawn, places))
    noise = np.random.default_rng(0).standard_normal((_CHUNK, 2, responses.window.length)).astype(np.float32)
    return drawn, places, responses, noise


def convolve_scenes(name: str, count: int) -> int:
    """Samples of a room that echoes, from its responses."""
    _, places, responses, noise = make_room(name)
    generator = np.random.default_rng(1)
    for _ in range(0, count, _CHUNK):
        responses.propagate(torch.from_numpy(noise), torch.from_numpy(generator.integers(0, len(places), (_CHUNK, 2))))
    return count


def simulate_room(name: str, count: int) -> int:
    """Samples of a room that echoes, a room object each."""
    drawn, places, responses, noise = make_room(name)
    for sample in range(count):
        pyroom.simulate_scene(
            drawn, noise[sample], places[[sample % _PLACES, (sample + 7) % _PLACES]], responses.window.lead
        )
    return count


def main() -> None:
    """Measure, print, store."""
    cores = machine.count_cores()
    with multiprocessing.get_context("spawn").Pool(cores, prepare_inputs) as pool:

        def rate(work: Callable[..., int], *arguments: Any) -> Callable[[], float]:
            def once() -> float:
                started = time.perf_counter()
                return sum(pool.starmap(work, [arguments] * cores, chunksize=1)) / (time.perf_counter() - started)

            return once

        results = {
            "free field": measure_paired(rate(render_free_field, 6400), rate(simulate_free_field, 160), rounds=7),
            "transforms alone": measure_paired(rate(transform_only, 6400), rate(render_free_field, 6400), rounds=7),
        }
        for name, few in zip(_ECHOES, (2, 16), strict=True):
            results[name] = measure_paired(rate(convolve_scenes, name, 640), rate(simulate_room, name, few), rounds=5)
    for name, result in results.items():
        print(f"{name:<28}{result['ours']}  against {result['theirs']}: {result['ratio']} times")
    print(write_results("render", {"samples_per_second": results}))


if __name__ == "__main__":
    main()
