"""`python -m search.show NAME [TRIAL]`: the best trials of a search, or one trial in full."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runtime.cli import Parser, positive_number_type, run_command, whole_number_type
from search.catalog import details
from search.catalog.reading import read_record
from search.catalog.tables import to_json
from search.launching.storage_options import add_storage_options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m search.show",
        description="Print the best trials of a search and its winner, or one trial in full; nothing is changed.",
        epilog="Example: python -m search.show rg_rep 7",
        allow_abbrev=False,
    )
    parser.add_argument("search", help="name of the search")
    parser.add_argument(
        "trial", nargs="?", type=whole_number_type(0), help="number of a trial (default: the best ones)"
    )
    parser.add_argument(
        "--top", type=positive_number_type(int), default=5, metavar="N", help="number of the best trials (default: 5)"
    )
    add_storage_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    return run_command(lambda: _show(parser.parse_args(arguments)), stopped="Stopped.")


def _show(options: argparse.Namespace) -> int:
    record = read_record(options, options.search)
    if options.trial is None:
        search = details.describe_search(record, options.top)
        print(to_json(search) if options.json else "\n".join(details.format_search(search)))
        return 0
    trial = details.describe_trial(record, record.require_trial(options.trial))
    lines = details.format_trial(trial)
    print(to_json(trial) if options.json else "\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
