"""Files of the page about a search: written at its end, and renewed while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from runtime.console import Console
from search.execution.error_text import describe_error
from search.experiment import Experiment
from search.reporting.page.content import PageContent
from search.reporting.page.document import make_page
from search.reporting.page.gathering import gather_content
from search.reporting.page.markdown import make_markdown
from search.results import SearchFolder
from search.study.study import Study

_LEAST_INTERVAL_S: Final = 20.0
_COST_SHARE: Final = 0.01
"""Largest share of the time of a search that renewing its page may take."""
_MOVED: Final = (
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
    '<meta http-equiv="refresh" content="0; url={page}"></head><body><a href="{page}">report</a></body></html>\n'
)


def format_pages(folder: SearchFolder, content: PageContent) -> dict[str, str]:
    """Return the page about a search in HTML and Markdown by the names of their files."""
    page = folder.report_path
    return {page.name: make_page(content), page.with_suffix(".md").name: make_markdown(content)}


def write_pages(folder: SearchFolder, content: PageContent) -> list[Path]:
    """Write the page about a search in HTML and Markdown, atomically; return their local paths.

    Raises:
        InputError: If the bucket rejects a request.
    """
    texts = {folder.root_path / name: text for name, text in format_pages(folder, content).items()}
    for path, text in texts.items():
        folder.write_text(path, text)
    return list(texts)


class LivePage:
    """Page about a running search, renewed at most so often that this takes a hundredth of the time.

    Whatever goes wrong with it is printed once, and the search continues without it.

    Args:
        experiment: Search that runs.
        study: Its trials.
        console: Output.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self, experiment: Experiment, study: Study, console: Console, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._experiment = experiment
        self._study = study
        self._console = console
        self._is_working = experiment.space.table is None
        self._next_s = 0.0

    def renew_if_due(self) -> None:
        """Renew the page unless the last time was too recent."""
        if self._clock() >= self._next_s:
            self._write(is_live=True)

    def close(self) -> None:
        """Replace the page by a link to the report of a search that has ended, or else by its last state."""
        results = self._experiment.results
        if self._is_working and results.has_file(results.report_path) and not self._study.has_unfinished():
            with suppress(Exception):
                text = _MOVED.format(name=results.name, page=results.report_path.name)
                results.write_text(results.live_page_path, text)
        else:
            self._write(is_live=False)

    def _write(self, *, is_live: bool) -> None:
        if not self._is_working:
            return
        begin = self._clock()
        results = self._experiment.results
        try:
            content = gather_content(
                results,
                self._experiment.space.identity(),
                self._study.get_trials(),
                self._study.get_confirmations(),
                time=datetime.now(),
                is_live=is_live,
            )
            results.write_text(results.live_page_path, make_page(content))
        except Exception as error:  # noqa: BLE001  # a page must not end the search
            self._is_working = False
            self._console.print_line(f"page     live.html is not renewed any more: {describe_error(error)}")
        now = self._clock()
        self._next_s = now + max(_LEAST_INTERVAL_S, (now - begin) / _COST_SHARE)
