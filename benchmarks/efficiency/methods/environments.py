"""Environments of methods whose packages are not those of this project: made on demand, and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.efficiency.methods.remote import Environment
from runtime.files import write_text_atomic

ROOT: Final = Path(__file__).resolve().parents[3]
SYNE_TUNE: Final = ROOT / ".venv-synetune"
REQUIREMENTS: Final = Path(__file__).resolve().parents[1] / "requirements-synetune.txt"
_PACKAGES: Final = ("runtime", "datasets", "trainables", "spaces", "search")
_MARK: Final = "requirements.sha256"
"""File of a complete environment, with the digest of its requirements."""


class UnavailableError(Exception):
    """Absence of an environment; the message gives the reason."""


def open_syne_tune() -> Environment:
    """Return the environment of Syne Tune, after its packages have been installed if necessary.

    Raises:
        UnavailableError: If they cannot be installed.
    """
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    mark, python = SYNE_TUNE / _MARK, SYNE_TUNE / "bin" / "python"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != digest:
        print(f"installing Syne Tune in {SYNE_TUNE.name}", flush=True)
        shutil.rmtree(SYNE_TUNE, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(SYNE_TUNE)])
        run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(REQUIREMENTS)])
        write_text_atomic(mark, digest)
    return Environment(python, (ROOT,))


def open_commit(commit: str, cache: Path) -> Environment:
    """Return an environment with this project's packages as of a commit, and the benchmarks of today.

    Args:
        commit: Commit of this repository.
        cache: Folder for the files of commits.

    Raises:
        UnavailableError: If there is no such commit here.
    """
    folder = (cache / "commits" / commit).absolute()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            archive, files = Path(name) / "files.tar", Path(name) / "files"
            files.mkdir()
            run(["git", "-C", str(ROOT), "archive", "-o", str(archive), commit, *_PACKAGES])
            shutil.unpack_archive(archive, files, filter="data")
            os.replace(files, folder)
    return Environment(Path(sys.executable), (folder, ROOT))


def run(words: list[str]) -> None:
    """Run a command.

    Raises:
        UnavailableError: If it fails; the message has the end of its output.
    """
    try:
        subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        output = (getattr(error, "stdout", None) or str(error)).strip().splitlines()
        raise UnavailableError(output[-1] if output else str(error)) from error
