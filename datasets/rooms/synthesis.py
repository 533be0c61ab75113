"""Makers of shards: each turns a shard's number into its samples, and depends on nothing but the part it belongs to."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.acoustics import arrays, propagation, pyroom, shoebox
from datasets.acoustics.noise import add_noise
from datasets.acoustics.propagation import Window
from datasets.acoustics.shoebox import Pool
from datasets.audio import corpus
from datasets.audio.corpus import Music, Piece
from datasets.building.arrow import Batch, columns_of
from datasets.building.parts import EXCERPTS, Part, Shard
from datasets.rooms import mixtures
from datasets.rooms.mixtures import Placer, Scenes
from datasets.rooms.spec import Acoustics, LocalizerSpec, MusicSpec, RoomSpec, sources_of
from runtime.errors import InputError

_CHUNK: Final = 32
"""Samples rendered at once; small enough for the spectra to stay in a core's cache."""

Hear = Callable[[Tensor, Scenes, slice], Tensor]
"""Waves at the arrays from the sources' waves and a stretch of scenes."""

Enter = Callable[[int], tuple[Placer, Hear]]
Rooms = Callable[[int], tuple[Pool, NDArray[np.float32]]]
"""The places that a shard's number may use, and their impulse responses, shape (places, arrays, microphones, taps)."""


class MusicMaker:
    """Samples whose sources play music.

    Args:
        spec: The dataset.
        part: The split.
        music: Its excerpts.
        window: How much of a source is heard.
        enter: Says for a shard's number where sources may stand in it, and how they sound from there.
    """

    def __init__(self, spec: LocalizerSpec, part: Part, music: Music, *, window: Window, enter: Enter) -> None:
        self._spec = spec
        self._name = str(part.split)
        self._split = spec.splits()[self._name]
        self._music = music
        self._window = window
        self._enter = enter
        rows = music.of_split[self._name]
        self._starts = mixtures.audible_starts(music, rows, heard=window.length, lead=window.lead, gate=spec.gate)
        if len(self._starts) == 0:
            raise InputError(
                f"dataset.music, split {self._name!r}",
                f"every split needs at least one audible passage of {window.length / arrays.SAMPLE_RATE_HZ:.2f} s",
                value=f"{len(rows)} excerpts, gate {spec.gate}",
                remedy="add music, lower dataset.gate, or raise dataset.excerpt_s",
            )

    def columns(self, shard: Shard) -> dict[str, NDArray[Any]]:
        """Render one shard, ready to be stored."""
        return columns_of(self.batches(shard), shard.samples)

    def make(self, shard: Shard) -> Batch:
        """Render one shard, as it is before it is quantised."""
        batches = list(self.batches(shard))
        return Batch(
            torch.cat([batch.waves for batch in batches]),
            torch.cat([batch.positions_m for batch in batches]),
            torch.cat([batch.counts for batch in batches]),
        )

    def batches(self, shard: Shard) -> Iterator[Batch]:
        """Render one shard, some samples at a time."""
        generator = np.random.default_rng([self._spec.seed, zlib.crc32(self._name.encode()), shard.number])
        place, hear = self._enter(shard.number)
        sources = sources_of(self._split)
        drawn = mixtures.draw(generator, shard.samples, sources, place, self._starts, self._spec.level_db)
        for first in range(0, shard.samples, _CHUNK):
            rows = slice(first, first + _CHUNK)
            waves = hear(torch.from_numpy(self._played(drawn, rows)), drawn, rows)
            if self._split.snr_db is not None:
                add_noise(waves, generator, self._split.snr_db)
            yield Batch(waves, torch.from_numpy(drawn.positions_m[rows]), torch.from_numpy(drawn.counts[rows]))

    def _played(self, drawn: Scenes, rows: slice) -> NDArray[np.float32]:
        """What the sources play, shape (batch, slots, samples)."""
        chosen = zip(drawn.excerpts[rows].flat, drawn.starts[rows].flat, strict=True)
        played = [self._music.waves[excerpt][start : start + self._window.length] for excerpt, start in chosen]
        sources = np.stack(played).reshape(-1, drawn.gains.shape[1], self._window.length)
        sources *= drawn.gains[rows, :, None].astype(np.float32)
        return sources


