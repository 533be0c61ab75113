"""`python -m search.list`: all searches of a storage, with their states and best values."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from runtime.cli import Parser, run_command
from runtime.errors import InputError
from search.catalog.reading import SearchRecord, open_storage_folder, read_record
from search.catalog.tables import format_table, format_time, format_value, to_json
from search.launching.storage_options import add_storage_options

_HEADER = ("search", "state", "trials", "failed", "best", "trial", "started", "last activity", "trainable")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m search.list",
        description="List all searches of a storage; nothing is changed.",
        allow_abbrev=False,
    )
    add_storage_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return run_command(lambda: _list(parser.parse_args(arguments)), stopped="Stopped.")


def _list(options: argparse.Namespace) -> int:
    folder = open_storage_folder(options)
    rows = [_describe(options, name) for name in folder.list_searches()]
    if options.json:
        print(to_json(rows))
    elif not rows:
        print(f"no search in {folder.display_path(folder.storage / 'searches')}")
    else:
        print("\n".join(format_table(_HEADER, [_cells(row) for row in rows])))
        for row in rows:
            if "error" in row:
                print(f"{row['name']}: {row['error']}")
    return 0


def _describe(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Return the values of a row; a search whose files are corrupt does not hide the others."""
    try:
        return describe_search(read_record(options, name))
    except InputError as error:
        if error.place.startswith("--"):
            raise
        return {"name": name, "state": "unreadable", "error": str(error)}


def describe_search(record: SearchRecord) -> dict[str, Any]:
    """Return the summary of a search."""
    best = record.ranked[0] if record.ranked else None
    epoch = None if best is None else record.best_epoch(best)
    metrics = {} if epoch is None else {name: epoch.metrics.get(name) for name, _ in record.objectives}
    return {
        "name": record.name,
        "state": record.state,
        "ended": record.ended_count,
        "total": record.max_trials,
        "failed": sum(trial.outcome == "failed" for trial in record.study.trials),
        "best": metrics,
        "best_trial": None if best is None else best.number,
        "started": record.study.started,
        "last_activity": record.last_activity,
        "trainable": record.trainable,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    if "error" in row:
        return [row["name"], row["state"], *["-"] * (len(_HEADER) - 2)]
    total = "" if row["total"] is None else f"/{row['total']}"
    best = ", ".join(f"{name} {format_value(value)}" for name, value in row["best"].items()) or "-"
    trial = "-" if row["best_trial"] is None else str(row["best_trial"])
    times = [format_time(row["started"]), format_time(row["last_activity"])]
    return [
        row["name"],
        row["state"],
        f"{row['ended']}{total}",
        str(row["failed"]),
        best,
        trial,
        *times,
        row["trainable"],
    ]


if __name__ == "__main__":
    sys.exit(main())
