"""Deletion of searches: the folder under another name first, so that an interrupted deletion leaves no half search."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from search.catalog.reading import running_holder
from search.launching.lease import held_error
from search.results import SearchFolder
from search.study.reading import delete_study


@dataclass(frozen=True)
class Deletion:
    """What the deletion of a search has removed.

    Attributes:
        files: Number of files.
        size: Bytes of the files of a folder; 0 for a bucket, which is not asked for sizes.
        has_study: Whether a study in a database was deleted.
    """

    files: int
    size: int
    has_study: bool


def require_idle(folder: SearchFolder) -> None:
    """Check that no process runs a search, here or on another machine, as far as its lease tells.

    Raises:
        InputError: If one does.
    """
    holder = running_holder(folder)
    if holder is not None:
        raise held_error(folder.display_path(folder.root_path), holder)


def delete_search(folder: SearchFolder, study_uri: str | None) -> Deletion:
    """Delete a search whose lock is held: its study in a database, if it is there, and its files.

    Raises:
        InputError: If the bucket or the database rejects a request.
    """
    has_study = study_uri is not None and delete_study(study_uri, folder.study_name())
    files, size = _delete_bucket_files(folder) if folder.bucket is not None else _delete_folder(folder)
    return Deletion(files, size, has_study)


def _delete_folder(folder: SearchFolder) -> tuple[int, int]:
    aside = folder.root_path.with_name(f".{folder.name}.deleted")
    shutil.rmtree(aside, ignore_errors=True)  # of a deletion that was interrupted
    folder.root_path.rename(aside)
    files = [path for path in aside.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    shutil.rmtree(aside)
    return len(files), size


def _delete_bucket_files(folder: SearchFolder) -> tuple[int, int]:
    """Delete the objects of a search, the identity first, without which it is listed no more; and its local copies."""
    assert folder.bucket is not None
    identity = folder.identity_path.relative_to(folder.storage).as_posix()
    names = folder.bucket.list_names(folder.root_path.relative_to(folder.storage).as_posix())
    for name in sorted(names, key=lambda name: name != identity):
        folder.bucket.delete_file(name)
    shutil.rmtree(folder.root_path, ignore_errors=True)
    return len(names), 0
