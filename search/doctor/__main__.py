"""`python -m search.doctor`: what is wrong with this machine or cluster, before a search finds out."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from runtime import machine, nodes
from runtime.cli import Parser
from runtime.errors import InputError
from runtime.uris import is_uri
from search.doctor.nodes import check_cluster
from search.doctor.result import CheckResult
from search.doctor.services import check_bucket, check_service
from search.results import require_writable

_ROOT: Final = Path(__file__).resolve().parents[2]
_NEEDED_DISK_GB: Final = 4.0
_NEEDED_MEMORY_GB: Final = 4.0


def check_python() -> CheckResult:
    """Python's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] < (3, 13):
        return CheckResult("ok", f"Python {found}")
    return CheckResult("bad", f"Python {found}; 3.11 or 3.12 is needed", "install one of them, then run make again")


def check_versions(constraints: Path) -> list[CheckResult]:
    """Installed packages against the pinned ones."""
    pinned = dict(
        line.split("==") for line in constraints.read_text().split() if "==" in line and not line.startswith("#")
    )
    wrong = []
    for package in machine.PACKAGES:
        wanted, found = pinned.get(package, ""), machine.package_versions()[package]
        if found.partition("+")[0] != wanted:
            wrong.append(
                CheckResult(
                    "bad",
                    f"{package} is {found}, pinned is {wanted}",
                    f"pip install -c constraints.txt {package}=={wanted}",
                )
            )
    return wrong or [CheckResult("ok", f"{len(machine.PACKAGES)} packages as pinned")]


def check_datasets_package() -> CheckResult:
    """Hugging Face's `datasets` has the same name as ours; whichever comes first on the path is imported."""
    ours = _ROOT / "datasets"
    spec = importlib.util.find_spec("datasets")
    origin = Path(spec.origin).parent if spec is not None and spec.origin else None
    if origin != ours:
        return CheckResult(
            "bad",
            f"`import datasets` finds {origin}",
            "uninstall that package from this environment, or run in the project's folder",
        )
    try:
        version = metadata.version("datasets")
    except metadata.PackageNotFoundError:
        return CheckResult("ok", "`import datasets` finds ours")
    remedy = "pip uninstall datasets, or keep it in another environment"
    return CheckResult(
        "bad",
        f"Hugging Face's datasets {version} is installed beside ours; MLflow and Ray Data may import the wrong one",
        remedy,
    )


def check_storage(storage: str) -> list[CheckResult]:
    """Write access and free disk, or a bucket."""
    if is_uri(storage):
        return [check_bucket(storage)]
    try:
        path = require_writable(storage)
    except InputError as error:
        return [CheckResult("bad", f"{error.rule}: {error.value}", error.remedy)]
    free = machine.free_bytes(path) / 1e9
    what = f"{free:.0f} GB free at {path}"
    if free < _NEEDED_DISK_GB:
        return [
            CheckResult(
                "bad", f"{what}; a first search needs {_NEEDED_DISK_GB:g} GB", "free some, or name another --storage"
            )
        ]
    return [CheckResult("ok", what)]


def check_memory() -> CheckResult:
    """Memory that can be had, and the part of it that Ray shares between processes."""
    available = _available_gb()
    if available < _NEEDED_MEMORY_GB:
        return CheckResult(
            "bad",
            f"{available:.1f} GB of memory available; a search needs {_NEEDED_MEMORY_GB:g} GB",
            "close other programs",
        )
    return CheckResult("ok", f"{available:.0f} GB of memory available")


def _available_gb() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1e6
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def check_hardware() -> CheckResult:
    """Cores, GPU, and what bf16 is worth."""
    import torch

    from trainables.schedules import use_bf16

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = "bf16" if use_bf16("auto", device) else "fp32"
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU: the profile laptop applies"
    if machine.has_gpu() and device.type == "cpu":
        return CheckResult(
            "bad", "a GPU is there, but this torch cannot use it", "install a CUDA build of the pinned torch"
        )
    return CheckResult("ok", f"{machine.count_cores()} cores, {gpu}; precision auto is {precision}")


def check_store(storage: str) -> CheckResult:
    """Whether MLflow's database, if it exists, can be read."""
    if is_uri(storage):
        return CheckResult("note", "no --tracking-uri to check", "name the MLflow server of the cluster")
    database = Path(storage).absolute() / "mlflow.db"
    if not database.is_file():
        return CheckResult("ok", "no MLflow store yet; the first search makes one")
    import sqlite3

    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            runs = connection.execute("select count(*) from runs").fetchone()[0]
            going = connection.execute("select count(*) from runs where status = 'RUNNING'").fetchone()[0]
    except sqlite3.Error as error:
        return CheckResult(
            "bad",
            f"{database} cannot be read: {error}",
            "restore it, or move it away and --resume; the study has everything",
        )
    if going:
        return CheckResult(
            "note", f"{going} of {runs} MLflow runs are RUNNING", "if no search is, --resume of their search ends them"
        )
    return CheckResult("ok", f"MLflow store with {runs} runs, none left RUNNING")


def run_checks(
    storage: str, address: str | None = None, tracking_uri: str | None = None, study: str | None = None
) -> Iterable[CheckResult]:
    """All checks in turn.

    Args:
        storage: A folder or the URI of a bucket.
        address: Of a cluster, or None for this machine alone.
        tracking_uri: MLflow's; None for the database in the storage folder.
        study: Where the study is kept; None for a file in the storage folder.
    """
    yield check_python()
    yield from check_versions(_ROOT / "constraints.txt")
    yield check_datasets_package()
    yield from check_storage(storage)
    checks: tuple[Callable[[], CheckResult], ...] = (check_memory, check_hardware)
    for check in checks:
        yield check()
    yield check_service("MLflow", tracking_uri) if tracking_uri else check_store(storage)
    if study:
        yield check_service("study", study)
    if address:
        yield from check_cluster(address, storage)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog="python -m search.doctor",
        description="Check what a search needs, on this machine or on every node of a cluster.",
        epilog="The options are those of search.launch.",
        allow_abbrev=False,
    )
    result.add_argument("--storage", default="runs", metavar="DIR", help="a folder or a bucket (default: ./runs)")
    result.add_argument("--address", metavar="WHERE", help="of a Ray cluster: auto or HOST:PORT")
    result.add_argument("--tracking-uri", metavar="URI", help="of MLflow")
    result.add_argument("--study", metavar="URI", help="where the study is kept")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every finding; 1 if any is bad."""
    try:
        options = build_parser().parse_args(arguments)
        if options.address is not None:
            nodes.check_address(options.address)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    bad = 0
    for finding in run_checks(options.storage, options.address, options.tracking_uri, options.study):
        print(f"{finding.state:<5} {finding.what}" + (f"\n      → {finding.remedy}" if finding.remedy else ""))
        bad += finding.state == "bad"
    print(f"\n{bad} to mend" if bad else "\nready")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
