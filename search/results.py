"""Where things lie under the storage folder or in its bucket. Nothing else knows these names."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runtime import machine, uris
from runtime.errors import InputError
from runtime.files import atomic_write
from runtime.storage import Store

DEFAULT_CACHE: Final = "~/.cache/soundsweep"

_STUDY: Final = "study"
"""Beside the space in its file: the study's name in a database that many searches share."""


@dataclass(frozen=True)
class SearchFolder:
    """The files of one search: in a folder, or in a bucket with copies of what is being used in a folder.

    Nothing local counts where there is a bucket: a file is written by `writing` and read from what `fetched` returns, on
    whichever machine. Paths name the same files in both.

    Attributes:
        storage: The storage folder of all searches, or the folder for copies.
        name: Of the search.
        bucket: Where the files really are, if not in the folder.
    """

    storage: Path
    name: str
    bucket: Store | None = None

    @classmethod
    def from_storage(cls, storage: str, name: str, cache: str | None = None) -> SearchFolder:
        """The files of a search under a storage folder, or a bucket's URI.

        Args:
            storage: Folder or URI.
            name: Of the search.
            cache: Local folder for copies from a bucket.
        """
        if not uris.is_uri(storage):
            return cls(Path(storage).absolute(), name)
        bucket = Store(storage)
        slug = re.sub(r"[^A-Za-z0-9]+", "-", bucket.name.partition("://")[2]).strip("-")
        digest = hashlib.sha256(uris.redact_argument(storage).encode()).hexdigest()[
            :8
        ]  # other servers have buckets of that name
        return cls(Path(cache or DEFAULT_CACHE).expanduser().absolute() / f"{slug}-{digest}", name, bucket)

    @property
    def root_path(self) -> Path:
        """Everything of this search."""
        return self.storage / "searches" / self.name

    @property
    def identity_path(self) -> Path:
        """What must not change between launches."""
        return self.root_path / "space.json"

    @property
    def journal_path(self) -> Path:
        """The Optuna study."""
        return self.root_path / "study.journal"

    @property
    def datasets_path(self) -> Path:
        """Datasets, shared by all searches."""
        return self.storage / "datasets"

    @property
    def ray_path(self) -> Path:
        """Ray Tune's own files; nothing in them is needed afterwards."""
        return self.root_path / "ray"

    def trial_path(self, number: int) -> Path:
        """Checkpoints of one trial."""
        return self.root_path / "trials" / f"{number:04d}"

    def checkpoint_path(self, number: int) -> Path:
        """The state after the last epoch."""
        return self.trial_path(number) / "checkpoint.pt"

    def model_path(self, number: int) -> Path:
        """The weights of the best epoch."""
        return self.trial_path(number) / "model.pt"

    def figure_path(self, number: int) -> Path:
        """Predictions on the room plan."""
        return self.trial_path(number) / "room.png"

    def _relative_key(self, path: Path) -> str:
        return path.relative_to(self.storage).as_posix()

    def display_path(self, path: Path) -> str:
        """A file or folder as a person finds it."""
        return str(path) if self.bucket is None else f"{self.bucket.name}/{self._relative_key(path)}"

    def has_file(self, path: Path) -> bool:
        """Whether a file is there."""
        return path.is_file() if self.bucket is None else self.bucket.file_size(self._relative_key(path)) is not None

    @contextmanager
    def write_file(self, path: Path) -> Iterator[Path]:
        """Yield a temporary name to write to; what was written is then there under its own, whole or not at all.

        Raises:
            InputError: If the bucket refuses.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.bucket is None:
            with atomic_write(path) as temporary:
                yield temporary
            return
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        try:
            yield temporary
            self.bucket.write_file(self._relative_key(path), temporary.read_bytes())
        finally:
            temporary.unlink(missing_ok=True)

    def fetch_file(self, path: Path) -> Path:
        """A file on this machine, as it is now; if it is not there, neither is the path that is returned.

        Raises:
            InputError: If the bucket refuses.
        """
        if self.bucket is None:
            return path
        content = self.bucket.read_file(self._relative_key(path))
        if content is None:
            path.unlink(missing_ok=True)
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
        return path

    def remove_file(self, path: Path) -> None:
        """Remove a file, if it is there."""
        path.unlink(missing_ok=True)
        if self.bucket is not None:
            self.bucket.delete_file(self._relative_key(path))

    def scratch_options(self) -> dict[str, Any]:
        """Where Ray Tune keeps what only it needs, as `tune.RunConfig` takes it; every node of a cluster reaches it."""
        if self.bucket is None:
            return {"storage_path": str(self.ray_path)}
        filesystem, path = self.bucket.arrow_filesystem(self._relative_key(self.ray_path))
        return {"storage_path": path, "storage_filesystem": filesystem}

    def clear_scratch(self) -> None:
        """Remove it; what cannot be removed does no harm."""
        shutil.rmtree(self.ray_path, ignore_errors=True)
        if self.bucket is not None:
            with suppress(InputError):
                for name in self.bucket.list_names(self._relative_key(self.ray_path)):
                    self.bucket.delete_file(name)

    def is_started(self) -> bool:
        """Whether the search was started before."""
        return self.has_file(self.identity_path)

    def read_identity(self) -> dict[str, Any]:
        """The space as it was when the search started, and the name of its study."""
        loaded: dict[str, Any] = json.loads(self.fetch_file(self.identity_path).read_text(encoding="utf-8"))
        return loaded

    def write_identity(self, identity: dict[str, Any]) -> None:
        """Record the space; a search that starts gets a name for its study that no other has."""
        study = self.read_identity().get(_STUDY) if self.is_started() else f"{self.name}-{uuid.uuid4().hex[:12]}"
        with self.write_file(self.identity_path) as temporary:
            temporary.write_text(json.dumps({**identity, _STUDY: study}, indent=1), encoding="utf-8")

    def study_name(self) -> str:
        """The study's name in a database."""
        return str(self.read_identity().get(_STUDY) or self.name)

    def archive_search(self) -> str:
        """Rename the search out of the way; nothing is deleted.

        Returns:
            Where it is now.
        """
        number = 1
        while self._archive_folder(number).is_started():
            number += 1
        aside = self._archive_folder(number)
        if self.bucket is None:
            self.root_path.rename(aside.root_path)
            return str(aside.root_path)
        files = self.bucket.list_names(self._relative_key(self.root_path))
        first = self._relative_key(
            self.identity_path
        )  # of the copies, so that an interrupted one is not taken for free
        for name in sorted(files, key=lambda name: name != first):
            self.bucket.copy_within(
                name,
                f"{self._relative_key(aside.root_path)}/{name.removeprefix(self._relative_key(self.root_path) + '/')}",
            )
        for name in sorted(files, key=lambda name: name == first):  # last: until then the search is there
            self.bucket.delete_file(name)
        return self.display_path(aside.root_path)

    def _archive_folder(self, number: int) -> SearchFolder:
        return SearchFolder(self.storage, f"{self.name}.old{number}", self.bucket)


def require_writable(storage: str, option: str = "--storage") -> Path:
    """Check that results can be stored, without creating anything.

    Raises:
        InputError: If not.
    """
    path = Path(storage).absolute()
    existing = machine.nearest_existing_parent(path)
    if not existing.is_dir():
        raise InputError(
            option, "storage must be a folder", value=str(existing), remedy="name a folder, or remove that file"
        )
    try:
        # Root passes every permission check and still cannot write everywhere, so write; the file never has a name.
        with tempfile.TemporaryFile(dir=existing):
            return path
    except OSError as error:
        remedy = "change its permissions, or name another folder"
        raise InputError(
            option, "storage must be writable", value=f"{existing}: {error.strerror}", remedy=remedy
        ) from error
