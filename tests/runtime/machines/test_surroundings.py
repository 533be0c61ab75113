"""Commands in folders that are gone, without a home folder, and with long or read-only temporary folders."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from runtime.cli import run_command
from runtime.errors import InputError
from runtime.machines.surroundings import (
    choose_ray_folder,
    max_temporary_length,
    prepare_surroundings,
    provide_ray_token,
)

UNWRITABLE = "/proc/none"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("RAY_TMPDIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(variable, "")  # an absent variable that is only deleted is not restored: the commands set it
        monkeypatch.delenv(variable)


@pytest.mark.parametrize("name", ["l" * 90, "ü" * 30])
def test_a_long_temporary_folder_is_replaced_for_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / name))
    chosen = choose_ray_folder()
    assert len(os.fsencode(chosen)) <= max_temporary_length() + 4
    assert Path(chosen).is_dir()


@pytest.mark.parametrize("folder", [UNWRITABLE, "/dev/null"])
def test_an_unwritable_temporary_folder_is_replaced_for_ray(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setenv("RAY_TMPDIR", folder)
    assert Path(choose_ray_folder()).is_dir()


def test_a_short_temporary_folder_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        assert choose_ray_folder() == f"{folder}/ray"


def test_a_full_temporary_folder_is_replaced_for_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(
            "runtime.machines.machine.free_bytes", lambda path: 0 if str(path).startswith(folder) else 10**9
        )
        assert not choose_ray_folder().startswith(folder)


def test_without_any_folder_for_sockets_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.machines.surroundings.write_obstacle", lambda *_, **__: "Read-only file system")
    with pytest.raises(InputError, match="RAY_TMPDIR"):
        choose_ray_folder()


def test_without_a_writable_home_libraries_get_folders_and_ray_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", UNWRITABLE)
    prepare_surroundings()
    provide_ray_token()
    assert os.environ["MPLCONFIGDIR"].startswith(tempfile.gettempdir())
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


def test_with_a_writable_home_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    prepare_surroundings()
    provide_ray_token()
    assert not {"MPLCONFIGDIR", "RAY_AUTH_TOKEN"} & set(os.environ)


def test_a_working_directory_that_is_gone_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run_command(lambda: 0) == 2
    assert "cd to an existing folder" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ELOOP, errno.ENAMETOOLONG])
def test_an_inaccessible_file_is_an_error_without_a_traceback(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise OSError(number, os.strerror(number), "/some/file")

    assert run_command(command) == 2
    assert capsys.readouterr().err.startswith("error: /some/file")
