"""Checks of the UI command before it starts the server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from search.ui import main


def create_storage(folder: Path) -> list[str]:
    """Create a storage folder with one search; return the option that names it."""
    (folder / "searches" / "rg_rep").mkdir(parents=True)
    (folder / "mlflow.db").touch()
    return ["--storage", str(folder)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["rg_rap"], "did you mean 'rg_rep'? The storage holds: rg_rep"),
        (["--port", "0"], "1 … 65535"),
        (["--prot", "1"], "did you mean '--port'"),
    ],
)
def test_wrong_options_are_named(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*options, *create_storage(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_results_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--storage", str(tmp_path)]) == 2
    assert "run a search first" in capsys.readouterr().err


def test_for_a_taken_port_the_next_one_is_suggested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main([*create_storage(tmp_path), "--port", str(port)]) == 2
    assert f"--port {port + 1}" in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert main(["--tracking-uri", f"http://me:secret@127.0.0.1:{port}"]) == 2
    error = capsys.readouterr().err
    assert "the MLflow store must be readable" in error
    assert str(port) in error
    assert "secret" not in error
