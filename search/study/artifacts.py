"""Files of a search as Optuna's artifacts: named in the study, and read from the folder where they are."""

from __future__ import annotations

import json
import mimetypes
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

import optuna
from optuna.artifacts.exceptions import ArtifactNotFound

PREFIX: Final = "artifacts:"
"""Prefix of the system attributes in which Optuna keeps what it knows of artifacts."""
_PATTERNS: Final = ("*.html", "*.md", "*.yaml", "trials/*/room.png", "trials/*/model.pt", "trials/*/log.txt")


def name_artifacts(study: optuna.Study, paths: Iterable[str]) -> None:
    """Name files as artifacts of a study, which optuna-dashboard shows, unless they are named already.

    Those of a trial would have to be named while it runs; most of these files exist at the end of the search only.

    Args:
        study: The study.
        paths: Paths relative to the folder of the search, which determine the ids.
    """
    present = study._storage.get_study_system_attrs(study._study_id)
    for key, value in map(_describe_artifact, paths):
        if present.get(key) != value:
            study._storage.set_study_system_attr(study._study_id, key, value)


def _describe_artifact(path: str) -> tuple[str, str]:
    mimetype, encoding = mimetypes.guess_type(path)
    number = _identify(path)
    meta = {"artifact_id": number, "filename": path, "mimetype": mimetype or "application/octet-stream"}
    return f"{PREFIX}{number}", json.dumps(meta | {"encoding": encoding})


def _identify(path: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, path))


class FolderArtifacts:
    """Store of Optuna's artifacts that reads the files of a search; an `optuna.artifacts.ArtifactStore`.

    Args:
        folder: Folder of the search.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file for reading.

        Raises:
            ArtifactNotFound: If it does not exist any more.
        """
        for path in self._list_files():
            if _identify(path.relative_to(self._folder).as_posix()) == artifact_id:
                return path.open("rb")
        raise ArtifactNotFound(artifact_id)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Refuse to write: the files are those of the search.

        Raises:
            PermissionError: Always.
        """
        del content_body
        raise PermissionError(f"artifact {artifact_id}: the files of a search are for reading only")

    def remove(self, artifact_id: str) -> None:
        """Refuse to remove a file.

        Raises:
            PermissionError: Always.
        """
        raise PermissionError(f"artifact {artifact_id}: the files of a search are for reading only")

    def _list_files(self) -> Iterable[Path]:
        for pattern in _PATTERNS:
            yield from self._folder.glob(pattern)
