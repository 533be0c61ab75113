"""`python -m datasets.generate SPEC`: build datasets ahead of time on all cores or on a cluster."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from datasets import cli_options
from datasets.building.provider import DatasetProvider
from datasets.registry import prepare_dataset
from runtime.cli import Parser, run_command, whole_number_type
from runtime.console import BuildProgress, Console
from runtime.files import require_free_disk, require_writable
from runtime.machines import nodes
from runtime.storage import Storage

_SPARE_BYTES: Final = 200 * 10**6


def build_parser() -> Parser:
    """Return the parser of the command line."""
    result = Parser(
        prog="python -m datasets.generate",
        description="Build the datasets of a space, or of a file with the keys of one dataset. Finished parts are kept: "
        "after an interruption the same command continues the build.",
        epilog="Example: python -m datasets.generate spaces/rg_rep.yaml --profile full --set train=20000",
        allow_abbrev=False,
    )
    cli_options.add_options(result)
    result.add_argument(
        "--address", metavar="WHERE", help="address of a Ray cluster, auto or HOST:PORT (default: this machine)"
    )
    result.add_argument(
        "--workers",
        type=whole_number_type(1),
        metavar="N",
        help="number of worker processes, one core each (default: all cores)",
    )
    result.add_argument(
        "--verify", action="store_true", help="read every byte of the finished parts, and rebuild damaged files"
    )
    result.add_argument("--dry-run", action="store_true", help="list the parts and their sizes, and build nothing")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(lambda: _generate_all(build_parser().parse_args(arguments)))


def _generate_all(options: argparse.Namespace) -> int:
    if options.address is not None:
        nodes.check_address(options.address)
    specs, store, location = cli_options.read_options(options)
    console = Console(sys.stdout)
    providers = [prepare_dataset(spec, location) for spec in specs]
    described = (
        text for provider in providers for text in (*provider.describe_parts(store), *provider.describe_notes())
    )
    for text in dict.fromkeys(described):
        console.print_line(f"data     {text}")
    missing = {folder: count for provider in providers for folder, count in provider.missing_bytes(store).items()}
    if store.is_local:
        require_writable(store.uri, "--storage" if options.datasets is None else "--datasets")
        require_free_disk(Path(store.uri), sum(missing.values()) + _SPARE_BYTES)
    if options.dry_run:
        return 0
    if not options.verify and not missing:
        console.print_line("done     nothing to build; --verify reads every byte")
        return 0
    return _build_datasets(providers, console, store, options)


def _build_datasets(
    providers: Sequence[DatasetProvider], console: Console, store: Storage, options: argparse.Namespace
) -> int:
    from runtime.machines import ray_cluster  # loads Ray, which takes seconds

    started = time.perf_counter()
    damaged: list[str] = []
    console.print_line("starting Ray" if options.address is None else f"joining the cluster at {options.address}")
    with ray_cluster.ray_session(options.address, [Path(store.uri).absolute()] if store.is_local else []):
        from datasets.building.builder import Builder
        from datasets.building.ray_data import ray_executor

        ready = time.perf_counter()
        builder = Builder(
            store,
            BuildProgress(console),
            ray_executor(options.workers),
            cli_options.local_folder(options.storage) / "datasets",
            console.print_line,
        )
        for provider in providers:
            damaged += provider.build(builder, verify=options.verify)
    for name in dict.fromkeys(damaged):
        console.print_line(f"damaged  {name}: rebuilt")
    if options.verify:
        console.print_line("verified" + ("" if damaged else " every byte: no damage found"))
    now = time.perf_counter()
    console.print_line(f"done     in {now - started:.1f} s, {ready - started:.1f} s of it to start Ray")
    return 0


if __name__ == "__main__":
    sys.exit(main())
