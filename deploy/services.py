"""`python deploy/services.py start | keep`: servers on the head in addition to the driver, reachable only through ssh.

MLflow listens on port 5000 and the study (Optuna's gRPC proxy) on port 13000 of the loopback interface. Both use SQLite files,
whose copies in the bucket are at most five minutes old; a new head starts from the copies. With
SOUNDSWEEP_DATABASE=postgresql://… both use that database, and no copies are made.
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

_COPY_INTERVAL_S: Final = 300.0
_START_TIMEOUT_S: Final = 180.0
_NAMES: Final = ("mlflow", "study")
_SCHEMA: Final = "study"
"""PostgreSQL schema of the study; it is separate since MLflow and Optuna both have a table named alembic_version."""
_PROXY: Final = (
    "import sys; from optuna.storages import RDBStorage, run_grpc_proxy_server;"
    "storage = RDBStorage(sys.argv[1], engine_kwargs={'pool_pre_ping': True});"
    "run_grpc_proxy_server(storage, host='127.0.0.1', port=13000)"
)


def fetch_databases(storage: str, state: Path) -> list[str]:
    """Copy missing databases from the bucket; return the names of the copied ones."""
    system, base = fs.FileSystem.from_uri(storage)
    copied = []
    for name in _NAMES:
        remote, local = f"{base}/state/{name}.db", state / f"{name}.db"
        if not local.exists() and system.get_file_info(remote).type == fs.FileType.File:
            partial = local.with_suffix(".part")
            fs.copy_files(remote, str(partial), source_filesystem=system, destination_filesystem=fs.LocalFileSystem())
            partial.replace(local)
            copied.append(name)
    return copied


def keep_databases(storage: str, state: Path) -> list[str]:
    """Copy consistent snapshots of the databases to the bucket; return the names of the copied ones."""
    system, base = fs.FileSystem.from_uri(storage)
    system.create_dir(f"{base}/state", recursive=True)
    copied = []
    for name in _NAMES:
        if (state / f"{name}.db").exists():
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / "copy.db"
                with sqlite3.connect(state / f"{name}.db") as source, sqlite3.connect(copy) as target:
                    source.backup(target)
                source.close()
                target.close()
                remote = f"{base}/state/{name}.db"
                # An object of a bucket appears complete, but a file of a shared folder would be visible while it is copied.
                fs.copy_files(
                    str(copy), f"{remote}.new", source_filesystem=fs.LocalFileSystem(), destination_filesystem=system
                )
                system.move(f"{remote}.new", remote)
            copied.append(name)
    return copied


def service_commands(storage: str, state: Path, database: str) -> list[list[str]]:
    """Return the command lines of the servers."""
    mlflow, study = (f"sqlite:///{state / name}.db" for name in _NAMES)
    if database:  # without a driver name SQLAlchemy imports psycopg2
        mlflow = database.replace("postgresql://", "postgresql+psycopg://", 1)
        study = f"{mlflow}{'&' if '?' in mlflow else '?'}options=-csearch_path%3D{_SCHEMA}"
    # With one worker, MLflow has 2 processes and takes 0.5 GB instead of 15 processes and 3 GB.
    server = ["mlflow", "server", "--backend-store-uri", mlflow, "--artifacts-destination", f"{storage}/mlartifacts"]
    return [
        [*server, "--host", "127.0.0.1", "--port", "5000", "--workers", "1"],
        [sys.executable, "-c", _PROXY, study],
    ]


def run_services(storage: str, state: Path, database: str) -> None:
    """Run the servers, restart one that ends, and copy the databases regularly."""
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    commands = service_commands(storage, state, database)
    running: list[subprocess.Popen[bytes] | None] = [None] * len(commands)
    last_copy = time.monotonic()
    while True:
        for index, (command, process) in enumerate(zip(commands, running, strict=True)):
            if process is None or process.poll() is not None:
                running[index] = subprocess.Popen(command, env=environment)
        if not database and time.monotonic() > last_copy + _COPY_INTERVAL_S:
            print("copied", keep_databases(storage, state), flush=True)
            last_copy = time.monotonic()
        time.sleep(5)


def start_services(storage: str, state: Path, database: str) -> None:
    """Start the servers in the background unless they run; return when both accept connections.

    Raises:
        TimeoutError: If a server does not respond.
    """
    state.mkdir(exist_ok=True)
    lock = state / "pid"
    if not (lock.exists() and Path(f"/proc/{lock.read_text()}").exists()):
        _start_process(storage, state, database, lock)
    deadline = time.monotonic() + _START_TIMEOUT_S
    for port in (5000, 13000):
        while not is_answering(port):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"no server responds on port {port} after {_START_TIMEOUT_S:g} s, see {state}/services.log"
                )
            time.sleep(0.5)


def is_answering(port: int) -> bool:
    """Return whether a server of this machine accepts connections on a port."""
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


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    storage = os.environ.get("SOUNDSWEEP_STORAGE", "")
    database = os.environ.get("SOUNDSWEEP_DATABASE", "")
    commands = {"start": start_services, "serve": run_services}
    if len(arguments) != 1 or arguments[0] not in (*commands, "keep") or not storage:
        print("error: SOUNDSWEEP_STORAGE=… python deploy/services.py start | keep", file=sys.stderr)
        return 2
    state = Path("~/state").expanduser()
    storage = storage if "://" in storage else Path(storage).absolute().as_uri()
    if arguments[0] == "keep":
        print("copied", keep_databases(storage, state))
    else:
        try:
            commands[arguments[0]](storage, state, database)
        except TimeoutError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
