"""`python deploy/services.py start | keep`: what runs on the head beside the driver, reached by ssh alone.

MLflow on port 5000 and the study on port 13000 (Optuna's gRPC proxy), both on loopback, on SQLite files. Their copies in the
bucket are at most five minutes old, and a new head starts from them. With SOUNDSWEEP_DATABASE=postgresql://… both are there
instead, and nothing is copied.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyarrow import fs

_EVERY_S: Final = 300.0
_PATIENCE_S: Final = 180.0
_NAMES: Final = ("mlflow", "study")
_SCHEMA: Final = "study"
"""Of the study's tables in PostgreSQL: MLflow and Optuna both keep their version in a table called alembic_version."""
_PROXY: Final = (
    "import sys; from optuna.storages import RDBStorage, run_grpc_proxy_server;"
    "storage = RDBStorage(sys.argv[1], engine_kwargs={'pool_pre_ping': True});"
    "run_grpc_proxy_server(storage, host='127.0.0.1', port=13000)"
)


def fetch_databases(storage: str, state: Path) -> list[str]:
    """Copy from the bucket what is not here yet; returns the names of what came."""
    system, base = fs.FileSystem.from_uri(storage)
    came = []
    for name in _NAMES:
        there, here = f"{base}/state/{name}.db", state / f"{name}.db"
        if not here.exists() and system.get_file_info(there).type == fs.FileType.File:
            whole = here.with_suffix(".part")
            fs.copy_files(there, str(whole), source_filesystem=system, destination_filesystem=fs.LocalFileSystem())
            whole.replace(here)
            came.append(name)
    return came


def keep_databases(storage: str, state: Path) -> list[str]:
    """Copy the databases to the bucket, each as it was at one moment; returns the names of what went."""
    system, base = fs.FileSystem.from_uri(storage)
    system.create_dir(f"{base}/state", recursive=True)
    went = []
    for name in _NAMES:
        if (state / f"{name}.db").exists():
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / "copy.db"
                with sqlite3.connect(state / f"{name}.db") as source, sqlite3.connect(copy) as target:
                    source.backup(target)
                source.close()
                target.close()
                there = f"{base}/state/{name}.db"
                # A bucket's objects appear whole; a folder's file would grow.
                fs.copy_files(
                    str(copy), f"{there}.new", source_filesystem=fs.LocalFileSystem(), destination_filesystem=system
                )
                system.move(f"{there}.new", there)
            went.append(name)
    return went


def service_commands(storage: str, state: Path, database: str) -> list[list[str]]:
    """The servers' command lines."""
    mlflow, study = (f"sqlite:///{state / name}.db" for name in _NAMES)
    if database:  # without the driver's name SQLAlchemy would look for psycopg2
        mlflow = database.replace("postgresql://", "postgresql+psycopg://", 1)
        study = f"{mlflow}{'&' if '?' in mlflow else '?'}options=-csearch_path%3D{_SCHEMA}"
    # One worker: 2 processes and half a gigabyte instead of 15 and three.
    server = ["mlflow", "server", "--backend-store-uri", mlflow, "--artifacts-destination", f"{storage}/mlartifacts"]
    return [
        [*server, "--host", "127.0.0.1", "--port", "5000", "--workers", "1"],
        [sys.executable, "-c", _PROXY, study],
    ]


def run_services(storage: str, state: Path, database: str) -> None:
    """Run the servers, again if one ends, and keep copies."""
    quiet = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    lines = service_commands(storage, state, database)
    running: list[subprocess.Popen[bytes] | None] = [None] * len(lines)
    kept = time.monotonic()
    while True:
        for place, (line, process) in enumerate(zip(lines, running, strict=True)):
            if process is None or process.poll() is not None:
                running[place] = subprocess.Popen(line, env=quiet)
        if not database and time.monotonic() > kept + _EVERY_S:
            print("kept", keep_databases(storage, state), flush=True)
            kept = time.monotonic()
        time.sleep(5)


def start_services(storage: str, state: Path, database: str) -> None:
    """Start serving in the background, unless that runs; returns when a search can use it.

    Raises:
        TimeoutError: If a server does not answer.
    """
    state.mkdir(exist_ok=True)
    lock = state / "pid"
    if not (lock.exists() and Path(f"/proc/{lock.read_text()}").exists()):
        _start_process(storage, state, database, lock)
    until = time.monotonic() + _PATIENCE_S
    for port in (5000, 13000):
        while not is_answering(port):
            if time.monotonic() > until:
                raise TimeoutError(f"nothing answers on port {port} after {_PATIENCE_S:g} s, see {state}/services.log")
            time.sleep(0.5)


def is_answering(port: int) -> bool:
    """Whether a server of this machine takes connections."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def _start_process(storage: str, state: Path, database: str, lock: Path) -> None:
    if database:
        import psycopg

        with psycopg.connect(database) as connection:
            connection.execute(f"create schema if not exists {_SCHEMA}")
    else:
        print("from the bucket:", fetch_databases(storage, state) or "nothing")
    with (state / "services.log").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, __file__, "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    lock.write_text(str(server.pid))


def main(words: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    storage = os.environ.get("SOUNDSWEEP_STORAGE", "")
    database = os.environ.get("SOUNDSWEEP_DATABASE", "")
    work = {"start": start_services, "serve": run_services}
    if len(words) != 1 or words[0] not in (*work, "keep") or not storage:
        print("error: SOUNDSWEEP_STORAGE=… python deploy/services.py start | keep", file=sys.stderr)
        return 2
    state = Path("~/state").expanduser()
    storage = storage if "://" in storage else Path(storage).absolute().as_uri()
    if words[0] == "keep":
        print("kept", keep_databases(storage, state))
    else:
        try:
            work[words[0]](storage, state, database)
        except TimeoutError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
