"""All kinds of data, told apart by their `kind`; without one it is a room."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Discriminator, Tag

from datasets.matrices import MatricesSpec
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms.spec import Frozen, LocalizerSpec, MeasuredSpec, RoomSpec
from datasets.scenes.spec import SceneSpec
from datasets.tau2020.provider import FolderSpec

KINDS: Final[dict[str, type[Frozen]]] = {
    "room": RoomSpec,
    "measured": MeasuredSpec,
    "recordings": RecordingsSpec,
    "scenes": SceneSpec,
    "tau2020": FolderSpec,
    "matrices": MatricesSpec,
}
KEY_OF_SOUND: Final = {"recordings": "manifest", "scenes": "events", "tau2020": "folder"}
"""The key that names the sound files, for errors, where it is not `music`."""


def kind_of(value: object) -> str:
    """The kind that a mapping or a spec names."""
    named = value.get("kind", "room") if isinstance(value, dict) else getattr(value, "kind", "room")
    return str(named)


AnySpec = Annotated[
    Annotated[RoomSpec, Tag("room")]
    | Annotated[MeasuredSpec, Tag("measured")]
    | Annotated[RecordingsSpec, Tag("recordings")]
    | Annotated[SceneSpec, Tag("scenes")]
    | Annotated[FolderSpec, Tag("tau2020")]
    | Annotated[MatricesSpec, Tag("matrices")],
    Discriminator(kind_of),
]
DataSpec = LocalizerSpec | SceneSpec | FolderSpec | MatricesSpec
