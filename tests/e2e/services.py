"""Servers that a cluster's searches use, started on loopback for a test, and ended with it."""

from __future__ import annotations

import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.datasets.bucket import unchunked

ROOT = Path(__file__).resolve().parent.parent.parent
MOTO = Path(os.environ.get("MOTO_PYTHON", ROOT / ".venv-moto" / "bin" / "python"))
SECRET = "hunter2"
_OF_A_HOP = ("transfer-encoding", "connection", "expect", "content-length")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what} never came"
        time.sleep(0.3)


@contextmanager
def running(
    command: Sequence[str], log: Path, stop: int = signal.SIGTERM, **more: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own session; all of it ends with the block."""
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True, **more)
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, stop)
            process.wait(60)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not there: apt-get install postgresql")
    return found[-1].parent


@contextmanager
def postgresql() -> Iterator[str]:
    """A database server without a password's way around; yields its address, `127.0.0.1:port`."""
    binaries, port = _binaries(), free_port()
    user: dict[str, Any] = (
        {} if os.getuid() else {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid}
    )  # it refuses to be root
    folder = Path(tempfile.mkdtemp(prefix="soundsweep-pg-"))
    try:
        (folder / "password").write_text(SECRET)
        for path in (folder, folder / "password"):
            if user:
                shutil.chown(path, **user)
        words = ["-U", "me", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync"]
        initdb = [str(binaries / "initdb"), "-D", str(folder / "data"), *words]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **user)
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "fsync=off"]
        command = [str(binaries / "postgres"), "-D", str(folder / "data"), *options]
        ready = [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
        with running(command, folder / "log", signal.SIGINT, cwd=folder, **user):  # it waits for no client then
            wait_until(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, "PostgreSQL")
            yield f"127.0.0.1:{port}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[str]:
    """A tracking server that also keeps artefacts; yields its URI."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    where = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "art")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with running([*command, *where], folder / "log", env=environment):
        wait_until(lambda: answers(port, "/health"), "MLflow")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def moto_server(log: Path) -> Iterator[int]:
    """A stand-in for S3 with one bucket, `results`; yields its port."""
    if not MOTO.is_file():
        pytest.skip(
            f"moto is not there, since it and MLflow want different releases of one package: make {MOTO.parent}"
        )
    port = free_port()
    with running([str(MOTO), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], log):
        wait_until(lambda: answers(port, "/"), "moto")
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("PUT", "/results")
        assert connection.getresponse().status == 200
        yield port


@dataclass
class Throttle:
    """Counts requests on their way to a server; every so many-th gets 503 or a broken connection, in turns."""

    every: int
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)


class _Refusing(BaseHTTPRequestHandler):
    throttle: Throttle
    behind: int
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def handle_expect_100(self) -> bool:
        """Say at once that the body may come."""
        goes_on = super().handle_expect_100()
        self.wfile.flush()
        return goes_on

    def _pass(self) -> None:
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        body = unchunked(self.rfile) if chunked else self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.throttle.asked.append((self.command, self.path))
        turn = len(self.throttle.asked)
        if turn % (2 * self.throttle.every) == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif turn % self.throttle.every == 0:
            self._answer(503, [], b"<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>")
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_A_HOP}
            connection.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
            response = connection.getresponse()
            self._answer(response.status, response.getheaders(), response.read())
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        kept = [(name, value) for name, value in headers if name.lower() not in _OF_A_HOP]
        said = dict(headers).get("Content-Length", "0")  # of an object whose content was not asked for
        kept.append(("Content-Length", said if self.command == "HEAD" else str(len(body))))
        for name, value in kept:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def throttled(behind: int, every: int) -> Iterator[Throttle]:
    """A proxy in front of a server that often refuses."""
    throttle = Throttle(every)

    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (_Refusing,), {"throttle": throttle, "behind": behind})
    )
    server.daemon_threads = True
    throttle.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield throttle
    finally:
        server.shutdown()
        server.server_close()
