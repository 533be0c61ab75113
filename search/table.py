"""`python -m search.table SPACE`: train the rows of a table on several seeds, and report them beside published values."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from runtime.cli import run_command
from runtime.errors import InputError
from search import launch
from spaces.schema import Space


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = launch.build_parser()
    parser.prog = "python -m search.table"
    parser.description = "Train each row of a table in full on each seed, and score it on the test splits."
    parser.epilog = "Example: python -m search.table spaces/table3.yaml --profile laptop"
    return run_command(
        lambda: launch.launch(arguments, parser, _require_rows), stopped="Stopped; the table had not been started."
    )


def _require_rows(space: Space, place: str) -> None:
    if space.table is None:
        raise InputError(
            place,
            "a table needs rows",
            remedy="add  rows: {NAME: {set: {field: value}}}  (docs/spaces.md), or search the space with search.launch",
        )


if __name__ == "__main__":
    sys.exit(main())
