"""Plans of datasets for the 2D localizer: splits, and the music and impulse responses that they are made from."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from datasets.acoustics import arrays
from datasets.acoustics.arrays import MIXTURE_SAMPLES, SAMPLE_RATE_HZ
from datasets.acoustics.materials import absorption_of
from datasets.acoustics.shoebox import PositionPool
from datasets.audio.corpus import Corpus, MusicFile
from datasets.building import parts
from datasets.building.parts import SPLIT, DatasetPart, split_evenly
from datasets.building.plan import Synthesizer, TablePlan
from datasets.building.reader import PartReader
from datasets.rooms import music, music_folder, reverberation
from datasets.rooms.acoustics_spec import Acoustics
from datasets.rooms.recorded_noise import RECORDED, check_noise_file, sibling_place
from datasets.rooms.reverberation import POSITIONS_PER_BLOCK
from datasets.rooms.spec import LocalizerSpec, MeasuredSpec, MusicSpec, RoomSpec
from datasets.rooms.split_spec import SplitSpec, source_range
from runtime import hashing
from runtime.errors import InputError
from runtime.uris import expand_home

SIMULATOR_VERSION: Final = 3
"""Version of the samples that a description is rendered to; part of every fingerprint."""

MUSIC: Final = "music"
RESPONSES: Final = "responses"

_MINIATURE_SAMPLES: Final = 8
_MINIATURE_TRAINING_SAMPLES: Final = 500
_MINIATURE_POSITIONS: Final = 8

AnyPlan = TypeVar("AnyPlan", bound="SamplePlan")


@dataclass(frozen=True)
class SamplePart(DatasetPart):
    """Part of a dataset for the 2D localizer.

    Attributes:
        acoustics: Reverberant rooms of the split or of the impulse responses; None for other parts.
        responses: Folder of the impulse responses that a split is made from, if any.
    """

    acoustics: Acoustics | None = None
    responses: str | None = None


@dataclass(frozen=True)
class SamplePlan(TablePlan):
    """Plan of a dataset for the 2D localizer.

    Attributes:
        spec: Description of the dataset.
        sound_files: SHA-256 of each sound file by relative path; None if the sound is synthesised.
        microphones_m: Positions of the microphones in metres, shape (arrays, microphones, 2), or 3 with heights above sources.
        only: Names of the splits that are built; None for all.
        noise: SHA-256 of the file of recorded noise; empty if there is none.
    """

    spec: LocalizerSpec
    sound_files: dict[str, str] | None
    microphones_m: NDArray[np.float64] = field(compare=False)
    only: tuple[str, ...] | None = field(default=None, kw_only=True)
    noise: str = field(default="", kw_only=True)

    @property
    def fingerprint(self) -> str:
        """Identity of the dataset; a file of recorded noise is part of it, since variants for trials may use it."""
        return fingerprint([*([self.noise] if self.noise else []), *(part.folder for part in self.list_parts())])

    def describe_notes(self) -> list[str]:
        """Return what the microphones cannot tell apart, and what was found in the folder of the sound files, line by line."""
        return arrays.describe_ambiguities(self.spec.size_m, self.microphones_m)

    def with_noise(self: AnyPlan, location: str) -> AnyPlan:
        """Return the plan with the file of recorded noise, checked and hashed.

        Args:
            location: Option or key that names the sound of the dataset, for errors.

        Raises:
            InputError: If the file cannot be used.
        """
        groups, microphones = self.microphones_m.shape[:2]
        place = sibling_place(location, "noise_file")
        return replace(self, noise=check_noise_file(self.spec, (groups, microphones), place))

    def with_spec(self: AnyPlan, spec: LocalizerSpec) -> AnyPlan:
        """Return a plan of the same sound files for another description, whose music fields must not differ."""
        return replace(self, spec=spec)

    def list_parts(self) -> tuple[SamplePart, ...]:
        """Return all parts: music and impulse responses first, since splits are made from them."""
        return self._parts

    @cached_property
    def _parts(self) -> tuple[SamplePart, ...]:
        shared = self._shared_parts()
        resolved = self.spec.resolve_splits()
        names = [name for name in resolved if self.only is None or name in self.only]
        responses = {name: self._responses_part(name, resolved[name]) for name in names}
        distinct = {part.folder: part for part in responses.values() if part is not None}
        splits = (self._split_part(name, part, shared) for name, part in responses.items())
        return (*shared, *distinct.values(), *splits)

    def _shared_parts(self) -> tuple[SamplePart, ...]:
        """Return the parts that every split is made from."""
        return ()

    def _responses_part(self, name: str, split: SplitSpec) -> SamplePart | None:
        """Return the part with the impulse responses of a split's rooms, if they are simulated."""
        del name, split
        return None

    def _bank_checksum(self) -> str | None:
        """Return the SHA-256 of the bank of measured impulse responses, if there is one."""
        return None

    def _split_part(self, name: str, responses: SamplePart | None, shared: tuple[SamplePart, ...]) -> SamplePart:
        split = self.spec.resolve_splits()[name]
        identity = self.spec.split_identity(name)
        made_from = [part.folder for part in (*shared, responses) if part is not None]
        others = [self.noise] if split.noise == RECORDED else []
        others += [] if split.acoustics is None else _list_coefficients(split.acoustics)
        return SamplePart(
            SPLIT,
            f"{name}-{fingerprint([identity, self.sound_files, self._bank_checksum(), *others])}",
            identity,
            split.samples,
            split=name,
            shard_sizes=split_evenly(split.samples, parts.SHARD_SAMPLES),
            row_bytes=self._channels() * MIXTURE_SAMPLES * 2 + source_range(split)[1] * 8 + 5,
            made_from=tuple(made_from),
            acoustics=split.acoustics if split.acoustics is not None and split.acoustics.is_reverberant else None,
            responses=None if responses is None else responses.folder,
        )

    def _channels(self) -> int:
        return int(np.prod(self.microphones_m.shape[:2]))

    def make_miniature(self: AnyPlan) -> AnyPlan:
        """Return a plan of few samples of every split, from which the duration of a build can be estimated."""
        spec = self.spec
        changes: dict[str, Any] = {
            "train": self._shrink_split("train", spec.train, _MINIATURE_TRAINING_SAMPLES),
            "validate_": self._shrink_split("validate", spec.validate_, _MINIATURE_SAMPLES),
            "tests": {name: self._shrink_split(name, test, _MINIATURE_SAMPLES) for name, test in spec.tests.items()},
        }
        return self.with_spec(spec.model_copy(update=changes | self._miniature_fields()))

    def _shrink_split(self, name: str, split: SplitSpec, samples: int) -> SplitSpec:
        """Return a split of a miniature."""
        del name
        return split.model_copy(update={"samples": samples})

    def _miniature_fields(self) -> dict[str, Any]:
        """Return the fields of a miniature's description, apart from the splits."""
        return {}


