"""`python -m search.report NAME`: a search as one HTML page, and in Markdown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runtime.cli import Parser, local_folder, require_output_folder, run_command
from runtime.files import write_text_atomic
from search.catalog.reading import read_record
from search.launching.storage_options import add_storage_options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m search.report",
        description="Write a search as one HTML page without external resources, and in Markdown; it may be running.",
        epilog="Example: python -m search.report rg_rep --to /tmp",
        allow_abbrev=False,
    )
    parser.add_argument("search", help="name of the search")
    parser.add_argument("--to", metavar="FOLDER", help="output folder (default: that of the search)")
    add_storage_options(parser)
    return run_command(lambda: _report(parser.parse_args(arguments)), stopped="Stopped.")


def _report(options: argparse.Namespace) -> int:
    record = read_record(options, options.search)
    folder = record.folder.root_path if options.to is None else local_folder(options.to)
    require_output_folder(folder)
    # Imported late: plotly takes a second to load, and mistakes are to be reported at once.
    from search.catalog.page import gather_page
    from search.reporting.page.live import format_pages, write_pages

    content = gather_page(record)
    if options.to is None:
        page, markdown = write_pages(record.folder, content)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        texts = {folder / name: text for name, text in format_pages(record.folder, content).items()}
        for path, text in texts.items():
            write_text_atomic(path, text)
        page, markdown = texts
    print(f"page      {page}, {page.stat().st_size / 1e6:.1f} MB\nmarkdown  {markdown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
