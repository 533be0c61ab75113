"""The doctor asks buckets, MLflow and databases what a search will ask of them."""

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
    ("status", "state", "says"),
    [
        (200, "ok", ""),
        (401, "bad", "MLFLOW_TRACKING_USERNAME"),
        (403, "bad", "--allowed-hosts"),
        (404, "bad", "no MLflow"),
        (500, "bad", "log"),
    ],
)
def test_what_a_server_answers_decides_the_remedy(status: int, state: str, says: str) -> None:
    with server(status) as uri:
        found = check_service("MLflow", uri)
    assert found.state == state
    assert says in found.remedy
    assert "secret" not in found.what


def test_a_server_that_is_not_there_is_bad() -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        for scheme in ("http", "grpc"):
            assert check_service("MLflow", f"{scheme}://127.0.0.1:{taken.getsockname()[1]}").state == "bad"


def test_any_other_server_has_to_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert check_service("study", f"grpc://127.0.0.1:{listening.getsockname()[1]}").state == "ok"
    assert check_service("study", "grpc://no-port").state == "bad"


def test_a_database_has_to_answer(tmp_path: Path) -> None:
    assert check_service("study", f"sqlite:///{tmp_path / 'study.db'}").state == "ok"
    assert check_service("study", f"sqlite:///{tmp_path / 'none' / 'study.db'}").state == "bad"
    assert check_service("study", str(tmp_path / "study.journal")).state == "ok"
    assert check_service("study", str(tmp_path / "none" / "study.journal")).state == "bad"


def test_a_bucket_is_written_read_and_left_as_it_was() -> None:
    with serving() as bucket:
        bucket.buckets.add("data")
        assert check_bucket(bucket.uri("data/runs")).state == "ok"
        assert [key for key in bucket.under("data/runs") if key] == []
        assert {"PUT", "GET", "DELETE"} <= {method for method, _ in bucket.asked}


def test_a_bucket_that_refuses_is_bad_and_its_key_is_not_shown() -> None:
    with serving() as bucket:
        bucket.buckets.add("data")
        bucket.refuses.add("PUT")
        found = check_bucket(bucket.uri("data/runs"))
    assert found.state == "bad"
    assert "SECRET" not in found.what
