"""`python -m search.compare A B …`: searches or trials side by side."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime import uris
from runtime.cli import Parser, run_command
from runtime.errors import InputError
from runtime.files import write_obstacle, write_text_atomic
from search.catalog.comparison import Entry, describe_comparison, format_comparison
from search.catalog.reading import read_record
from search.catalog.tables import to_json
from search.launching.storage_options import add_storage_options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m search.compare",
        description="Compare searches by their winners, or single trials; nothing is changed.",
        epilog="Example: python -m search.compare rg_rep hm_rep rg_rep#0",
        allow_abbrev=False,
    )
    parser.add_argument(
        "entries", nargs="+", metavar="search", help="name of a search, or NAME#7 for one of its trials"
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--html", metavar="FILE", type=uris.expand_home, help="write an HTML page with charts, too")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    add_storage_options(parser)
    return run_command(lambda: _compare(parser.parse_args(arguments)), stopped="Stopped.")


def _compare(options: argparse.Namespace) -> int:
    if len(options.entries) < 2:
        rule = "a comparison needs two searches or trials"
        raise InputError("search", rule, value=options.entries[0], remedy="add the name of another one, or NAME#7")
    if options.html is not None:
        _require_writable(options.html)
    entries = [_read_entry(options, text) for text in options.entries]
    comparison = describe_comparison(entries)
    lines = format_comparison(comparison, markdown=options.markdown)
    print(to_json(comparison) if options.json else "\n".join(lines).rstrip())
    if options.html is not None:
        from search.catalog.comparison_page import make_comparison_page  # imports plotly, which takes a second

        write_text_atomic(options.html, make_comparison_page(entries, comparison))
    return 0


def _require_writable(path: Path) -> None:
    obstacle = "a folder" if path.is_dir() else write_obstacle(path.absolute().parent)
    if obstacle is not None or not path.absolute().parent.is_dir():
        value = obstacle or "its folder does not exist"
        raise InputError("--html", "the page must be writable", value=f"{path}: {value}", remedy="name another file")


def _read_entry(options: argparse.Namespace, text: str) -> Entry:
    name, mark, number = text.partition("#")
    if mark and not number.isdecimal():
        raise InputError("search", "a trial is named NAME#NUMBER", value=text, remedy=f"e.g. {name}#0")
    record = read_record(options, name)
    if mark:
        return Entry(text, record, record.require_trial(int(number)), is_single=True)
    return Entry(text, record, record.winner, is_single=False)


if __name__ == "__main__":
    sys.exit(main())
