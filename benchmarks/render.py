"""`python -m benchmarks.render`: samples a second, batched renderer against pyroomacoustics, on the same scenes and cores.

pyroomacoustics makes one room object a sample, in one process a core; the renderer uses all cores as `datasets.build` does.
"""

from __future__ import annotations

import multiprocessing
import time

import numpy as np
import torch

from benchmarks.measure import paired, write
from datasets import geometry, machine, reference, render
from datasets.spec import RoomSpec

_SCENES = 3200
_SCENES_OF_REFERENCE = 160
_CHUNK = 32
_SPEC = RoomSpec()


def scenes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sources of noise at random places: waves (count, 2, length), positions (count, 2, 2)."""
    generator = np.random.default_rng(0)
    microphones = _SPEC.microphones_m()
    positions = geometry.draw_positions(
        generator,
        count,
        2,
        size_m=_SPEC.size_m,
        raster_m=_SPEC.raster_m,
        min_distance_m=_SPEC.min_distance_m,
        microphones_m=microphones.reshape(-1, 2),
        clearance_m=_SPEC.clearance_m,
    )
    length = render.window(_SPEC.size_m, microphones).length
    return generator.standard_normal((count, 2, length)).astype(np.float32), positions


def render_with_reference(scene: tuple[np.ndarray, np.ndarray]) -> int:
    """One sample the slow way."""
    microphones = _SPEC.microphones_m()
    reference.free_field(*scene, microphones, render.window(_SPEC.size_m, microphones).lead)
    return 1


def one_thread() -> None:
    """Keep the processes of the pool from sharing cores."""
    torch.set_num_threads(1)


def main() -> None:
    """Measure, print, store."""
    waves, positions = scenes(_SCENES)
    microphones = torch.from_numpy(_SPEC.microphones_m())
    lead = render.window(_SPEC.size_m, _SPEC.microphones_m()).lead
    few = list(zip(waves[:_SCENES_OF_REFERENCE], positions[:_SCENES_OF_REFERENCE], strict=True))

    def ours() -> float:
        started = time.perf_counter()
        for first in range(0, _SCENES, _CHUNK):
            rows = slice(first, first + _CHUNK)
            render.free_field(torch.from_numpy(waves[rows]), torch.from_numpy(positions[rows]), microphones, lead)
        return _SCENES / (time.perf_counter() - started)

    with multiprocessing.get_context("spawn").Pool(machine.cores(), one_thread) as pool:

        def theirs() -> float:
            started = time.perf_counter()
            pool.map(render_with_reference, few, chunksize=10)
            return _SCENES_OF_REFERENCE / (time.perf_counter() - started)

        result = paired(ours, theirs, rounds=7)
    for name, key in (("batched renderer", "ours"), ("pyroomacoustics", "theirs"), ("ratio", "ratio")):
        print(f"{name:<18}{result[key]}")
    print(write("render", {"samples_per_second": result}))


if __name__ == "__main__":
    main()