@dataclass(frozen=True)
class MusicPlan(SamplePlan):
    """Plan of a dataset whose sources play music.

    Attributes:
        pieces: Sound files of the music; None for the procedural band.
        corpus: Music folder with these files, and what it contains besides; None for the procedural band.
    """

    spec: MusicSpec
    pieces: tuple[MusicFile, ...] | None = None
    corpus: Corpus | None = field(default=None, compare=False)

    def with_music(self: AnyMusicPlan, location: str) -> AnyMusicPlan:
        """Return the plan with the sound files of its music folder, checked and hashed.

        Args:
            location: Option or key that names the folder, for errors.

        Raises:
            InputError: If music is missing or unreadable.
        """
        if self.spec.music_folder() is None:
            return self
        found = music_folder.scan_corpus(self.spec, location)
        return replace(self, pieces=found.pieces, sound_files=found.hash_files(), corpus=found)

    def describe_notes(self) -> list[str]:
        """Return the genres, files and minutes of the music folder, and what is left out."""
        found = [] if self.corpus is None else music_folder.describe_corpus(self.spec, self.corpus)
        return super().describe_notes() + found

    @property
    def music_part(self) -> SamplePart:
        """Part with the excerpts of music."""
        identity = self.spec.music_identity()
        count = len(music.list_excerpts(self.spec, self.pieces))
        return SamplePart(
            MUSIC,
            f"music-{fingerprint([identity, self.sound_files])}",
            identity,
            count,
            unit="excerpts",
            shard_sizes=split_evenly(count, music.EXCERPTS_PER_SHARD),
            row_bytes=int(self.spec.excerpt_s * SAMPLE_RATE_HZ) * 4,
        )

    def _shared_parts(self) -> tuple[SamplePart, ...]:
        return (self.music_part,)

    def make_synthesizer(self, part: DatasetPart, reader: PartReader) -> Synthesizer:
        """Return the source of a part's rows."""
        from datasets.rooms import inputs, synthesis  # loads torch

        if part.kind == MUSIC:
            return synthesis.ExcerptSynthesizer(self.spec, self.pieces)
        if part.kind == RESPONSES:
            return self._rir_synthesizer(part)
        excerpts = inputs.read_music(reader, self.music_part, self.spec, self.pieces)
        return self._split_synthesizer(part, reader, excerpts)

    def _rir_synthesizer(self, part: DatasetPart) -> Synthesizer:
        """Return the source of simulated impulse responses."""
        raise TypeError(f"data of kind {self.spec.kind!r} has no simulated rooms, not even {part.folder}")

    @abstractmethod
    def _split_synthesizer(self, part: DatasetPart, reader: PartReader, excerpts: music.MusicExcerpts) -> Synthesizer:
        """Return the source of a split's samples."""

    def _miniature_fields(self) -> dict[str, Any]:
        return {"excerpts": 8}


