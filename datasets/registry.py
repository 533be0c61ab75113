"""Table of all kinds of data. Imports no torch; providers are imported when a dataset is prepared.

A kind outside the table is the import path of a `datasets.custom.CustomData`, which is imported where a space names it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Union

from pydantic import Discriminator, PlainValidator, Tag, ValidationError

from datasets.arrays.spec import ArraysSpec
from datasets.building.provider import DatasetProvider
from datasets.building.spec import DatasetSpec
from datasets.custom import CustomData
from datasets.matrices import MatricesSpec
from datasets.mixed.spec import MixedSpec
from datasets.none import NoneSpec
from datasets.recordings.spec import RecordingsSpec
from datasets.rooms.spec import MeasuredSpec, RoomSpec
from datasets.scenes.spec import SceneSpec
from datasets.tau2020.spec import FolderSpec
from runtime.errors import InputError, suggest_name
from runtime.inputs.importing import import_object
from runtime.inputs.validation import explain_validation


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
    "mixed": DatasetKind(MixedSpec, "datasets.mixed.provider:MixedProvider", "kind"),
    "scenes": DatasetKind(SceneSpec, "datasets.scenes.provider:SceneProvider", "events"),
    "tau2020": DatasetKind(FolderSpec, "datasets.tau2020.provider:FolderProvider", "folder"),
    "matrices": DatasetKind(MatricesSpec, "datasets.matrices:MatricesProvider"),
    "arrays": DatasetKind(ArraysSpec, "datasets.arrays.provider:ArraysProvider", "train"),
    "none": DatasetKind(NoneSpec, "datasets.none:NoneProvider", "kind"),
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
    if is_import_path(kind):
        return CustomData
    return KINDS.get(kind, KINDS[DEFAULT_KIND]).spec


def sound_key(spec: DatasetSpec) -> str:
    """Return the key of a description that names its files."""
    return "kind" if is_import_path(spec.kind) else KINDS[spec.kind].sound_key


def resolve_custom_kind(written: Any, place: Callable[[str], str]) -> Any:
    """Return the description of a dataset whose kind is an import path; return that of a known kind unchanged.

    Args:
        written: Keys of a dataset.
        place: Function from a key to its place in the file.

    Raises:
        InputError: If the kind is unknown, or its class cannot be imported or refuses the keys.
    """
    kind = written.get("kind") if isinstance(written, dict) else None
    if not is_import_path(kind):
        if isinstance(kind, str) and kind not in KINDS:
            remedy = suggest_name(kind, KINDS) + " The import path of a class is written my_package.my_module:MyData."
            raise InputError(place("kind"), "the kind of data must be known", value=kind, remedy=remedy)
        return written
    imported = _import_class(written["kind"], place("kind"))
    try:
        return imported.model_validate(written)
    except ValidationError as error:
        raise explain_validation(error, imported, place, kinds={}) from error


def is_import_path(kind: object) -> bool:
    """Return whether a kind has the form `package.module:Class`."""
    return isinstance(kind, str) and ":" in kind


def _import_class(path: str, place: str) -> type[CustomData]:
    module, _, name = path.partition(":")
    if not (module and name.isidentifier()):
        raise InputError(
            place,
            "the import path of a dataset has the form my_package.my_module:MyData",
            value=path,
            remedy="name a module and a class in it",
        )
    imported = import_object(path, place, "dataset")
    if not (inspect.isclass(imported) and issubclass(imported, CustomData)):
        raise InputError(
            place, "a dataset derives from datasets.custom.CustomData", value=path, remedy="derive from it"
        )
    return imported


def _validate_custom(value: Any) -> Any:
    return resolve_custom_kind(value, lambda key: f"dataset.{key}")


def _discriminate(value: object) -> str:
    kind = kind_of(value)
    return _CUSTOM if is_import_path(kind) else kind


_CUSTOM: Final = "import path"
"""Tag of all kinds outside the table."""

if TYPE_CHECKING:
    AnySpec = DatasetSpec
else:
    _custom = Annotated[
        DatasetSpec,
        PlainValidator(_validate_custom),
        Tag(_CUSTOM),
    ]
    _known = [Annotated[kind.spec, Tag(name)] for name, kind in KINDS.items()]
    AnySpec = Annotated[
        Union[(*_known, _custom)],  # built from a table
        Discriminator(_discriminate),
    ]
    """Annotation of a pydantic field that holds a dataset of any kind, told apart by `kind`."""


def prepare_dataset(spec: DatasetSpec, location: str) -> DatasetProvider:
    """Check and hash the files of a dataset of any kind.

    Args:
        spec: Description of the dataset.
        location: Option or key that names its files, for errors.

    Raises:
        InputError: If files are missing or unreadable, or a room is impossible.
    """
    if isinstance(spec, CustomData):
        return spec.make_provider(location)
    module, _, name = KINDS[spec.kind].provider.partition(":")
    provider_class: Any = getattr(importlib.import_module(module), name)
    provider: DatasetProvider = provider_class.from_spec(spec, location)
    return provider
