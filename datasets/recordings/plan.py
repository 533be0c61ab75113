"""Plans of datasets of recordings."""

from __future__ import annotations

from dataclasses import dataclass

from datasets.building.parts import DatasetPart
from datasets.building.plan import Synthesizer
from datasets.building.reader import PartReader
from datasets.recordings import clip_list
from datasets.recordings.clips import Clip
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms.plan import SamplePlan


@dataclass(frozen=True)
class RecordingsPlan(SamplePlan):
    """Plan of a dataset of recordings.

    Attributes:
        clips: Clips of the manifest.
    """

    spec: RecordingsSpec
    clips: tuple[Clip, ...] = ()

    @classmethod
    def from_spec(cls, spec: RecordingsSpec, location: str, only: tuple[str, ...] | None = None) -> RecordingsPlan:
        """Check the manifest and the headers of its sound files, and hash them.

        Args:
            spec: Description of the dataset.
            location: Option or key that names the manifest, for errors.
            only: Names of the splits that are built; None for all.

        Raises:
            InputError: If the manifest or a sound file is missing, unreadable or inconsistent.
        """
        clips = clip_list.read_clip_list(spec, location, only)
        plan = cls(spec, clip_list.hash_clips(spec, clips), spec.microphones_m(), clips, only=only)
        return plan.with_noise(location)

    def make_synthesizer(self, part: DatasetPart, reader: PartReader) -> Synthesizer:
        """Return the source of a split's samples, with its clips in memory."""
        from datasets.recordings.sounds import gather_sounds
        from datasets.recordings.synthesis import RecordingsSynthesizer  # loads torch

        del reader
        clips = [clip for clip in self.clips if part.split in clip.splits]
        return RecordingsSynthesizer(self.spec, str(part.split), gather_sounds(self.spec, clips, lambda *_: None))
