"""`python -m benchmarks.sim_to_real`: a search of the simulation for a room that no training simulates.

The room stands in for a real one. pyroomacoustics traces rays in it, with the absorption of named materials in octave bands,
scattering walls, absorption of the air and loudspeakers that face anywhere; its microphones are up to a few millimetres and
2 dB off. `spaces/sim_to_real.yaml` searches for the training in shoebox rooms of uniform walls that localizes best there; its
scores, those of the baseline in free field and those of SRP-PHAT and MUSIC are written to `benchmarks/results/sim_to_real.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.measure import write_results
from datasets.acoustics import pyroom, rirs
from datasets.acoustics.arrays import SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S, draw_positions
from datasets.rooms.spec import RoomSpec

_MARGINS_M: Final = (0.7, 0.9)
"""Distance of the corner of the area from two walls; the opposite ones are at 0.5 and 1.1 m."""
_SIZE_M: Final = (7.2, 8.0, 2.8)
_HEIGHT_M: Final = 1.25
_MATERIALS: Final = {
    "east": ("plasterboard", "classroom_tables"),
    "west": ("glass_window", "rect_prism_boxes"),
    "north": ("curtains_cotton_0.5", "classroom_tables"),
    "south": ("wooden_lining", "rect_prism_boxes"),
    "floor": ("carpet_thin", "classroom_tables"),
    "ceiling": ("ceiling_fibre_absorber", "rect_prism_boxes"),
}
_RAYS: Final = 3_000
_DECAY_DB: Final = 60.0


def trace_bank(positions: int, seed: int) -> rirs.RirBank:
    """Trace the impulse responses of source positions of the room.

    Args:
        positions: Number of source positions.
        seed: Seed of the positions, of the loudspeakers and of the errors of the microphones.
    """
    import pyroomacoustics
    from pyroomacoustics.directivities import CardioidFamily, DirectionVector

    generator = np.random.default_rng(seed)
    spec = RoomSpec()
    nominal = spec.microphones_m()
    placed = draw_positions(
        generator,
        positions,
        1,
        size_m=spec.size_m,
        raster_m=0.01,
        min_distance_m=0,
        microphones_m=nominal.reshape(-1, 2),
        clearance_m=0.3,
    )[:, 0]
    heights = generator.uniform(1.0, 1.8, positions)
    actual = np.concatenate([nominal + np.array(_MARGINS_M), np.full((*nominal.shape[:2], 1), _HEIGHT_M)], axis=-1)
    actual += generator.normal(0, 0.005, actual.shape)
    gains = 10 ** (generator.uniform(-2, 2, nominal.shape[:2]) / 20)
    pyroomacoustics.constants.set("c", SPEED_OF_SOUND_M_S)
    pyroomacoustics.constants.set("num_threads", 1)
    responses = []
    for position, height in zip(placed, heights, strict=True):
        room = pyroomacoustics.ShoeBox(
            _SIZE_M,
            fs=SAMPLE_RATE_HZ,
            materials=pyroomacoustics.make_materials(**_MATERIALS),
            max_order=3,
            ray_tracing=True,
            air_absorption=True,
        )
        room.set_ray_tracing(n_rays=_RAYS, receiver_radius=0.3)
        room.add_microphone_array(actual.reshape(-1, 3).T)
        facing = DirectionVector(azimuth=float(generator.uniform(0, 360)), colatitude=90.0, degrees=True)
        room.add_source([*(position + np.array(_MARGINS_M)), height], directivity=CardioidFamily(facing, p=0.7))
        room.compute_rir()
        responses.append([row[0] for row in room.rir])
        print(f"\r{len(responses)} of {positions} source positions", end="", flush=True)
    print()
    stacked = pyroom.stack_responses(responses, _DECAY_DB)
    return rirs.RirBank(
        (stacked.reshape(positions, *nominal.shape[:2], -1) * gains[..., None]).astype(np.float32),
        placed.astype(np.float64),
        nominal,
        SAMPLE_RATE_HZ,
        "ray tracing by pyroomacoustics",
    )


def read_scores(result: Path) -> dict[str, Any]:
    """Return the hyperparameters and test scores of the winner, its runner-up and the baseline, and those of the yardsticks."""
    found = json.loads(result.read_text(encoding="utf-8"))
    kept = ("label", "role", "parameters", "epochs", "tests")
    trials = [{key: trial[key] for key in kept} for trial in found["trials"]]
    return {"winner": found["winner"], "trials": trials, "yardsticks": found["yardsticks"]}


def main() -> None:
    """Trace the room, search, and write the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sim_to_real",
        description="Search the simulation for a traced room.",
        epilog="Further options are passed on to search.launch.",
    )
    parser.add_argument("--positions", type=int, default=150, help="number of source positions (default: 150)")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/sim_to_real"), help="place of the bank and the search"
    )
    options, passed_on = parser.parse_known_args()
    bank = options.folder / f"traced-{options.positions}.npz"
    if not bank.exists():
        options.folder.mkdir(parents=True, exist_ok=True)
        rirs.write_rir_bank(bank, trace_bank(options.positions, seed=7))
    command = [sys.executable, "-m", "search.launch", "spaces/sim_to_real.yaml", "--storage", str(options.folder)]
    for split in ("validate", "tests"):
        command += ["--set", f"dataset.{split}.bank={bank}"]
    subprocess.run([*command, *passed_on], check=True)
    write_results("sim_to_real", read_scores(options.folder / "searches" / "sim_to_real" / "result.json"))


if __name__ == "__main__":
    main()
