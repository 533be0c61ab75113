"""Checks of buckets, MLflow servers and databases by the doctor."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from search.doctor.services import check_bucket, check_service
from tests.datasets.bucket import serving


@contextmanager
def server(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://user:secret@127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "state", "remedy"),
    [
        (200, "ok", ""),
        (401, "error", "MLFLOW_TRACKING_USERNAME"),
        (403, "error", "--allowed-hosts"),
        (404, "error", "not MLflow"),
        (500, "error", "log"),
    ],
)
def test_the_remedy_follows_from_the_status_of_the_reply(status: int, state: str, remedy: str) -> None:
    with server(status) as uri:
        result = check_service("MLflow", uri)
    assert result.state == state
    assert remedy in result.remedy
    assert "secret" not in result.message


def test_an_absent_server_is_an_error() -> None:
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        for scheme in ("http", "grpc"):
            assert check_service("MLflow", f"{scheme}://127.0.0.1:{taken.getsockname()[1]}").state == "error"


def test_any_other_server_must_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert check_service("study", f"grpc://127.0.0.1:{listening.getsockname()[1]}").state == "ok"
    assert check_service("study", "grpc://no-port").state == "error"


def test_a_database_must_answer(tmp_path: Path) -> None:
    assert check_service("study", f"sqlite:///{tmp_path / 'study.db'}").state == "ok"
    assert check_service("study", f"sqlite:///{tmp_path / 'none' / 'study.db'}").state == "error"
    assert check_service("study", str(tmp_path / "study.journal")).state == "ok"
    assert check_service("study", str(tmp_path / "none" / "study.journal")).state == "error"


def test_a_bucket_is_written_and_read_and_left_unchanged() -> None:
    with serving() as bucket:
        bucket.buckets.add("data")
        assert check_bucket(bucket.uri("data/runs")).state == "ok"
        assert [key for key in bucket.under("data/runs") if key] == []
        assert {"PUT", "GET", "DELETE"} <= {method for method, _ in bucket.asked}


def test_a_refusing_bucket_is_an_error_that_hides_its_key() -> None:
    with serving() as bucket:
        bucket.buckets.add("data")
        bucket.refuses.add("PUT")
        result = check_bucket(bucket.uri("data/runs"))
    assert result.state == "error"
    assert "SECRET" not in result.message
