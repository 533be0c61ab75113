"""Hardware and software of this machine, determined without importing torch."""

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
_ROOT: Final = Path(__file__).resolve().parent.parent.parent


def has_gpu() -> bool:
    """Return whether an NVIDIA GPU exists and is visible to CUDA."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
    return visible not in ("", "-1") and Path("/dev/nvidiactl").exists()


@dataclass(frozen=True)
class Gpu:
    """GPU as its driver describes it.

    Attributes:
        name: Name of the model.
        memory_bytes: Size of the memory, in bytes.
        driver: Version of the driver.
    """

    name: str
    memory_bytes: int
    driver: str


def list_gpus() -> tuple[Gpu, ...]:
    """Return the NVIDIA GPUs of this machine; without a driver there are none."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_gpus(output)


def parse_gpus(output: str) -> tuple[Gpu, ...]:
    """Parse the output of `nvidia-smi`: one GPU per line, with its memory in MiB."""
    rows = ([field.strip() for field in line.split(",")] for line in output.splitlines() if line.strip())
    return tuple(Gpu(name, int(memory) << 20, driver) for name, memory, driver in rows)


def count_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def nearest_existing_parent(path: Path) -> Path:
    """Return a path itself if it exists, or the nearest folder above it that does."""
    absolute = path.absolute()
    return next(parent for parent in (absolute, *absolute.parents) if parent.exists())


def free_bytes(path: Path) -> int:
    """Return the free space of the disk on which `path` is or will be, in bytes."""
    return shutil.disk_usage(nearest_existing_parent(path)).free


def python_command() -> str:
    """Return the command of this Python: its relative path if it is below the working directory, or plain `python`."""
    executable, here = Path(sys.executable), Path.cwd()
    return str(executable.relative_to(here)) if executable.is_relative_to(here) else "python"


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version()} | {package: package_version(package) for package in PACKAGES}


def package_version(package: str) -> str:
    """Return the version of an installed package, or `missing`."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def processor_name() -> str:
    """Return the model of the processor; processors round differently, so that results depend on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next((model for model in models if model), platform.processor() or platform.machine())


def project_digest() -> str:
    """Return a digest of the source code of this project."""
    digest = hashlib.sha256()
    for package in _OURS:
        for path in sorted((_ROOT / package).rglob("*.py")):
            digest.update(str(path.relative_to(_ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def git_commit() -> str:
    """Return the checked-out commit, with `+changes` if files differ from it, or `unknown` outside a repository."""
    try:
        commit = _run_git("rev-parse", "HEAD")
        return commit + ("+changes" if _run_git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _run_git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def disable_malloc_trim() -> None:
    """Make glibc keep freed memory instead of returning it to the operating system.

    Otherwise each training step allocates hundreds of megabytes again, with one page fault per page.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(-4, 0)  # M_MMAP_MAX
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
