"""`python -m search.doctor`: check a machine or cluster before a search."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from runtime import uris
from runtime.cli import Parser, run_command
from runtime.errors import InputError
from runtime.files import require_writable
from runtime.machines import machine, nodes
from runtime.uris import is_uri
from search.doctor.nodes import check_cluster
from search.doctor.result import CheckResult
from search.doctor.services import check_bucket, check_service

_ROOT: Final = Path(__file__).resolve().parents[2]
_REQUIRED_DISK_GB: Final = 4.0
_REQUIRED_MEMORY_GB: Final = 4.0


def check_python() -> CheckResult:
    """Check the version of Python."""
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] < (3, 13):
        return CheckResult("ok", f"Python {version}")
    return CheckResult(
        "error", f"Python {version}, but 3.11 or 3.12 is required", "install one of them and run make again"
    )


def check_versions(constraints: Path) -> list[CheckResult]:
    """Compare the installed versions of packages with the pinned ones."""
    pinned = dict(
        line.split("==") for line in constraints.read_text().split() if "==" in line and not line.startswith("#")
    )
    differing = []
    for package in machine.PACKAGES:
        required, installed = pinned.get(package, ""), machine.package_versions()[package]
        if installed.partition("+")[0] != required:
            differing.append(
                CheckResult(
                    "error",
                    f"{package} {installed} is installed, but {required} is pinned",
                    f"pip install -c constraints.txt {package}=={required}",
                )
            )
    return differing or [CheckResult("ok", f"{len(machine.PACKAGES)} packages have the pinned versions")]


def check_datasets_package() -> CheckResult:
    """Check that `datasets` is the package of this project: Hugging Face's has the same name, and the first on the path wins."""
    project = _ROOT / "datasets"
    spec = importlib.util.find_spec("datasets")
    origin = Path(spec.origin).parent if spec is not None and spec.origin else None
    if origin != project:
        return CheckResult(
            "error",
            f"`import datasets` imports {origin}",
            "uninstall that package from this environment, or run in the folder of the project",
        )
    try:
        version = metadata.version("datasets")
    except metadata.PackageNotFoundError:
        return CheckResult("ok", "`import datasets` imports the package of this project")
    remedy = "pip uninstall datasets, or keep it in another environment"
    return CheckResult(
        "error",
        f"Hugging Face's datasets {version} is also installed; MLflow and Ray Data may import the wrong package",
        remedy,
    )


def check_storage(storage: str) -> list[CheckResult]:
    """Check write access and free disk space of a folder, or access to a bucket."""
    if is_uri(storage):
        return [check_bucket(storage)]
    try:
        path = require_writable(storage)
    except InputError as error:
        return [CheckResult("error", f"{error.rule}: {error.value}", error.remedy)]
    free = machine.free_bytes(path) / 1e9
    message = f"{free:.0f} GB free at {path}"
    if free < _REQUIRED_DISK_GB:
        return [
            CheckResult(
                "error",
                f"{message}, but a first search needs {_REQUIRED_DISK_GB:g} GB",
                "free disk space, or name another --storage",
            )
        ]
    return [CheckResult("ok", message)]


def check_memory() -> CheckResult:
    """Check the available memory."""
    available = _available_gb()
    if available < _REQUIRED_MEMORY_GB:
        return CheckResult(
            "error",
            f"{available:.1f} GB of memory available, but a search needs {_REQUIRED_MEMORY_GB:g} GB",
            "close other programs",
        )
    return CheckResult("ok", f"{available:.0f} GB of memory available")


def _available_gb() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1e6
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def check_hardware() -> CheckResult:
    """Check that torch can use a GPU that is present; report cores, GPU and default precision."""
    import torch

    from trainables.precision import use_bf16

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = "bf16" if use_bf16("auto", device) else "fp32"
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU (profile laptop)"
    if machine.has_gpu() and device.type == "cpu":
        return CheckResult(
            "error", "torch cannot use the GPU of this machine", "install a CUDA build of the pinned torch"
        )
    return CheckResult("ok", f"{machine.count_cores()} cores, {gpu}; precision auto is {precision}")


