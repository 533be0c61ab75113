"""The UI command checks before it becomes the server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from search.ui import main


def stored(folder: Path) -> list[str]:
    (folder / "searches" / "rg_rep").mkdir(parents=True)
    (folder / "mlflow.db").touch()
    return ["--storage", str(folder)]


@pytest.mark.parametrize(
    ("options", "says"),
    [(["rg_rap"], "did you mean 'rg_rep'"), (["--port", "0"], "1 … 65535"), (["--prot", "1"], "did you mean '--port'")],
)
def test_what_is_wrong_is_said(
    options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*options, *stored(tmp_path)]) == 2
    assert says in capsys.readouterr().err


def test_without_results_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--storage", str(tmp_path)]) == 2
    assert "run a search first" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named_with_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main([*stored(tmp_path), "--port", str(port)]) == 2
    assert f"--port {port + 1}" in capsys.readouterr().err
