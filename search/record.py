"""`python -m search.record NAME`: bring MLflow to the state of a search, or write its runs anew."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runtime.cli import Parser, run_command
from runtime.console import Console
from runtime.errors import InputError
from search.catalog.deletion import require_idle
from search.catalog.reading import SearchRecord, read_record
from search.launching.storage_options import add_datasets_option, add_storage_options, add_tracking_option

INCOMPLETE = 1
"""Exit status if MLflow did not accept everything."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m search.record",
        description="Bring MLflow to the state of a search: runs, metrics of every epoch, tags and files, from its study.",
        epilog="The store may be deleted before: all runs are then written again. Example: python -m search.record rg_rep",
        allow_abbrev=False,
    )
    parser.add_argument("search", help="name of the search")
    parser.add_argument(
        "--rebuild", action="store_true", help="delete the runs of the search in MLflow, and write all of them anew"
    )
    add_tracking_option(parser)
    add_datasets_option(parser)
    add_storage_options(parser)
    return run_command(
        lambda: _record(parser.parse_args(arguments)), stopped="Stopped; repeat the command to complete it."
    )


def _record(options: argparse.Namespace) -> int:
    record = read_record(options, options.search)
    require_idle(record.folder)
    _require_trials(record)
    if record.folder.bucket is not None and options.tracking_uri is None:
        raise InputError(
            "--tracking-uri",
            "searches in a bucket log to an MLflow server",
            remedy="add --tracking-uri http://host:port",
        )
    from search.catalog.recording import record_search  # loads torch, Ray and MLflow

    console = Console(sys.stdout)
    done = record_search(record, options, console.print_line, rebuild=options.rebuild)
    console.print_line(f"recorded {record.name}: {done.runs} runs, {done.created} of them new, in {done.uri}")
    for problem in done.problems[:3]:
        console.print_line(f"MLflow could not record: {problem}")
    return INCOMPLETE if done.problems else 0


def _require_trials(record: SearchRecord) -> None:
    if not record.study.trainings:
        raise InputError(record.name, "the search must have a trial", remedy="launch it first")


if __name__ == "__main__":
    sys.exit(main())
