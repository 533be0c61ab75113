"""Where a search keeps its files, its study and its runs, checked before anything is started."""

from __future__ import annotations

import argparse
import http.client
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runtime import uris
from runtime.errors import InputError
from runtime.storage import Store
from search.results import SearchFolder, require_writable
from search.study import storage as database

_SERVERS: Final = ("http://", "https://")
_PATIENCE_S: Final = 10


def results_folder(options: argparse.Namespace, name: str) -> SearchFolder:
    """The search's files.

    Raises:
        InputError: If they cannot be written, or a bucket lacks the databases beside it.
    """
    if not uris.is_uri(options.storage):
        require_writable(options.storage)
        return SearchFolder.from_storage(options.storage, name)
    if options.study is None:
        raise _missing_model_error(
            options.storage, "--study postgresql://… or grpc://…", "a study's journal grows line by line"
        )
    if options.tracking_uri is None or not options.tracking_uri.startswith(_SERVERS):
        raise _missing_model_error(
            options.storage, "--tracking-uri http://host:port", "MLflow's database is a file that changes"
        )
    folder = SearchFolder.from_storage(options.storage, name, options.cache)
    require_writable(str(folder.storage), "--cache")
    if not options.dry_run:
        Store(options.storage).require_open()
    return folder


def _missing_model_error(uri: str, option: str, why: str) -> InputError:
    return InputError(
        "--storage",
        f"{why}, and objects of a bucket are only written whole",
        value=uris.redact_argument(uri),
        remedy=f"add {option}, or name a folder as --storage",
    )


@contextmanager
def open_model_path(where: str) -> Iterator[Path]:
    """Yield a local path of a model: as it was named, or a copy of what lies in a bucket.

    Args:
        where: A path, or the URI of a model.pt or of a trial's folder.

    Raises:
        InputError: If there is nothing, or the bucket does not answer.
    """
    if not uris.is_uri(where):
        if not Path(where).exists():
            raise _no_model_error(
                where, "name a model.pt, a trial's folder, or a search's folder such as runs/searches/rg_rep"
            )
        yield Path(where)
        return
    address, mark, options = where.partition("?")
    file = address if address.endswith(".pt") else f"{address.rstrip('/')}/model.pt"
    folder, _, name = file.rpartition("/")
    content = Store(f"{folder}{mark}{options}").read_file(name)
    if content is None:
        raise _no_model_error(
            uris.redact_uri(where),
            "in a bucket, name a model.pt or a trial's folder; a search's last lines name its winner's",
        )
    with tempfile.TemporaryDirectory() as here:
        copy = Path(here) / name
        copy.write_bytes(content)
        yield copy


def _no_model_error(where: str, remedy: str) -> InputError:
    return InputError(where, "the model must exist", remedy=remedy)


def absolute_storage(where: str) -> str:
    """A storage folder's path from the root, since trials work elsewhere; a URI stays as it is."""
    return where if uris.is_uri(where) else str(Path(where).absolute())


def check_options(options: argparse.Namespace) -> None:
    """Check the URIs of the study and of MLflow; a dry run asks nobody.

    Raises:
        InputError: If one is none, or nobody answers there.
    """
    _check_tracking(options.tracking_uri, ask=not options.dry_run)
    if options.study is not None:
        database.check_study_uri(options.study, ask=not options.dry_run)


def _check_tracking(uri: str | None, *, ask: bool) -> None:
    if uri is None:
        return
    known = ("sqlite:///", "postgresql://", "mysql://", *_SERVERS)
    if not uri.startswith(known):
        raise InputError(
            "--tracking-uri",
            "MLflow's store is a database or a server",
            value=uris.redact_argument(uri),
            remedy="use one of " + ", ".join(known),
        )
    if uri.startswith("sqlite:///"):
        require_writable(str(Path(uri.removeprefix("sqlite:///")).absolute().parent))
    elif uri.startswith(_SERVERS) and ask:
        _require_server(uri)


def _require_server(uri: str) -> None:
    try:
        status = _server_status(uri)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _no_server_error(uri, uris.redact_text(str(error), uri) or type(error).__name__) from None
    if status >= 500:
        raise _no_server_error(uri, f"HTTP status {status}")


def _server_status(uri: str) -> int:
    """What a tracking server says of its health; one that wants a password first is there, too."""
    parts = urlsplit(uri)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/health")
        return connection.getresponse().status
    finally:
        connection.close()


def _no_server_error(uri: str, reason: str) -> InputError:
    return InputError(
        "--tracking-uri",
        f"an MLflow server must answer at {uris.redact_uri(uri)}",
        value=reason,
        remedy="start it (docs/cluster.md), correct the address, or leave --tracking-uri out",
    )