def check_store(storage: str) -> CheckResult:
    """Check that MLflow's database, if there is one, can be read."""
    if is_uri(storage):
        return CheckResult("note", "no --tracking-uri to check", "give the MLflow server of the cluster")
    database = Path(storage).absolute() / "mlflow.db"
    if not database.is_file():
        return CheckResult("ok", "no MLflow store yet; the first search creates it")
    import sqlite3

    try:
        with sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True) as connection:
            runs = connection.execute("select count(*) from runs").fetchone()[0]
            running = connection.execute("select count(*) from runs where status = 'RUNNING'").fetchone()[0]
    except sqlite3.Error as error:
        return CheckResult(
            "error",
            f"{database} cannot be read: {error}",
            "restore it, or move it away and resume the search: the study has all results",
        )
    if running:
        return CheckResult(
            "note",
            f"{running} of {runs} MLflow runs are RUNNING",
            "if no search is running, resume theirs with --resume",
        )
    return CheckResult("ok", f"MLflow store with {runs} runs, none RUNNING")


def run_checks(
    storage: str, address: str | None = None, tracking_uri: str | None = None, study: str | None = None
) -> Iterable[CheckResult]:
    """Run all checks one after the other.

    Args:
        storage: Storage folder, or URI of a bucket.
        address: Address of a Ray cluster; None for this machine only.
        tracking_uri: Tracking URI of MLflow; None for the database in the storage folder.
        study: URI of the study; None for a file in the storage folder.
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
    """Build the parser of the command line."""
    result = Parser(
        prog="python -m search.doctor",
        description="Check the requirements of a search on this machine or on every node of a cluster; or, with --trainable, "
        "a trainable of your own.",
        epilog="The options have the same meaning as for search.launch.",
        allow_abbrev=False,
    )
    result.add_argument(
        "--storage",
        type=uris.absolute_location,
        default="runs",
        metavar="DIR",
        help="storage folder or bucket (default: ./runs)",
    )
    result.add_argument("--address", metavar="ADDRESS", help="address of a Ray cluster: auto or HOST:PORT")
    result.add_argument("--tracking-uri", metavar="URI", help="tracking URI of MLflow")
    result.add_argument("--study", metavar="URI", help="URI of the study")
    result.add_argument(
        "--trainable",
        metavar="PATH",
        help="check a class or function by short trainings: import path my_package.my_module:MyTrainable",
    )
    result.add_argument(
        "--dataset",
        metavar="FILE",
        type=Path,
        help="data for --trainable, used at a small size: a space, a dataset file, or a kind such as room (default: none)",
    )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Print all check results; return 1 if there are errors."""
    return run_command(lambda: _print_results(arguments), stopped="Stopped.")


def _select_checks(options: argparse.Namespace) -> Iterable[CheckResult]:
    if options.trainable is None:
        if options.dataset is not None:
            remedy = "name the trainable: --trainable my_package.my_module:MyTrainable"
            raise InputError("--dataset", "a dataset is checked together with a trainable", remedy=remedy)
        return run_checks(options.storage, options.address, options.tracking_uri, options.study)
    from search.doctor.trainable import check_trainable  # loads torch

    return check_trainable(options.trainable, options.dataset)


def _print_results(arguments: Sequence[str] | None) -> int:
    options = build_parser().parse_args(arguments)
    if options.address is not None:
        nodes.check_address(options.address)
    errors = 0
    for result in _select_checks(options):
        print(f"{result.state:<5} {result.message}" + (f"\n      → {result.remedy}" if result.remedy else ""))
        errors += result.state == "error"
    print(f"\n{errors} problem{'s' * (errors > 1)} found" if errors else "\nready")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
