"""Provider of datasets of recordings."""

from __future__ import annotations

from datasets.recordings.plan import RecordingsPlan
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms.provider import SampleProvider


class RecordingsProvider(SampleProvider):
    """Provider of a dataset of recordings."""

    @classmethod
    def from_spec(cls, spec: RecordingsSpec, location: str, only: tuple[str, ...] | None = None) -> RecordingsProvider:
        """Check and hash the sound files of a description; see `RecordingsPlan.from_spec`."""
        return cls(RecordingsPlan.from_spec(spec, location, only))
