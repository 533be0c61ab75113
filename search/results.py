"""Paths and atomic input/output of the files of a search, in a folder or in a bucket."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runtime import uris
from runtime.bucket_storage import BucketStorage
from runtime.errors import InputError
from runtime.files import atomic_write
from spaces.constraints import Constraint, read_recorded

DEFAULT_CACHE: Final = "~/.cache/soundsweep"

_STUDY: Final = "study"
"""Key of the study's name in the identity file; a database holds the studies of many searches."""
FINGERPRINT: Final = "data"
"""Key of the fingerprint of the dataset in the identity file; searches of earlier versions lack it."""
MAX_TRIALS: Final = "max_trials"
"""Key of the number of trials of the last launch in the identity file; searches of earlier versions lack it."""
CONSTRAINTS: Final = "constraints"
"""Key of the constraints of the last launch in the identity file; searches without constraints lack it."""
STRESS_FILE: Final = "stress.json"
"""Name of the file with the robustness map of a model."""
RESULT_VERSION: Final = 1
"""Version of the format of `result.json`; it changes if a key changes its meaning or disappears."""
_LAUNCH_FOLDER: Final = "launch_folder"
"""Key of the folder of the first launch in the identity file."""


@dataclass(frozen=True)
class SearchFolder:
    """Files of one search: in a folder, or in a bucket with local copies of the files in use.

    With a bucket, its objects are authoritative and local files are only copies: on every machine, `write_file` writes a file
    and `fetch_file` returns its current copy. Paths name the same files in both cases.

    Attributes:
        storage: Storage folder of all searches, or the folder for local copies.
        name: Name of the search.
        bucket: Bucket that holds the files; None if they are in the folder.
    """

    storage: Path
    name: str
    bucket: BucketStorage | None = None

    @classmethod
    def from_storage(cls, storage: str, name: str, cache: str | None = None) -> SearchFolder:
        """Return the files of a search under a storage folder or a bucket.

        Args:
            storage: Local path, or URI of the bucket.
            name: Name of the search.
            cache: Local folder for copies from a bucket.
        """
        if not uris.is_uri(storage):
            return cls(uris.expand_home(storage).absolute(), name)
        bucket = BucketStorage(storage)
        slug = re.sub(r"[^A-Za-z0-9]+", "-", bucket.name.partition("://")[2]).strip("-")
        server = uris.redact_argument(storage).encode()  # includes the endpoint: bucket names repeat across servers
        digest = hashlib.sha256(server).hexdigest()[:8]
        return cls(uris.expand_home(cache or DEFAULT_CACHE).absolute() / f"{slug}-{digest}", name, bucket)

    @property
    def root_path(self) -> Path:
        """Folder of this search."""
        return self.storage / "searches" / self.name

    @property
    def identity_path(self) -> Path:
        """File with the values of the space that must not change between launches."""
        return self.root_path / "space.json"

    @property
    def result_path(self) -> Path:
        """File with the result at the last end of the search, for programs."""
        return self.root_path / "result.json"

    @property
    def space_path(self) -> Path:
        """Space file of the last launch, with its profile and options applied."""
        return self.root_path / "space.yaml"

    @property
    def winner_path(self) -> Path:
        """Space file that trains the winner again."""
        return self.root_path / "winner.yaml"

    @property
    def report_path(self) -> Path:
        """HTML page about the search."""
        return self.root_path / "report.html"

    @property
    def live_page_path(self) -> Path:
        """HTML page about the search while it runs."""
        return self.root_path / "live.html"

    @property
    def lock_path(self) -> Path:
        """Path of the file that the launch of a search on this machine locks."""
        return self.storage / "searches" / f".{self.name}.lock"

    @property
    def journal_path(self) -> Path:
        """Journal file of the Optuna study."""
        return self.root_path / "study.journal"

    @property
    def datasets_path(self) -> Path:
        """Folder of the datasets, shared by all searches."""
        return self.storage / "datasets"

    def trial_path(self, number: int) -> Path:
        """Return the folder of a trial."""
        return self.root_path / "trials" / f"{number:04d}"

    def checkpoint_path(self, number: int) -> Path:
        """Return the path of a trial's state after its last epoch."""
        return self.trial_path(number) / "checkpoint.pt"

    def model_path(self, number: int) -> Path:
        """Return the path of a trial's model from its best epoch."""
        return self.trial_path(number) / "model.pt"

    def log_path(self, number: int) -> Path:
        """Return the path of what a trial has printed."""
        return self.trial_path(number) / "log.txt"

    def scenes_path(self, number: int) -> Path:
        """Return the path of a trial's results per scene of the test splits."""
        return self.trial_path(number) / "scenes.npz"

    def errors_path(self, number: int) -> Path:
        """Return the path of the errors of a trial's model on the test splits."""
        return self.trial_path(number) / "errors.npz"

    def stress_path(self, number: int) -> Path:
        """Return the path of the robustness map of a trial's model."""
        return self.trial_path(number) / STRESS_FILE

    def figure_path(self, number: int) -> Path:
        """Return the path of the figure with a trial's predictions."""
        return self.trial_path(number) / "room.png"

    def _relative_key(self, path: Path) -> str:
        return path.relative_to(self.storage).as_posix()

    def display_path(self, path: Path) -> str:
        """Return a file or folder as users find it: as a path, or as the URI of an object."""
        return str(path) if self.bucket is None else f"{self.bucket.name}/{self._relative_key(path)}"

    def has_file(self, path: Path) -> bool:
        """Return whether a file exists."""
        return path.is_file() if self.bucket is None else self.bucket.file_size(self._relative_key(path)) is not None

    def file_size(self, path: Path) -> int:
        """Return the size of a file in bytes; 0 if it does not exist."""
        if self.bucket is None:
            return path.stat().st_size if path.is_file() else 0
        return self.bucket.file_size(self._relative_key(path)) or 0

    @contextmanager
    def write_file(self, path: Path) -> Iterator[Path]:
        """Yield a temporary path; its content then replaces the file atomically.

        Raises:
            InputError: If the bucket rejects the request.
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

    def write_text(self, path: Path, text: str) -> None:
        """Write text to a file atomically, to the bucket too.

        Raises:
            InputError: If the bucket rejects the request.
        """
        with self.write_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def fetch_file(self, path: Path) -> Path:
        """Return the local path of a file's current content; if the file does not exist, neither does the path.

        Raises:
            InputError: If the bucket rejects the request.
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

    def upload_file(self, path: Path) -> None:
        """Upload a file that was written at its local path; without a bucket it is in place already.

        Raises:
            StorageError: If the bucket rejects the request.
        """
        if self.bucket is not None:
            self.bucket.write_file(self._relative_key(path), path.read_bytes())

    def copy_file(self, path: Path, to: Path) -> None:
        """Copy a file atomically, if it exists.

        Raises:
            StorageError: If the bucket rejects a request.
        """
        source = self.fetch_file(path)
        if source.is_file():
            with self.write_file(to) as temporary:
                shutil.copyfile(source, temporary)

    def remove_file(self, path: Path) -> None:
        """Remove a file if it exists."""
        path.unlink(missing_ok=True)
        if self.bucket is not None:
            self.bucket.delete_file(self._relative_key(path))

    def put_aside(self, path: Path) -> str:
        """Rename a corrupt file, so that it is not read again; return its new location.

        Raises:
            InputError: If the bucket rejects the request.
        """
        aside = path.with_name(f"{path.name}.corrupt")
        with suppress(FileNotFoundError):  # another process of the trial has renamed it
            path.replace(aside)
        if self.bucket is not None:
            self.bucket.copy_within(self._relative_key(path), self._relative_key(aside))
            self.bucket.delete_file(self._relative_key(path))
        return self.display_path(aside)

    def checkpointed_trials(self) -> set[int]:
        """Return the numbers of the trials that have a checkpoint.

        Raises:
            InputError: If the bucket rejects the request.
        """
        folder = self.root_path / "trials"
        if self.bucket is None:
            paths = list(folder.glob("*/checkpoint.pt"))
        else:
            paths = [Path(name) for name in self.bucket.list_names(self._relative_key(folder))]
        return {int(path.parent.name) for path in paths if path.name == "checkpoint.pt"}

    def is_started(self) -> bool:
        """Return whether the search has been started."""
        return self.has_file(self.identity_path)

    def list_searches(self) -> list[str]:
        """Return the names of the searches in the storage.

        Raises:
            InputError: If the bucket rejects the request.
        """
        pattern = f"*/{self.identity_path.name}"
        folder = self.storage / "searches"
        if self.bucket is None:
            return sorted(path.parent.name for path in folder.glob(pattern))
        paths = [Path(name) for name in self.bucket.list_names(self._relative_key(folder))]
        return sorted(path.parent.name for path in paths if path.match(f"searches/{pattern}"))

    def read_identity(self) -> dict[str, Any]:
        """Return the identity of the space at the start of the search, with the name of its study.

        Raises:
            InputError: If the file is corrupt.
        """
        content = self.fetch_file(self.identity_path).read_bytes()
        try:
            loaded = json.loads(content)
        except ValueError:
            loaded = None
        if not isinstance(loaded, dict):
            raise InputError(
                self.display_path(self.identity_path),
                "the file with the space of a search must be a JSON object",
                value=content[:40].decode(errors="backslashreplace"),
                remedy="restore the file from a backup, or archive the search with --fresh and start over",
            )
        return loaded

    def read_constraints(self) -> tuple[Constraint, ...]:
        """Return the constraints of the last launch.

        Raises:
            InputError: If the file of the identity is corrupt.
        """
        return read_recorded(self.read_identity().get(CONSTRAINTS))

    def read_result(self) -> dict[str, Any] | None:
        """Return the content of `result.json`; None before the end of a search, and if another version wrote the file."""
        try:
            content = json.loads(self.fetch_file(self.result_path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) and content.get("version") == RESULT_VERSION else None

    def read_winner(self) -> int | None:
        """Return the number of the winner as the last end of the search has recorded it; None before."""
        content = self.read_result()
        return None if content is None else int(content["winner"])

    def read_launch_folder(self) -> Path | None:
        """Return the folder of the first launch; None for searches of earlier versions."""
        recorded = self.read_identity().get(_LAUNCH_FOLDER)
        return None if recorded is None else Path(recorded)

    def write_identity(self, identity: dict[str, Any], launch_folder: Path | None = None) -> None:
        """Write the identity of the space; a search that starts gets a unique name for its study.

        Args:
            identity: Values that must not change between launches.
            launch_folder: Folder of this launch, recorded unless that of an earlier one is.
        """
        before = self.read_identity() if self.is_started() else {_STUDY: f"{self.name}-{uuid.uuid4().hex[:12]}"}
        content = {**identity, _STUDY: before.get(_STUDY)}
        if _LAUNCH_FOLDER in before or launch_folder is not None:
            content[_LAUNCH_FOLDER] = before.get(_LAUNCH_FOLDER, str(launch_folder))
        self.write_text(self.identity_path, json.dumps(content, indent=1))

    def study_name(self) -> str:
        """Return the name of the study in a database."""
        return str(self.read_identity().get(_STUDY) or self.name)

    def archive_search(self) -> str:
        """Move the search to an unused name; nothing is deleted.

        Returns:
            The new location.
        """
        number = 1
        while self._archive_folder(number).root_path.exists() or self._archive_folder(number).is_started():
            number += 1
        archive = self._archive_folder(number)
        if self.bucket is None:
            self.root_path.rename(archive.root_path)
            return str(archive.root_path)
        files = self.bucket.list_names(self._relative_key(self.root_path))
        identity = self._relative_key(self.identity_path)
        source, target = self._relative_key(self.root_path), self._relative_key(archive.root_path)
        for name in sorted(files, key=lambda name: name != identity):  # identity first: it marks the new name as used
            self.bucket.copy_within(name, f"{target}/{name.removeprefix(source + '/')}")
        for name in sorted(files, key=lambda name: name == identity):  # identity last: until then the search exists
            self.bucket.delete_file(name)
        return self.display_path(archive.root_path)

    def list_archives(self) -> list[SearchFolder]:
        """Return the archived searches of this name, oldest first."""
        archives: list[SearchFolder] = []
        while (folder := self._archive_folder(len(archives) + 1)).is_started():
            archives.append(folder)
        return archives

    def _archive_folder(self, number: int) -> SearchFolder:
        return SearchFolder(self.storage, f"{self.name}.old{number}", self.bucket)
