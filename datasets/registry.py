"""Table of all kinds of data. Imports no torch; providers are imported when a dataset is prepared."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Union

from pydantic import Discriminator, Tag

from datasets.building.provider import DatasetProvider
from datasets.building.spec import DatasetSpec
from datasets.matrices import MatricesSpec
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms.spec import MeasuredSpec, RoomSpec
from datasets.scenes.spec import SceneSpec
from datasets.tau2020.spec import FolderSpec


@dataclass(frozen=True)
class DatasetKind:
    """Row of the table.

    Attributes:
        spec: Class that describes a dataset of this kind; its field `kind` is the name of the row.
        provider: Import path `module:class` of the `DatasetProvider`, which has a class method `from_spec(spec, location)`.
        sound_key: Key of the description that names the sound files, for errors.
    """

    spec: type[DatasetSpec]
    provider: str
    sound_key: str = "music"


KINDS: Final[dict[str, DatasetKind]] = {
    "room": DatasetKind(RoomSpec, "datasets.rooms.provider:RoomProvider"),
    "measured": DatasetKind(MeasuredSpec, "datasets.rooms.provider:MeasuredProvider"),
    "recordings": DatasetKind(RecordingsSpec, "datasets.recordings.provider:RecordingsProvider", "manifest"),
    "scenes": DatasetKind(SceneSpec, "datasets.scenes.provider:SceneProvider", "events"),
    "tau2020": DatasetKind(FolderSpec, "datasets.tau2020.provider:FolderProvider", "folder"),
    "matrices": DatasetKind(MatricesSpec, "datasets.matrices:MatricesProvider"),
}
DEFAULT_KIND: Final = "room"
"""Kind of a description without the key `kind`."""


def kind_of(value: object) -> str:
    """Return the kind that a mapping or a description names."""
    if isinstance(value, dict):
        return str(value.get("kind", DEFAULT_KIND))
    return str(getattr(value, "kind", DEFAULT_KIND))


def spec_class(kind: str) -> type[DatasetSpec]:
    """Return the class of a kind's descriptions; for an unknown kind, that of the default kind."""
    return KINDS.get(kind, KINDS[DEFAULT_KIND]).spec


def sound_key(spec: DatasetSpec) -> str:
    """Return the key of a description that names its sound files."""
    return KINDS[spec.kind].sound_key


if TYPE_CHECKING:
    AnySpec = DatasetSpec
else:
    AnySpec = Annotated[
        Union[tuple(Annotated[kind.spec, Tag(name)] for name, kind in KINDS.items())],  # noqa: UP007  # built from a table
        Discriminator(kind_of),
    ]
    """Annotation of a pydantic field that holds a dataset of any kind, told apart by `kind`."""


def prepare_dataset(spec: DatasetSpec, location: str) -> DatasetProvider:
    """Check and hash the sound files of a dataset of any kind.

    Args:
        spec: Description of the dataset.
        location: Option or key that names its sound files, for errors.

    Raises:
        InputError: If sound files are missing or unreadable, or a room is impossible.
    """
    module, _, name = KINDS[spec.kind].provider.partition(":")
    provider_class: Any = getattr(importlib.import_module(module), name)
    provider: DatasetProvider = provider_class.from_spec(spec, location)
    return provider
