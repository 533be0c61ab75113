"""What is to be built: the checked sound files, the fingerprint and the shards. Needs no torch, so mistakes show at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from datasets import geometry, library
from datasets.errors import InputError
from datasets.geometry import SAMPLES
from datasets.library import Piece
from datasets.spec import PROCEDURAL_GENRES, RoomSpec

SHARD_SAMPLES: Final = 1_000


@dataclass(frozen=True)
class Source:
    """A dataset that can be built: its spec and the sound files, already checked.

    Attributes:
        spec: What to make.
        pieces: The sound files, or None for the procedural band.
        sound_files: SHA-256 of each by relative path, or None.
        fingerprint: Identity of the result.
    """

    spec: RoomSpec
    pieces: tuple[Piece, ...] | None
    sound_files: dict[str, str] | None
    fingerprint: str


def prepare(spec: RoomSpec, place: str) -> Source:
    """Check and hash the sound files of a spec.

    Args:
        spec: What is wanted.
        place: Where the music was named, for errors.

    Raises:
        InputError: If music is missing or unreadable.
    """
    _require_room(spec)
    folder = spec.music_folder()
    if folder is None:
        return Source(spec, None, None, spec.fingerprint())
    pieces = library.scan(spec, place)
    sound_files = library.hashes(pieces, folder)
    return Source(spec, pieces, sound_files, spec.fingerprint(sound_files))


def _require_room(spec: RoomSpec) -> None:
    """Place the largest number of sources once, before anything is begun."""
    try:
        geometry.draw_positions(
            np.random.default_rng(0),
            1,
            spec.max_sources(),
            size_m=spec.size_m,
            raster_m=spec.raster_m,
            min_distance_m=spec.min_distance_m,
            microphones_m=spec.microphones_m().reshape(-1, 2),
            clearance_m=spec.clearance_m,
        )
    except ValueError as error:
        raise InputError(
            "dataset: size_m, raster_m, min_distance_m, clearance_m",
            "the room must hold its sources",
            value=str(error),
            remedy="make the room larger, or the raster or the distances smaller",
        ) from error


@dataclass(frozen=True)
class Shard:
    """One shard to be made; its content depends on the spec, the split and the number alone."""

    split: str
    number: int
    samples: int

    @property
    def name(self) -> str:
        """File name."""
        return f"{self.split}-{self.number:05d}.arrow"


def shards_of(spec: RoomSpec) -> tuple[Shard, ...]:
    """Cut every split into shards."""
    return tuple(
        Shard(name, number, min(SHARD_SAMPLES, split.samples - number * SHARD_SAMPLES))
        for name, split in spec.splits().items()
        for number in range(-(-split.samples // SHARD_SAMPLES))
    )


def bytes_of(spec: RoomSpec) -> int:
    """Size on disk, to a percent."""
    arrays, microphones, _ = spec.microphones_m().shape
    apiece = int(arrays * microphones) * SAMPLES * 2 + spec.max_sources() * 8 + 5
    return apiece * sum(split.samples for split in spec.splits().values())


def excerpts_of(source: Source) -> int:
    """How many excerpts are cut or played for a dataset."""
    spec = source.spec
    if source.pieces is None:
        return spec.excerpts * len(PROCEDURAL_GENRES)
    genres = {piece.genre for piece in source.pieces}
    held: dict[str, int] = {
        g: sum(piece.excerpts(spec.excerpt_s) for piece in source.pieces if piece.genre == g) for g in genres
    }
    return sum(min(spec.excerpts, count) for count in held.values())