AnyMusicPlan = TypeVar("AnyMusicPlan", bound=MusicPlan)


@dataclass(frozen=True)
class RoomPlan(MusicPlan):
    """Plan of a dataset of simulated rooms."""

    spec: RoomSpec

    @classmethod
    def from_spec(cls, spec: RoomSpec, location: str, only: tuple[str, ...] | None = None) -> RoomPlan:
        """Check the rooms, and check and hash the music.

        Args:
            spec: Description of the dataset.
            location: Option or key that names the music, for errors.
            only: Names of the splits that are built; None for all.

        Raises:
            InputError: If music is missing or unreadable, or a room is impossible.
        """
        spec.require_feasible()
        return cls(spec, None, spec.microphones_m(), only=only).with_noise(location).with_music(location)

    def _responses_part(self, name: str, split: SplitSpec) -> SamplePart | None:
        acoustics = split.acoustics
        if acoustics is None or not acoustics.is_reverberant:
            return None
        described = self.spec.split_identity(name)
        geometry = {key: described[key] for key in ("layout", "arrays", "size_m", "raster_m", "clearance_m", "seed")}
        role = reverberation.rir_role(name)
        identity = geometry | {"role": role, **acoustics.model_dump(mode="json")}
        rooms = reverberation.first_rooms(self.spec, acoustics, role)
        coefficients = _list_coefficients(acoustics)
        return SamplePart(
            RESPONSES,
            f"responses-{fingerprint([identity, *coefficients] if coefficients else identity)}",
            identity,
            acoustics.rooms * acoustics.positions,
            unit="places",
            # Blocks of positions do not cross rooms.
            shard_sizes=split_evenly(acoustics.positions, POSITIONS_PER_BLOCK) * acoustics.rooms,
            row_bytes=self._channels() * reverberation.longest_taps(acoustics, rooms) * 4,
            uses_sound_files=False,
            effort=reverberation.mean_effort(acoustics, rooms),
            acoustics=acoustics,
        )

    def _find_part(self, folder: str | None) -> SamplePart:
        return next(part for part in self.list_parts() if part.folder == folder)

    def _rir_synthesizer(self, part: DatasetPart) -> Synthesizer:
        from datasets.rooms import synthesis

        acoustics = self._find_part(part.folder).acoustics
        if acoustics is None:
            raise TypeError(f"{part.folder} has no rooms")
        return synthesis.RirSynthesizer(self.spec, part, acoustics)

    def _split_synthesizer(self, part: DatasetPart, reader: PartReader, excerpts: music.MusicExcerpts) -> Synthesizer:
        from datasets.rooms import inputs, synthesis

        split = self._find_part(part.folder)
        if split.acoustics is None:
            return synthesis.free_field_synthesizer(self.spec, part, excerpts)
        responses = self._find_part(split.responses)
        taps, rooms = inputs.read_rooms(reader, responses, split.acoustics, shards=len(part.list_shards()))
        return synthesis.rir_synthesizer(self.spec, part, excerpts, self.microphones_m, taps, rooms)

    def _shrink_split(self, name: str, split: SplitSpec, samples: int) -> SplitSpec:
        """Return a split of a miniature with one room; `DatasetPart.effort` accounts for the others."""
        small, whole = super()._shrink_split(name, split, samples), self.spec.resolve_splits()[name]
        acoustics = whole.acoustics
        if acoustics is None or not acoustics.is_reverberant:
            return small
        least = reverberation.fewest_positions(self.spec, whole, acoustics, reverberation.rir_role(name))
        positions = max(least, POSITIONS_PER_BLOCK if acoustics.method == "hybrid" else _MINIATURE_POSITIONS)
        changes = {"rooms": 1, "positions": min(acoustics.positions, positions)}
        return small.model_copy(update={"acoustics": acoustics.model_copy(update=changes)})


