"""Synthesis of samples from recordings: superposed single sources, and segments of clips with several (section III-A)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.acoustics.arrays import MIXTURE_SAMPLES
from datasets.acoustics.noise import add_noise
from datasets.building.parts import Shard
from datasets.recordings import rules
from datasets.recordings.sounds import ClipSound
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms import groups
from datasets.rooms.dataset import Batch, columns_of
from datasets.rooms.noise_sources import open_noise
from datasets.rooms.split_spec import source_range
from runtime.errors import InputError


@dataclass(frozen=True)
class DrawnClips:
    """Segments of clips that each sample consists of; parts beyond the number of clips are -1 with a gain of 0.

    Attributes:
        sounds: Indices of the clips among the audible ones of the split, shape (samples, parts).
        starts: First frames of the segments, shape (samples, parts).
        gains: Linear gains, shape (samples, parts).
    """

    sounds: NDArray[np.int64]
    starts: NDArray[np.int64]
    gains: NDArray[np.float64]


class RecordingsSynthesizer:
    """Synthesizer of a split from recordings in memory.

    Args:
        spec: Description of the dataset.
        split: Name of the split.
        sounds: Clips from `gather_sounds`; those of other splits are ignored.

    Raises:
        InputError: If no clip of the split is audible, or too few audible positions are far enough apart.
    """

    def __init__(self, spec: RecordingsSpec, split: str, sounds: Sequence[ClipSound]) -> None:
        own = tuple(sound for sound in sounds if split in sound.clip.splits)
        self._spec = spec
        self._name = split
        self._split = spec.resolve_splits()[split]
        self._draw_noise = open_noise(spec, split, spec.microphones_m())
        self._counts = source_range(self._split)
        self._superposes = rules.uses_superposition(sound.clip for sound in own)
        self._sounds = tuple(sound for sound in own if len(sound.starts))
        if not self._sounds:
            raise InputError(
                f"{spec.manifest}, column split",
                f"split {split!r} needs at least one audible passage",
                value=f"gate {spec.gate:g}",
                remedy="replace silent recordings, or lower dataset.gate",
            )
        if self._superposes:
            rules.require_room(spec, split, [sound.clip for sound in self._sounds])

    def make_columns(self, shard: Shard) -> dict[str, NDArray[Any]]:
        """Synthesise a shard as quantised columns."""
        return columns_of([self.make_batch(shard)], shard.samples)

    def make_batch(self, shard: Shard) -> Batch:
        """Synthesise a shard, which depends on the spec, the split, its recordings and the shard's number alone."""
        takes = self.draw_clips(shard)
        positions = np.full((shard.samples, self._counts[1], 2), np.nan, np.float32)
        counts = np.zeros(shard.samples, np.int64)
        for sample, parts in enumerate(takes.sounds):
            clips = [self._sounds[part].clip for part in parts if part >= 0]
            clip_positions = [position for clip in clips for position in clip.positions_m]
            positions[sample, : len(clip_positions)] = clip_positions
            counts[sample] = len(clip_positions)
        waves = torch.from_numpy(self.render_clips(takes))
        if self._split.snr_db is not None:
            # The seed contains the split, so that no test repeats the noise of the training.
            generator = np.random.default_rng(
                [self._spec.seed_of_split(self._name), zlib.crc32(self._name.encode()), 5, shard.number]
            )
            add_noise(waves, generator, self._split.snr_db, self._draw_noise)
        return Batch(waves, torch.from_numpy(positions), torch.from_numpy(counts))

    def draw_clips(self, shard: Shard) -> DrawnClips:
        """Draw the segments of a shard.

        Every clip is equally likely, or every group of clips far enough apart, then every audible segment of a clip.
        Superpositions have each number of sources in equal shares, unchanged recordings each number that was recorded.
        """
        generator = np.random.default_rng(
            [self._spec.seed_of_split(self._name), zlib.crc32(self._name.encode()), shard.number]
        )
        chosen = (self._superpose_clips if self._superposes else self._cut_as_recorded)(generator, shard.samples)
        gain_db = np.zeros(chosen.shape)
        if self._superposes:
            gain_db += generator.uniform(*self._spec.gain_db, chosen.shape)
            gain_db += generator.uniform(*self._spec.level_db, (len(chosen), 1))
        available = np.array([len(sound.starts) for sound in self._sounds])
        offsets = np.concatenate([[0], np.cumsum(available)])
        segment = (generator.random(chosen.shape) * available[chosen]).astype(np.int64)
        # An empty part looks up a start like any other, and is blanked here.
        present = chosen >= 0
        everything = np.concatenate([sound.starts for sound in self._sounds])
        starts = everything[np.where(present, offsets[chosen] + segment, 0)]
        return DrawnClips(chosen, np.where(present, starts, 0), np.where(present, 10 ** (gain_db / 20), 0.0))

    def render_clips(self, takes: DrawnClips) -> NDArray[np.float32]:
        """Sum the segments of each sample.

        Returns:
            Shape (samples, arrays, microphones, 2560).
        """
        waves = np.zeros((len(takes.sounds), *self._sounds[0].waves.shape[:2], MIXTURE_SAMPLES), np.float32)
        for sample, part in np.argwhere(takes.sounds >= 0):
            sound = self._sounds[takes.sounds[sample, part]]
            start = takes.starts[sample, part]
            gain = np.float32(takes.gains[sample, part] * sound.scale)
            waves[sample] += gain * sound.waves[..., start : start + MIXTURE_SAMPLES]
        return waves

    def _superpose_clips(self, generator: np.random.Generator, samples: int) -> NDArray[np.int64]:
        low, high = self._counts
        counts = generator.permutation(np.resize(np.arange(low, high + 1), samples))
        places = np.array([sound.clip.positions_m[0] for sound in self._sounds])
        allowed = groups.are_separated(places, self._spec.min_distance_m)
        chosen = np.full((samples, high), -1)
        for count in range(low, high + 1):
            rows = np.flatnonzero(counts == count)
            try:
                chosen[rows, :count] = groups.draw_groups(generator, len(rows), allowed, count)
            except ValueError as error:
                raise InputError(
                    f"{self._spec.manifest}, columns x and y, split {self._name!r}",
                    f"samples with {count} sources need positions at least {self._spec.min_distance_m:g} m apart",
                    value=str(error),
                    remedy="record more positions, or lower dataset.min_distance_m",
                ) from error
        return chosen

    def _cut_as_recorded(self, generator: np.random.Generator, samples: int) -> NDArray[np.int64]:
        sources = np.array([len(sound.clip.positions_m) for sound in self._sounds])
        counts = generator.permutation(np.resize(np.unique(sources), samples))
        chosen = np.empty((samples, 1), np.int64)
        for count in np.unique(counts):
            rows = np.flatnonzero(counts == count)
            chosen[rows, 0] = generator.choice(np.flatnonzero(sources == count), len(rows))
        return chosen
