"""`python -m search.ui [SEARCH]`: serve MLflow's UI for a storage folder, with links that compare the trials of searches."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime import uris
from runtime.cli import Parser, run_command
from runtime.errors import InputError
from search import dashboard
from search.launching.existing import describe_names
from search.launching.storage_options import SERVER_SCHEMES, add_tracking_option
from search.reporting.mlflow.files import check_database, relocate_artifacts
from search.results import SearchFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Replace this process by the MLflow server; return an exit status only on errors."""
    parser = Parser(
        prog="python -m search.ui",
        description="Serve MLflow's UI and print links to the tables of trials.",
        allow_abbrev=False,
    )
    parser.add_argument("search", nargs="?", help="name of a search to link (default: all searches)")
    parser.add_argument(
        "--storage",
        type=uris.absolute_location,
        default="runs",
        metavar="DIR",
        help="storage folder as for search.launch (default: ./runs)",
    )
    parser.add_argument("--port", type=int, default=5000, help="port on 127.0.0.1 (default: 5000)")
    parser.add_argument(
        "--optuna", action="store_true", help="serve optuna-dashboard on the study of the search instead of MLflow"
    )
    parser.add_argument(
        "--study", metavar="URI", help="with --optuna: postgresql://… or grpc://… of a study that is in a database"
    )
    add_tracking_option(parser, "MLflow store as for search.launch; a server is only linked, a database is served")
    return run_command(lambda: _serve(parser.parse_args(arguments)), stopped="Stopped.")


def _serve(options: argparse.Namespace) -> int:
    if options.optuna or options.study is not None:
        return _serve_dashboard(options)
    if options.tracking_uri is not None and options.tracking_uri.startswith(SERVER_SCHEMES):
        return _link_server(options.tracking_uri, options.search)
    backend, links = _open_store(options)
    _require_free_port(options.port)
    address = f"http://127.0.0.1:{options.port}"
    _print_links(address, links)
    print(f"all searches\n  {address}\nThe server starts within seconds; press Ctrl-C to stop it.", flush=True)
    # Without the job runner the server has 2 processes instead of 15, and starts in half the time.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}
    environment |= {"MLFLOW_BACKEND_STORE_URI": backend}  # no argument, which others see: it may hold a password
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--workers",
        "1",
        "--host",
        "127.0.0.1",
        "--port",
        str(options.port),
    ]
    return int(os.execve(sys.executable, command, environment))


def _print_links(address: str, links: Sequence[tuple[str, str]]) -> None:
    for name, link in links:
        print(f"{name}\n  {address}/{link}")


def _link_server(uri: str, search: str | None) -> int:
    """Print the links of a server that runs already."""
    links = _list_links(uri, search)
    address = uris.redact_uri(uri).rstrip("/")
    _print_links(address, links)
    print(f"all searches\n  {address}")
    return 0


def _open_store(options: argparse.Namespace) -> tuple[str, list[tuple[str, str]]]:
    """Return the URI of the database to serve, and the links of its searches."""
    if options.tracking_uri is not None:
        return options.tracking_uri, _list_links(options.tracking_uri, options.search)
    database = _find_database(options)
    relocate_artifacts(database.parent)
    return uris.sqlite_uri(database), _table_links(database, options.search)


def _list_links(uri: str, search: str | None) -> list[tuple[str, str]]:
    """Return the links of a search, or of all searches, of a store at a tracking URI.

    Raises:
        InputError: If it cannot be read, or does not have the search.
    """
    from search.reporting.mlflow.api import MlflowException
    from search.reporting.mlflow.errors import describe_error
    from search.reporting.mlflow.store import MlflowStore, search_links

    try:
        links = search_links(MlflowStore(uri, None), None, None)
    except MlflowException as error:
        raise InputError(
            "--tracking-uri",
            "the MLflow store must be readable",
            value=f"{uris.redact_uri(uri)}: {describe_error(error, uri)}",
            remedy="check the address, and that the server runs",
        ) from error
    found = [link for link in links if search in (None, link[0])]
    if search is not None and not found:
        names = [name for name, _ in links]
        raise InputError(
            "SEARCH", "the search must be in the store", value=search, remedy=describe_names(search, names)
        )
    return found


def _serve_dashboard(options: argparse.Namespace) -> int:
    dashboard.require_dashboard()
    _require_free_port(options.port)
    place = dashboard.find_study(options.storage, options.search, options.study)
    return dashboard.serve_dashboard(place, options.port)


def _find_database(options: argparse.Namespace) -> Path:
    if uris.is_uri(options.storage):
        raise InputError(
            "--storage",
            "searches in a bucket log to the MLflow server given by --tracking-uri",
            value=uris.redact_argument(options.storage),
            remedy="give its address with --tracking-uri",
        )
    database = Path(options.storage).absolute() / "mlflow.db"
    if not database.is_file():
        raise InputError(
            "--storage",
            "the folder must hold results of a search",
            value=str(database),
            remedy="run a search first, or give the --storage of a search",
        )
    searches = sorted(path.name for path in (database.parent / "searches").glob("*") if path.is_dir())
    if options.search is not None and options.search not in searches:
        raise InputError(
            "SEARCH", "the search must exist", value=options.search, remedy=describe_names(options.search, searches)
        )
    check_database(database.parent)
    return database


def _require_free_port(port: int) -> None:
    if not 1 <= port <= 65535:
        raise InputError("--port", "a port must be in 1 … 65535", value=port, remedy="e.g. --port 5001")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError("--port", "the port must be free", value=port, remedy=f"--port {port + 1}") from error


def _table_links(database: Path, search: str | None) -> list[tuple[str, str]]:
    """Return the links of a search, or of all searches."""
    from search.reporting.mlflow.store import MlflowStore, search_links
    from search.reporting.mlflow.views import TableView
    from search.study.study import read_parent_run_id

    store = MlflowStore.from_uri(database.parent, None)
    if search is None:
        return search_links(store, None, None)
    folder = SearchFolder(database.parent, search)
    if not folder.journal_path.is_file():  # the study is in a database
        return [link for link in search_links(store, None, None) if link[0] == search]
    identity = folder.read_identity()
    tests = identity["dataset"].get("tests") or {}
    view = TableView.of_search(identity["objectives"], list(tests), list(identity["search"]))
    parent = read_parent_run_id(folder.journal_path, None)
    return [] if parent is None else [(search, link) for _, link in search_links(store, parent, view)]


if __name__ == "__main__":
    sys.exit(main())
