"""`python -m datasets.generate SPEC`: builds datasets ahead of time, shard by shard, on all cores."""

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
from runtime import nodes
from runtime.cli import BuildProgress, Console, Parser, require_free_disk, run_command, whole_number_type
from runtime.storage import Storage

_SPARE_BYTES: Final = 200 * 10**6


def build_parser() -> Parser:
    """The command line."""
    result = Parser(
        prog="python -m datasets.generate",
        description="Build the datasets of a space, or of a file with the keys of one dataset. What is there is not made "
        "again: after an interruption the same command goes on.",
        epilog="Example: python -m datasets.generate spaces/rg_rep.yaml --profile full --set train=20000",
        allow_abbrev=False,
    )
    cli_options.add_options(result)
    result.add_argument("--address", metavar="WHERE", help="a Ray cluster, auto or HOST:PORT (default: this machine)")
    result.add_argument(
        "--workers", type=whole_number_type(1), metavar="N", help="processes of one core each (default: all cores)"
    )
    result.add_argument(
        "--verify", action="store_true", help="read every byte of what is there; what is damaged is rebuilt"
    )
    result.add_argument("--dry-run", action="store_true", help="say what would be made, and make nothing")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    return run_command(lambda: _generate_all(build_parser().parse_args(arguments)))


def _generate_all(options: argparse.Namespace) -> int:
    if options.address is not None:
        nodes.check_address(options.address)
    specs, store, place = cli_options.read_options(options)
    line = Console(sys.stdout)
    made = [prepare_dataset(spec, place) for spec in specs]
    for text in dict.fromkeys(text for source in made for text in source.describe_parts(store)):
        line.print_line(f"data     {text}")
    needed = {folder: count for source in made for folder, count in source.missing_bytes(store).items()}
    if store.is_local:
        require_free_disk(Path(store.uri), sum(needed.values()) + _SPARE_BYTES)
    if options.dry_run:
        return 0
    if not options.verify and not needed:
        line.print_line("done     nothing to make; --verify reads every byte")
        return 0
    return _build_dataset(made, line, store, options)


def _build_dataset(made: Sequence[DatasetProvider], line: Console, store: Storage, options: argparse.Namespace) -> int:
    from runtime import ray_cluster  # Ray takes seconds to load

    started = time.perf_counter()
    damaged: list[str] = []
    line.print_line("starting Ray" if options.address is None else f"joining the cluster at {options.address}")
    with ray_cluster.ray_session(options.address, [Path(store.uri).absolute()] if store.is_local else []):
        from datasets.building.builder import Builder
        from datasets.building.ray_data import ray_executor

        ready = time.perf_counter()
        builder = Builder(
            store,
            BuildProgress(line),
            ray_executor(options.workers),
            cli_options.local_folder(options.storage) / "datasets",
        )
        for source in made:
            damaged += source.build(builder, verify=options.verify)
    for name in dict.fromkeys(damaged):
        line.print_line(f"damaged  {name}: made again")
    if options.verify:
        line.print_line("verified" + ("" if damaged else " every byte: nothing was damaged"))
    now = time.perf_counter()
    line.print_line(f"done     in {now - started:.1f} s, {ready - started:.1f} s of it to start Ray")
    return 0


if __name__ == "__main__":
    sys.exit(main())