def free_field(spec: RoomSpec, part: Part, music: Music) -> MusicMaker:
    """A room without echo."""
    field = propagation.FreeField(spec.size_m, spec.microphones_m())

    def place(
        generator: np.random.Generator, samples: int, sources: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        drawn = spec.draw_positions(generator, samples, sources)
        return drawn, np.zeros(drawn.shape[:2], np.int64)

    def hear(sources: Tensor, drawn: Scenes, rows: slice) -> Tensor:
        return field.hear(sources, torch.from_numpy(np.nan_to_num(drawn.positions_m[rows], nan=spec.size_m[0] / 2)))

    return MusicMaker(spec, part, music, window=field.window, enter=lambda _: (place, hear))


def by_responses(spec: LocalizerSpec, part: Part, music: Music, taps: int, rooms: Rooms) -> MusicMaker:
    """Rooms given by impulse responses, simulated or measured.

    Args:
        spec: The dataset.
        part: The split.
        music: Its excerpts.
        taps: Of the longest response.
        rooms: The rooms of a shard.

    Raises:
        InputError: If the places cannot hold the split's sources.
    """

    def enter(number: int) -> tuple[Placer, Hear]:
        pool, responses = rooms(number)
        field = propagation.Responses(responses, taps)

        def place(
            generator: np.random.Generator, samples: int, sources: int
        ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
            try:
                rows = pool.draw(generator, samples, sources, spec.min_distance_m)
            except ValueError as error:
                raise InputError(
                    f"dataset, split {part.split!r}",
                    "places with impulse responses must be far enough apart",
                    value=str(error),
                    remedy="add places (acoustics.positions), or lower dataset.min_distance_m",
                ) from error
            return pool.positions_m[rows], rows

        def hear(sources: Tensor, drawn: Scenes, rows: slice) -> Tensor:
            return field.hear(sources, torch.from_numpy(drawn.places[rows]))

        return place, hear

    return MusicMaker(spec, part, music, window=propagation.response_window(taps), enter=enter)


class ExcerptMaker:
    """Excerpts of music, cut from files or played."""

    def __init__(self, spec: MusicSpec, pieces: tuple[Piece, ...] | None) -> None:
        self._spec = spec
        self._excerpts = corpus.excerpts(spec, pieces)

    def columns(self, shard: Shard) -> dict[str, NDArray[Any]]:
        """Cut or play one block."""
        first = shard.number * EXCERPTS
        heard = [corpus.hear(self._spec, excerpt) for excerpt in self._excerpts[first : first + shard.samples]]
        return {
            "wave": np.stack([wave for wave, _ in heard]),
            "level": np.array([level for _, level in heard], np.float32),
        }


class ResponseMaker:
    """Impulse responses of simulated rooms, a block of places at a time."""

    def __init__(self, spec: RoomSpec, part: Part, acoustics: Acoustics) -> None:
        self._spec = spec
        self._acoustics = acoustics
        self._role = str(part.identity["role"])

    def columns(self, shard: Shard) -> dict[str, NDArray[Any]]:
        """Simulate one block."""
        blocks = -(-self._acoustics.positions // shoebox.BLOCK)
        number, block = divmod(shard.number, blocks)
        room = shoebox.draw_room(self._spec, self._acoustics, self._role, number)
        places = shoebox.draw_places(self._spec, self._acoustics, self._role, number)
        chosen = places[block * shoebox.BLOCK : block * shoebox.BLOCK + shard.samples]
        return {
            "responses": pyroom.impulse_responses(room, chosen + np.array([*room.origin_m, 0.0])),
            "place": chosen.astype(np.float32),
            "room": np.full(len(chosen), number, np.int32),
        }
