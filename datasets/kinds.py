"""All kinds of data for the 2D localizer, told apart by their `kind`; without one it is a room."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Discriminator, Tag

from datasets.recordings.spec import RecordingsSpec
from datasets.spec import LocalizerSpec, MeasuredSpec, RoomSpec

KINDS: Final[dict[str, type[LocalizerSpec]]] = {
    "room": RoomSpec,
    "measured": MeasuredSpec,
    "recordings": RecordingsSpec,
}


KEY_OF_SOUND: Final = {"room": "music", "measured": "music", "recordings": "manifest", "scenes": "events"}
"""The key that names the sound files of each kind, for errors."""


def kind_of(value: object) -> str:
    """The kind that a mapping or a spec names."""
    named = value.get("kind", "room") if isinstance(value, dict) else getattr(value, "kind", "room")
    return str(named)


AnySpec = Annotated[
    Annotated[RoomSpec, Tag("room")]
    | Annotated[MeasuredSpec, Tag("measured")]
    | Annotated[RecordingsSpec, Tag("recordings")],
    Discriminator(kind_of),
]
