"""Input of the synthesis of splits: excerpts of music, and impulse responses of simulated or measured rooms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics import rirs
from datasets.acoustics.shoebox import PositionPool
from datasets.audio.corpus import MusicFile
from datasets.building.arrow import read_columns
from datasets.building.parts import DatasetPart
from datasets.building.reader import PartReader
from datasets.rooms import music, reverberation
from datasets.rooms.acoustics_spec import Acoustics
from datasets.rooms.music import MusicExcerpts
from datasets.rooms.spec import MeasuredSpec, MusicSpec
from runtime.uris import expand_home

RoomsOfShard = Callable[[int], tuple[PositionPool, NDArray[np.float32]]]
"""Returns the source positions that a shard may use, by its number, and their impulse responses, shape (positions, arrays,
microphones, taps)."""


def read_music(
    reader: PartReader, part: DatasetPart, spec: MusicSpec, pieces: tuple[MusicFile, ...] | None
) -> MusicExcerpts:
    """Read the excerpts of a finished part.

    Args:
        reader: Access to the part.
        part: Part with the excerpts.
        spec: Description of the dataset.
        pieces: Sound files of the music; None for the procedural band.
    """
    shards = [read_columns(path, ("wave", "level")) for path in reader.local_shards(part)]
    return music.assemble_excerpts(
        spec,
        music.list_excerpts(spec, pieces),
        [wave for waves, _ in shards for wave in waves],
        [float(level) for _, levels in shards for level in levels],
    )


def read_rooms(reader: PartReader, part: DatasetPart, acoustics: Acoustics, *, shards: int) -> tuple[int, RoomsOfShard]:
    """Open the simulated impulse responses of a finished part.

    Args:
        reader: Access to the part.
        part: Part with the impulse responses.
        acoustics: Description of its rooms.
        shards: Number of shards of the split that uses the rooms.

    Returns:
        The number of taps of the longest impulse response, and the rooms of each shard.
    """
    paths = reader.local_shards(part)
    blocks_per_room = len(paths) // acoustics.rooms
    taps = max(read_columns(path, ("responses",))[0].shape[-1] for path in paths)

    def rooms_of_shard(number: int) -> tuple[PositionPool, NDArray[np.float32]]:
        rooms = reverberation.rooms_of_shard(number, shards, acoustics.rooms)
        blocks = [
            read_columns(path, ("responses", "place"))
            for room in rooms
            for path in paths[room * blocks_per_room : (room + 1) * blocks_per_room]
        ]
        positions = sum(len(block) for block, _ in blocks)
        responses = np.zeros((positions, *blocks[0][0].shape[1:-1], taps), np.float32)
        first = 0
        for block, _ in blocks:
            responses[first : first + len(block), ..., : block.shape[-1]] = block
            first += len(block)
        positions_m = np.concatenate([position for _, position in blocks])[:, :2].astype(np.float64)
        return PositionPool(positions_m, np.arange(len(rooms) + 1) * acoustics.positions), responses

    return taps, rooms_of_shard


def read_measured_rooms(spec: MeasuredSpec, split: str) -> tuple[int, RoomsOfShard]:
    """Read the measured impulse responses of a split.

    Returns:
        The number of taps, and the rooms of each shard: the same for all shards.
    """
    bank = rirs.read_rir_bank(expand_home(spec.bank), "dataset.bank", arrays=spec.bank_arrays, size_m=spec.size_m)
    rows = reverberation.positions_of_split(spec, split, len(bank.positions_m))
    pool = PositionPool(bank.positions_m[rows], np.array([0, len(rows)]))
    responses = bank.responses[rows]
    return responses.shape[-1], lambda _: (pool, responses)
