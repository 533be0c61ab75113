"""What is to be built: the checked sound files, and the parts with their shards. Needs no torch, so mistakes show at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics import shoebox
from datasets.acoustics.arrays import SAMPLE_RATE_HZ, SAMPLES
from datasets.audio import corpus
from datasets.audio.corpus import MusicFile
from datasets.recordings import clip_list as recordings
from datasets.recordings.clips import Clip
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms.spec import Acoustics, LocalizerSpec, MeasuredSpec, MusicSpec, RoomSpec, source_range
from runtime import hashing
from runtime.errors import InputError

SIMULATOR_VERSION: Final = 3
"""Raised whenever the same spec would render to other samples; part of every fingerprint."""

SHARD_SAMPLES: Final = 1_000
EXCERPTS: Final = 25
"""Excerpts of music in a shard."""

Kind = Literal["music", "responses", "split"]


@dataclass(frozen=True)
class Shard:
    """One shard to be made; its content depends on the part and the number alone."""

    part: str
    number: int
    samples: int

    @property
    def name(self) -> str:
        """File name, relative to the store."""
        return f"{self.part}/{self.number:05d}.arrow"


@dataclass(frozen=True)
class DatasetPart:
    """A folder of shards, named after its content.

    Attributes:
        kind: Excerpts of music, impulse responses of rooms that echo, or samples of a split, made from these.
        folder: Name of the part and its fingerprint, e.g. `train-0123456789abcdef`.
        identity: All that its content depends on, sound files apart.
        samples: How many rows: excerpts, places or samples.
        split: The split it is, if it is one.
        acoustics: Rooms of the split or of the responses, if they echo.
        responses: Folder of the part with the split's impulse responses, if it needs any.
    """

    kind: Kind
    folder: str
    identity: dict[str, Any]
    samples: int
    split: str | None = None
    acoustics: Acoustics | None = None
    responses: str | None = None

    def list_shards(self) -> tuple[Shard, ...]:
        """All its shards: stretches of samples, or blocks of places that do not cross rooms."""
        if self.kind == "responses" and self.acoustics is not None:
            sizes = _shard_sizes(self.acoustics.positions, shoebox.BLOCK) * self.acoustics.rooms
        else:
            sizes = _shard_sizes(self.samples, EXCERPTS if self.kind == "music" else SHARD_SAMPLES)
        return tuple(Shard(self.folder, number, size) for number, size in enumerate(sizes))


def _shard_sizes(whole: int, size: int) -> list[int]:
    return [min(size, whole - first) for first in range(0, whole, size)]


@dataclass(frozen=True)
class DatasetPlan:
    """A dataset that can be built: its spec and the sound files, already checked.

    Attributes:
        spec: What to make.
        sound_files: SHA-256 of each by relative path, or None.
        microphones_m: Shape (arrays, microphones, 2).
        pieces: The music's files, or None for the procedural band.
        clips: What the manifest of a dataset of recordings lists.
        bank: SHA-256 of the measured impulse responses, if there are any.
    """

    spec: LocalizerSpec
    sound_files: dict[str, str] | None
    microphones_m: NDArray[np.float64] = field(compare=False)
    pieces: tuple[MusicFile, ...] | None = None
    clips: tuple[Clip, ...] = ()
    bank: str | None = None

    @property
    def fingerprint(self) -> str:
        """Identity of the whole."""
        return _fingerprint([part.folder for part in self.list_parts()])

    def with_spec(self, spec: LocalizerSpec) -> DatasetPlan:
        """The same sound files for another spec; what it says of music must be the same."""
        return replace(self, spec=spec)

    def list_parts(self) -> tuple[DatasetPart, ...]:
        """Every part: music and impulse responses first, since splits are made from them."""
        return self._all_parts

    @cached_property
    def _all_parts(self) -> tuple[DatasetPart, ...]:
        splits = [self._split_part(name) for name in self.spec.resolve_splits()]
        responses = {part.folder: part for _, part in splits if part is not None}
        return (*self._music_part(), *responses.values(), *(split for split, _ in splits))

    def dependencies(self, part: DatasetPart) -> tuple[DatasetPart, ...]:
        """What a split is made from: the music, and the responses of its rooms."""
        if part.kind != "split":
            return ()
        return tuple(p for p in self.list_parts() if p.kind == "music" or p.folder == part.responses)

    def _music_part(self) -> tuple[DatasetPart, ...]:
        if not isinstance(self.spec, MusicSpec):
            return ()
        identity = self.spec.model_dump(mode="json", include={"genres", "held_out", "excerpt_s", "excerpts", "seed"})
        folder = f"music-{_fingerprint([identity, self.sound_files])}"
        return (DatasetPart("music", folder, identity, len(corpus.list_excerpts(self.spec, self.pieces))),)

    def _split_part(self, name: str) -> tuple[DatasetPart, DatasetPart | None]:
        split = self.spec.resolve_splits()[name]
        identity = self.spec.split_identity(name)
        acoustics = split.acoustics if split.acoustics is not None and split.acoustics.is_reverberant else None
        needed = None
        if isinstance(self.spec, RoomSpec) and acoustics is not None:
            role = shoebox.rir_role(name)
            geometric = ("layout", "arrays", "size_m", "raster_m", "clearance_m", "seed")
            made_from = {key: identity[key] for key in geometric} | {"role": role, **acoustics.model_dump(mode="json")}
            folder = f"responses-{_fingerprint(made_from)}"
            needed = DatasetPart(
                "responses", folder, made_from, acoustics.rooms * acoustics.positions, acoustics=acoustics
            )
        folder = f"{name}-{_fingerprint([identity, self.sound_files, self.bank])}"
        part = DatasetPart(
            "split", folder, identity, split.samples, name, acoustics, None if needed is None else needed.folder
        )
        return part, needed


def _fingerprint(content: Any) -> str:
    return hashing.hash_values([SIMULATOR_VERSION, content])


def plan_dataset(spec: LocalizerSpec, place: str) -> DatasetPlan:
    """Check and hash the sound files of a spec.

    Args:
        spec: What is wanted.
        place: Where the music was named, for errors.

    Raises:
        InputError: If music is missing or unreadable, or a room cannot be.
    """
    require_rooms(spec)
    if isinstance(spec, RecordingsSpec):
        clips = recordings.read_clip_list(spec, place)
        return DatasetPlan(spec, recordings.hash_clips(spec, clips), spec.microphones_m(), clips=clips)
    source = DatasetPlan(spec, None, spec.microphones_m())
    if isinstance(spec, MeasuredSpec):
        source = _with_rir_bank(spec, source, place.replace("dataset.music", "dataset.bank"))
    if isinstance(spec, MusicSpec) and (folder := spec.music_folder()) is not None:
        pieces = corpus.scan_corpus(spec, place)
        source = replace(source, pieces=pieces, sound_files=corpus.hash_files(pieces, folder))
    return source


def _with_rir_bank(spec: MeasuredSpec, source: DatasetPlan, place: str) -> DatasetPlan:
    from datasets.acoustics import rirs  # SOFA takes its time to load

    bank = rirs.read_rir_bank(Path(spec.bank), place, arrays=spec.bank_arrays, size_m=spec.size_m)
    for name, split in spec.resolve_splits().items():
        places = bank.positions_m[shoebox.positions_of_split(spec, name, len(bank.positions_m))]
        many = source_range(split)[1]
        try:
            pool = shoebox.PositionPool(places, np.array([0, len(places)]))
            pool.draw_positions(np.random.default_rng(0), 1, many, spec.min_distance_m)
        except ValueError as error:
            raise InputError(
                f"{spec.bank}: split {name!r}",
                f"a split needs {many} measured places at least {spec.min_distance_m:g} m apart",
                value=f"{len(places)} places",
                remedy="measure more, lower dataset.min_distance_m, or change validate_share and test_share",
            ) from error
    return replace(source, microphones_m=bank.microphones_m, bank=hashing.hash_file(Path(spec.bank)))


def require_rooms(spec: LocalizerSpec) -> None:
    """Place the largest number of sources once, and draw every room, before anything is begun.

    Raises:
        InputError: If a simulated room cannot be.
    """
    if not isinstance(spec, RoomSpec):
        return
    try:
        spec.draw_positions(np.random.default_rng(0), 1, spec.max_sources())
    except ValueError as error:
        raise InputError(
            "dataset: size_m, raster_m, min_distance_m, clearance_m",
            "the room must hold its sources",
            value=str(error),
            remedy="make the room larger, or the raster or the distances smaller",
        ) from error
    for name, split in spec.resolve_splits().items():
        if split.acoustics is not None and split.acoustics.is_reverberant:
            for number in range(split.acoustics.rooms):
                shoebox.draw_room(spec, split.acoustics, shoebox.rir_role(name), number)
            shoebox.draw_source_positions(spec, split.acoustics, shoebox.rir_role(name), 0)


def part_bytes(source: DatasetPlan) -> dict[str, int]:
    """Size of every part on disk by folder; exact to a percent, but for impulse responses."""
    return {part.folder: part.samples * _row_bytes(source, part) for part in source.list_parts()}


def _row_bytes(source: DatasetPlan, part: DatasetPart) -> int:
    arrays, microphones, _ = source.microphones_m.shape
    channels = int(arrays * microphones)
    if part.split is not None:
        return channels * SAMPLES * 2 + source_range(source.spec.resolve_splits()[part.split])[1] * 8 + 5
    if part.kind == "music":
        return int(part.identity["excerpt_s"] * SAMPLE_RATE_HZ) * 4
    longest_s = part.acoustics.rt60_s[1] if part.acoustics is not None and part.acoustics.rt60_s is not None else 0.5
    return channels * int(1.5 * longest_s * SAMPLE_RATE_HZ + 500) * 4
