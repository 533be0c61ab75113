"""`python -m search.report NAME`: a search as one HTML page, and in Markdown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime import uris
from runtime.cli import Parser, run_command
from runtime.errors import InputError
from runtime.files import write_obstacle, write_text_atomic
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
    folder = _output_folder(options.to, record.folder.root_path)
    # Imported late: plotly takes a second to load, and mistakes are to be reported at once.
    from search.catalog.page import gather_page
    from search.reporting.page.document import make_page
    from search.reporting.page.live import write_pages
    from search.reporting.page.markdown import make_markdown

    content = gather_page(record)
    page, markdown = folder / record.folder.report_path.name, folder / "report.md"
    if options.to is None:
        page, markdown = write_pages(record.folder, content)
    else:
        write_text_atomic(page, make_page(content))
        write_text_atomic(markdown, make_markdown(content))
    print(f"page      {page}, {page.stat().st_size / 1e6:.1f} MB\nmarkdown  {markdown}")
    return 0


def _output_folder(to: str | None, default: Path) -> Path:
    """Return the folder of the page, created if need be.

    Raises:
        InputError: If it is not local or not writable.
    """
    if to is not None and uris.is_uri(to):
        raise InputError("--to", "the output folder must be local", value=to, remedy="name a local folder")
    folder = default if to is None else uris.expand_home(to)
    obstacle = write_obstacle(folder)
    if obstacle is not None:
        raise InputError(
            str(folder), "the output folder must be writable", value=obstacle, remedy="name another one with --to"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
