"""Files of the MLflow store in a storage folder: the SQLite database and the artifacts, also after they were moved or copied.

MLflow records absolute artifact locations, and has no operation that changes them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from runtime.errors import InputError

DATABASE: Final = "mlflow.db"
ARTIFACTS: Final = "mlartifacts"

_COLUMNS: Final = (("experiments", "artifact_location"), ("runs", "artifact_uri"))
_REGISTRY_COLUMNS: Final = (("model_versions", "source"), ("model_versions", "storage_location"))
"""Locations of registered models, which lie in the artifacts of a run; absent from databases of early versions of MLflow."""
_TIMEOUT_S: Final = 30.0
_REMOVE: Final = "move the file away; the study is complete, and --resume writes its trials to a new database"


def check_database(storage: Path) -> None:
    """Check that the database in a storage folder, if there is one, can be read.

    Raises:
        InputError: If it cannot.
    """
    path = storage / DATABASE
    if path.exists():
        with _open_database(path) as database:
            database.execute("select count(*) from sqlite_master").fetchone()


def relocate_artifacts(storage: Path) -> int:
    """Let the database in a storage folder refer to the artifacts beside it, if the folder was moved or copied.

    A location elsewhere is kept while it exists, unless this folder has the same artifacts too: runs of a copy must not write
    into the original.

    Returns:
        The number of experiments with a new location.

    Raises:
        InputError: If the database cannot be read or written.
    """
    path, root = storage / DATABASE, storage / ARTIFACTS
    if not path.is_file():
        return 0
    with _open_database(path) as database:
        tables = {row[0] for row in database.execute("select name from sqlite_master")}
        if not {table for table, _ in _COLUMNS} <= tables:
            return 0
        locations = [row[0] for row in database.execute("select artifact_location from experiments")]
        moved = {old for old in locations if old is not None and _is_moved(old, root)}
        columns = [*_COLUMNS, *(pair for pair in _REGISTRY_COLUMNS if _has_column(database, *pair))]
        for old in moved:
            for table, column in columns:
                database.execute(
                    f"update {table} set {column} = ? || substr({column}, ?) where {column} = ? or {column} like ? escape '!'",
                    (_new_location(old, root), len(old) + 1, old, _like_prefix(old)),
                )
        database.commit()
    return sum(location in moved for location in locations)


def remove_stray_folders(uri: str) -> None:
    """Remove the empty folders that MLflow creates at the quoted path of an SQLite database, if its path needs quoting."""
    quoted = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else Path()
    actual = set(Path(unquote(str(quoted))).parents)
    for folder in quoted.parents:
        if folder not in actual:
            with suppress(OSError):
                folder.rmdir()


def _is_moved(location: str, root: Path) -> bool:
    """Return whether an artifact location lies in a storage folder that is now another one."""
    parent, _, name = location.rpartition("/")
    if not parent.startswith("file:") or not parent.endswith(f"/{ARTIFACTS}"):
        return False
    old = Path(url2pathname(urlsplit(parent).path))
    if old == root or (old.exists() and root.exists() and old.samefile(root)):
        return False
    return not old.exists() or (root / url2pathname(name)).exists()


def _has_column(database: sqlite3.Connection, table: str, column: str) -> bool:
    return database.execute("select 1 from pragma_table_info(?) where name = ?", (table, column)).fetchone() is not None


def _new_location(location: str, root: Path) -> str:
    return f"{root.as_uri()}/{location.rpartition('/')[2]}"


def _like_prefix(location: str) -> str:
    """Return the SQL pattern of the locations below another one."""
    for character in "!%_":
        location = location.replace(character, f"!{character}")
    return f"{location}/%"


@contextmanager
def _open_database(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=_TIMEOUT_S)) as database:
            yield database
    except sqlite3.Error as error:
        remedy = "end the program that holds it, and check the permissions of the file and its folder"
        if "not a database" in str(error) or "malformed" in str(error):
            remedy = _REMOVE
        raise InputError(
            str(path), "the database of MLflow must be readable", value=str(error), remedy=remedy
        ) from None