@dataclass(frozen=True)
class MeasuredPlan(MusicPlan):
    """Plan of a dataset of measured impulse responses.

    Attributes:
        bank: SHA-256 of the bank of impulse responses.
    """

    spec: MeasuredSpec
    bank: str = ""

    @classmethod
    def from_spec(cls, spec: MeasuredSpec, location: str, only: tuple[str, ...] | None = None) -> MeasuredPlan:
        """Check the bank of impulse responses, and check and hash the music.

        Args:
            spec: Description of the dataset.
            location: Option or key that names the music, for errors.
            only: Names of the splits that are built; None for all.

        Raises:
            InputError: If music or impulse responses are missing or unreadable, or a split has too few positions.
        """
        microphones_m = _require_positions(spec, sibling_place(location, "bank"), only)
        plan = cls(spec, None, microphones_m, bank=hashing.hash_file(expand_home(spec.bank)), only=only)
        return plan.with_noise(location).with_music(location)

    def _bank_checksum(self) -> str | None:
        return self.bank

    def _split_synthesizer(self, part: DatasetPart, reader: PartReader, excerpts: music.MusicExcerpts) -> Synthesizer:
        from datasets.rooms import inputs, synthesis

        del reader
        taps, rooms = inputs.read_measured_rooms(self.spec, str(part.split))
        return synthesis.rir_synthesizer(self.spec, part, excerpts, self.microphones_m, taps, rooms)


def fingerprint(content: Any) -> str:
    """Return the hash of JSON values and the version of the simulator."""
    return hashing.hash_values([SIMULATOR_VERSION, content])


def _list_coefficients(acoustics: Acoustics) -> list[Any]:
    """Return the absorption of the named materials, which another version of their database may change; empty without any."""
    if acoustics.materials is None:
        return []
    names = sorted({*acoustics.materials.walls, *acoustics.materials.floor, *acoustics.materials.ceiling})
    return [[name, absorption_of(name).tolist()] for name in names]


def _require_positions(spec: MeasuredSpec, location: str, only: tuple[str, ...] | None) -> NDArray[np.float64]:
    """Check that every split, or those given, has positions for its sources; return the positions of the microphones."""
    from datasets.acoustics import rirs  # loads the SOFA libraries

    bank = rirs.read_rir_bank(expand_home(spec.bank), location, arrays=spec.bank_arrays, size_m=spec.size_m)
    splits = {name: split for name, split in spec.resolve_splits().items() if only is None or name in only}
    for name, split in splits.items():
        positions_m = bank.positions_m[reverberation.positions_of_split(spec, name, len(bank.positions_m))]
        sources = source_range(split)[1]
        try:
            pool = PositionPool(positions_m, np.array([0, len(positions_m)]))
            pool.draw_positions(np.random.default_rng(0), 1, sources, spec.min_distance_m)
        except ValueError as error:
            raise InputError(
                f"{spec.bank}: split {name!r}",
                f"a split needs {sources} measured places at least {spec.min_distance_m:g} m apart",
                value=f"{len(positions_m)} places",
                remedy="measure more, lower dataset.min_distance_m, or change validate_share and test_share",
            ) from error
    return bank.microphones_m
