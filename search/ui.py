"""`python -m search.ui [SEARCH]`: MLflow's pages on this project's store, the runs of a search ready to compare."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime import uris
from runtime.cli import Parser
from runtime.errors import InputError, suggest_name


def main(arguments: Sequence[str] | None = None) -> int:
    """Become the server; returns only if something is wrong."""
    parser = Parser(prog="python -m search.ui", description="Compare trials in MLflow's UI.", allow_abbrev=False)
    parser.add_argument("search", nargs="?", help="name of a search; its runs are linked side by side")
    parser.add_argument("--storage", default="runs", metavar="DIR", help="as given to search.launch (default: ./runs)")
    parser.add_argument("--port", type=int, default=5000, help="on 127.0.0.1 (default: 5000)")
    try:
        options = parser.parse_args(arguments)
        database = _find_database(options)
        _require_free_port(options.port)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    address = f"http://127.0.0.1:{options.port}"
    for name, link in _print_links(database, options.search):
        print(f"{name}\n  {address}/{link}")
    print(f"everything\n  {address}\nCtrl-C ends the server; it takes some seconds to start.", flush=True)
    # Without the job runner the server is two processes instead of fifteen, and starts in half the time.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}
    words = [
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        f"sqlite:///{database}",
        "--workers",
        "1",
        "--host",
        "127.0.0.1",
    ]
    return int(os.execve(sys.executable, [sys.executable, *words, "--port", str(options.port)], environment))


def _find_database(options: argparse.Namespace) -> Path:
    if uris.is_uri(options.storage):
        raise InputError(
            "--storage",
            "runs of searches in a bucket are on the server that --tracking-uri named",
            value=uris.redact_argument(options.storage),
            remedy="open that address in a browser",
        )
    database = Path(options.storage).absolute() / "mlflow.db"
    if not database.is_file():
        raise InputError(
            "--storage",
            "there must be results to show",
            value=str(database),
            remedy="run a search first, or name its --storage",
        )
    searches = sorted(path.name for path in (database.parent / "searches").glob("*") if path.is_dir())
    if options.search is not None and options.search not in searches:
        raise InputError(
            "SEARCH", "the search must exist", value=options.search, remedy=suggest_name(options.search, searches)
        )
    return database


def _require_free_port(port: int) -> None:
    if not 1 <= port <= 65535:
        raise InputError("--port", "a port lies in 1 … 65535", value=port, remedy="e.g. --port 5001")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError("--port", "the port must be free", value=port, remedy=f"--port {port + 1}") from error


def _print_links(database: Path, search: str | None) -> list[tuple[str, str]]:
    from search.reporting.mlflow_logger import MlflowStore, comparison_links

    return comparison_links(MlflowStore(f"sqlite:///{database}", None), search)


if __name__ == "__main__":
    sys.exit(main())
