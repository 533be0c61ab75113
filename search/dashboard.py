"""Optuna's dashboard on the study of a search, for reading only; the only file that uses optuna-dashboard.

`optuna-dashboard runs/searches/NAME/study.journal` opens the same study, but lets a browser delete it.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from runtime import uris
from runtime.errors import InputError
from search.launching.existing import describe_names
from search.results import SearchFolder

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_READING: Final = ("GET", "HEAD")

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application."""


class _Server(ThreadingMixIn, WSGIServer):
    """Server that answers each request in a thread; a browser opens several connections."""

    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    """Handler that logs no requests."""

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def require_dashboard() -> None:
    """Check that optuna-dashboard is installed.

    Raises:
        InputError: If not.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise InputError(
            "--optuna",
            "the package optuna-dashboard must be installed",
            remedy="pip install -c constraints.txt -e '.[dashboard]'",
        )


@dataclass(frozen=True)
class StudyPlace:
    """Where a study is.

    Attributes:
        location: Path of a journal, or URI of a database.
        name: Name of the study to link; None for the only one of a journal, or all of a database.
        folder: Folder of the search, with the files that its study names; None if it is not known.
    """

    location: Path | str
    name: str | None = None
    folder: Path | None = None


def serve_dashboard(place: StudyPlace, port: int) -> int:
    """Serve the dashboard on loopback until it is interrupted.

    Args:
        place: Study to serve.
        port: Free port.

    Raises:
        InputError: If the study does not exist.
    """
    from search.study.storage import close_storage

    storage = _open_for_reading(place.location)
    try:
        return _serve_storage(storage, place.name, place.folder, port)
    finally:
        close_storage(storage)


def _serve_storage(storage: BaseStorage, study_name: str | None, folder: Path | None, port: int) -> int:
    address = f"http://127.0.0.1:{port}/dashboard/"
    names = {study.study_name: study._study_id for study in storage.get_all_studies()}
    if study_name is not None and study_name not in names:
        raise InputError(
            "SEARCH",
            "the study of the search must be in the database",
            value=study_name,
            remedy=f"name another search or --study; it holds: {', '.join(sorted(names)) or 'nothing'}",
        )
    with make_server("127.0.0.1", port, build_application(storage, folder), _Server, _QuietHandler) as server:
        for name, number in names.items():
            if study_name in (None, name):
                print(f"{name}\n  {address}studies/{number}")
        print(f"all studies\n  {address}\nFor reading only; press Ctrl-C to stop the server.", flush=True)
        server.serve_forever()
    return 0


def build_application(storage: BaseStorage, folder: Path | None = None) -> Application:
    """Return the dashboard as a WSGI application that refuses to change the study.

    Args:
        storage: Storage of the study.
        folder: Folder of the search, with the files that its study names; None if it is not known.
    """
    from optuna_dashboard import wsgi

    from search.study.artifacts import FolderArtifacts

    dashboard: Application = wsgi(storage, artifact_store=None if folder is None else FolderArtifacts(folder))

    def read_only(environment: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environment["REQUEST_METHOD"] in _READING:
            return dashboard(environment, start_response)
        start_response("405 Method Not Allowed", [("Content-Type", "application/json"), ("Allow", "GET, HEAD")])
        return [b'{"reason": "The study of a search can only be read here."}']

    return read_only


def _open_for_reading(location: Path | str) -> BaseStorage:
    from search.study import storage as database
    from search.study.journal_storage import follow_journal

    warnings.simplefilter("ignore")  # parts of Optuna that the dashboard uses are experimental
    if isinstance(location, Path):
        return follow_journal(location)
    database.check_study_uri(location)
    opened: Any = database.open_storage(location)
    storage: BaseStorage = opened.storage  # a page that cannot be loaded is better than one that waits
    return storage


def find_study(storage: str, search: str | None, study_uri: str | None) -> StudyPlace:
    """Return where the study of a search is.

    Args:
        storage: Storage folder.
        search: Name of the search; None for the only one of the storage, or all of a database.
        study_uri: URI of the database; None if the study is a journal.

    Raises:
        InputError: If there is no such search, or it has no journal.
    """
    if study_uri is not None and uris.is_uri(storage):
        return StudyPlace(study_uri)
    names = [] if uris.is_uri(storage) else SearchFolder(Path(storage), "").list_searches()
    chosen = names[0] if search is None and len(names) == 1 else search
    if study_uri is not None:
        folder = SearchFolder(Path(storage), chosen) if chosen in names and chosen is not None else None
        return (
            StudyPlace(study_uri, chosen)
            if folder is None
            else StudyPlace(study_uri, folder.study_name(), folder.root_path)
        )
    if chosen is None or chosen not in names:
        raise InputError(
            "SEARCH", "the search must exist in --storage", value=chosen, remedy=describe_names(chosen or "", names)
        )
    folder = SearchFolder(Path(storage), chosen)
    journal = folder.journal_path
    if not journal.is_file():
        raise InputError(
            "--optuna",
            "the search must have a study",
            value=f"no {journal}",
            remedy="if its study is in a database, add --study postgresql://…",
        )
    return StudyPlace(journal, folder=folder.root_path)
