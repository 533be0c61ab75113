"""Synthesizers of samples, excerpts and impulse responses: the content of a shard depends on its part and number alone."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.acoustics import arrays, hybrid, propagation
from datasets.acoustics.noise import add_noise
from datasets.acoustics.propagation import PropagationWindow
from datasets.audio.corpus import MusicFile
from datasets.building.parts import DatasetPart, Shard
from datasets.rooms import mixtures, reverberation
from datasets.rooms.acoustics_spec import Acoustics
from datasets.rooms.dataset import Batch, columns_of
from datasets.rooms.inputs import RoomsOfShard
from datasets.rooms.mixtures import DrawPositions, Mixtures
from datasets.rooms.music import EXCERPTS_PER_SHARD, MusicExcerpts, list_excerpts, load_excerpt
from datasets.rooms.noise_sources import open_noise
from datasets.rooms.spec import LocalizerSpec, MusicSpec, RoomSpec
from datasets.rooms.split_spec import source_range
from runtime.errors import InputError

_CHUNK: Final = 32
"""Number of samples rendered together; small enough for the spectra to stay in the cache of a core."""

Propagate = Callable[[Tensor, Mixtures, slice], Tensor]
"""Returns the waves at the arrays from the waves of the sources, the mixtures, and the rows to be rendered."""

RoomOfShard = Callable[[int], tuple[DrawPositions, Propagate]]


class MixtureSynthesizer:
    """Synthesizer of samples whose sources play music.

    Args:
        spec: Description of the dataset.
        part: Part of the split.
        music: Excerpts of music.
        microphones_m: Positions of the microphones, shape (arrays, microphones, 2 or 3).
        window: Length of the source waves that are needed.
        open_room: Returns for the number of a shard how positions are drawn and how sound propagates.
    """

    def __init__(
        self,
        spec: LocalizerSpec,
        part: DatasetPart,
        music: MusicExcerpts,
        *,
        microphones_m: NDArray[np.float64],
        window: PropagationWindow,
        open_room: RoomOfShard,
    ) -> None:
        self._spec = spec
        self._name = str(part.split)
        self._split = spec.resolve_splits()[self._name]
        self._music = music
        self._window = window
        self._draw_noise = open_noise(spec, self._name, microphones_m)
        self._open_room = open_room
        rows = music.rows_by_split[self._name]
        self._starts = mixtures.audible_starts(music, rows, heard=window.length, lead=window.lead, gate=spec.gate)
        if len(self._starts) == 0:
            raise InputError(
                f"dataset.music, split {self._name!r}",
                f"every split needs at least one audible passage of {window.length / arrays.SAMPLE_RATE_HZ:.2f} s",
                value=f"{len(rows)} excerpts, gate {spec.gate}",
                remedy="add music, lower dataset.gate, or raise dataset.excerpt_s",
            )

    def make_columns(self, shard: Shard) -> dict[str, NDArray[Any]]:
        """Render a shard as quantised columns."""
        return columns_of(self.make_batches(shard), shard.samples)

    def make_batch(self, shard: Shard) -> Batch:
        """Render a shard without quantisation."""
        batches = list(self.make_batches(shard))
        return Batch(
            torch.cat([batch.waves for batch in batches]),
            torch.cat([batch.positions_m for batch in batches]),
            torch.cat([batch.counts for batch in batches]),
        )

    def make_batches(self, shard: Shard) -> Iterator[Batch]:
        """Render a shard in batches of a few samples."""
        generator = np.random.default_rng(
            [self._spec.seed_of_split(self._name), zlib.crc32(self._name.encode()), shard.number]
        )
        draw_positions, propagate = self._open_room(shard.number)
        sources = source_range(self._split)
        drawn = mixtures.draw_mixtures(
            generator, shard.samples, sources, draw_positions, self._starts, self._spec.level_db
        )
        for first in range(0, shard.samples, _CHUNK):
            rows = slice(first, first + _CHUNK)
            waves = propagate(torch.from_numpy(self._load_waveforms(drawn, rows)), drawn, rows)
            if self._split.snr_db is not None:
                add_noise(waves, generator, self._split.snr_db, self._draw_noise)
            yield Batch(waves, torch.from_numpy(drawn.positions_m[rows]), torch.from_numpy(drawn.counts[rows]))

    def _load_waveforms(self, drawn: Mixtures, rows: slice) -> NDArray[np.float32]:
        """Return the waves of the sources, shape (batch, slots, samples)."""
        chosen = zip(drawn.excerpts[rows].flat, drawn.starts[rows].flat, strict=True)
        played = [self._music.waves[excerpt][start : start + self._window.length] for excerpt, start in chosen]
        sources = np.stack(played).reshape(-1, drawn.gains.shape[1], self._window.length)
        sources *= drawn.gains[rows, :, None].astype(np.float32)
        return sources


def free_field_synthesizer(spec: RoomSpec, part: DatasetPart, music: MusicExcerpts) -> MixtureSynthesizer:
    """Return the synthesizer of a split in an anechoic room."""
    field = propagation.FreeField(spec.size_m, spec.microphones_m())

    def draw_positions(
        generator: np.random.Generator, samples: int, sources: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        drawn = spec.draw_positions(generator, samples, sources)
        return drawn, np.zeros(drawn.shape[:2], np.int64)

    def propagate(sources: Tensor, drawn: Mixtures, rows: slice) -> Tensor:
        return field.propagate(
            sources, torch.from_numpy(np.nan_to_num(drawn.positions_m[rows], nan=spec.size_m[0] / 2))
        )

    return MixtureSynthesizer(
        spec,
        part,
        music,
        microphones_m=spec.microphones_m(),
        window=field.window,
        open_room=lambda _: (draw_positions, propagate),
    )


def rir_synthesizer(
    spec: LocalizerSpec,
    part: DatasetPart,
    music: MusicExcerpts,
    microphones_m: NDArray[np.float64],
    taps: int,
    rooms: RoomsOfShard,
) -> MixtureSynthesizer:
    """Return the synthesizer of a split in rooms with simulated or measured impulse responses.

    Args:
        spec: Description of the dataset.
        part: Part of the split.
        music: Excerpts of music.
        microphones_m: Positions of the microphones, shape (arrays, microphones, 2 or 3).
        taps: Length of the longest impulse response, in samples.
        rooms: Returns the source positions and the impulse responses of a shard.

    Raises:
        InputError: If too few positions are far enough apart.
    """

    def open_room(number: int) -> tuple[DrawPositions, Propagate]:
        pool, responses = rooms(number)
        field = propagation.ImpulseResponses(responses, taps)

        def draw_positions(
            generator: np.random.Generator, samples: int, sources: int
        ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
            try:
                rows = pool.draw_positions(generator, samples, sources, spec.min_distance_m)
            except ValueError as error:
                raise InputError(
                    f"dataset, split {part.split!r}",
                    "places with impulse responses must be far enough apart",
                    value=str(error),
                    remedy="add places (acoustics.positions), or lower dataset.min_distance_m",
                ) from error
            return pool.positions_m[rows], rows

        def propagate(sources: Tensor, drawn: Mixtures, rows: slice) -> Tensor:
            return field.propagate(sources, torch.from_numpy(drawn.places[rows]))

        return draw_positions, propagate

    return MixtureSynthesizer(
        spec,
        part,
        music,
        microphones_m=microphones_m,
        window=propagation.response_window(taps),
        open_room=open_room,
    )


class ExcerptSynthesizer:
    """Synthesizer of excerpts of music, from files or from the procedural band."""

    def __init__(self, spec: MusicSpec, pieces: tuple[MusicFile, ...] | None) -> None:
        self._spec = spec
        self._excerpts = list_excerpts(spec, pieces)

    def make_columns(self, shard: Shard) -> dict[str, NDArray[Any]]:
        """Return the excerpts of a shard, and their levels."""
        first = shard.number * EXCERPTS_PER_SHARD
        heard = [load_excerpt(self._spec, excerpt) for excerpt in self._excerpts[first : first + shard.samples]]
        return {
            "wave": np.stack([wave for wave, _ in heard]),
            "level": np.array([level for _, level in heard], np.float32),
        }


class RirSynthesizer:
    """Synthesizer of the impulse responses of simulated rooms, a block of source positions per shard."""

    def __init__(self, spec: RoomSpec, part: DatasetPart, acoustics: Acoustics) -> None:
        self._spec = spec
        self._acoustics = acoustics
        self._role = str(part.identity["role"])

    def make_columns(self, shard: Shard) -> dict[str, NDArray[Any]]:
        """Simulate the impulse responses of a shard."""
        blocks = -(-self._acoustics.positions // reverberation.POSITIONS_PER_BLOCK)
        number, block = divmod(shard.number, blocks)
        room = reverberation.draw_room(self._spec, self._acoustics, self._role, number)
        places = reverberation.draw_source_positions(self._spec, self._acoustics, self._role, number)
        first = block * reverberation.POSITIONS_PER_BLOCK
        rows = slice(first, first + shard.samples)
        chosen = places[rows]
        directivities = reverberation.draw_directivities(self._spec, self._acoustics, self._role, number, rows)
        generator = np.random.default_rng([self._spec.seed, zlib.crc32(self._role.encode()), 7, shard.number])
        return {
            "responses": hybrid.compute_responses(
                generator,
                room,
                chosen + np.array([*room.origin_m, 0.0]),
                directivities=directivities,
            ),
            "place": chosen.astype(np.float32),
            "room": np.full(len(chosen), number, np.int32),
        }
