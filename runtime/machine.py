"""What this machine has, found out without importing torch."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

PACKAGES: Final = ("ray", "torch", "optuna", "mlflow", "pyroomacoustics", "numpy", "pyarrow", "pydantic", "scipy")
_OURS: Final = ("runtime", "datasets", "trainables", "spaces", "search")
_ROOT: Final = Path(__file__).resolve().parent.parent


def has_gpu() -> bool:
    """Whether an NVIDIA GPU is there and not hidden."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
    return visible not in ("", "-1") and Path("/dev/nvidiactl").exists()


@dataclass(frozen=True)
class Gpu:
    """A GPU, as its driver describes it."""

    name: str
    memory_bytes: int
    driver: str


def list_gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs of this machine; none where there is no driver."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_gpus(said)


def parse_gpus(said: str) -> tuple[Gpu, ...]:
    """Read what `nvidia-smi` answers: a GPU a line, its memory in MiB."""
    rows = ([field.strip() for field in line.split(",")] for line in said.splitlines() if line.strip())
    return tuple(Gpu(name, int(memory) << 20, driver) for name, memory, driver in rows)


def count_cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def nearest_existing_parent(path: Path) -> Path:
    """What there is already of a path: itself, or the nearest folder above it."""
    whole = path.absolute()
    return next(parent for parent in (whole, *whole.parents) if parent.exists())


def free_bytes(path: Path) -> int:
    """Free space where `path` is or will be."""
    return shutil.disk_usage(nearest_existing_parent(path)).free


def python_command() -> str:
    """How to call this Python from here: the environment's own path where it lies below, or plain `python`."""
    executable, here = Path(sys.executable), Path.cwd()
    return str(executable.relative_to(here)) if executable.is_relative_to(here) else "python"


def package_versions() -> dict[str, str]:
    """Python and the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


def project_digest() -> str:
    """What tells one state of this project's code from another."""
    digest = hashlib.sha256()
    for package in _OURS:
        for path in sorted((_ROOT / package).rglob("*.py")):
            digest.update(str(path.relative_to(_ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def git_commit() -> str:
    """The checked-out commit, with `+changes` if files differ from it; `unknown` outside a repository."""
    try:
        commit = _run_git("rev-parse", "HEAD")
        return commit + ("+changes" if _run_git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _run_git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def disable_malloc_trim() -> None:
    """Tell glibc to keep freed blocks: a step of training allocates hundreds of megabytes anew, page fault by page fault."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(-4, 0)  # M_MMAP_MAX
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
