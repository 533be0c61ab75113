"""Content of the page about a search, from its record."""

from __future__ import annotations

from search.catalog.reading import SearchRecord
from search.reporting.page.content import PageContent
from search.reporting.page.gathering import gather_content


def gather_page(record: SearchRecord) -> PageContent:
    """Return what the page about a search shows, whether it is running or not."""
    return gather_content(
        record.folder,
        record.identity,
        record.study.trials,
        record.study.confirmations,
        time=record.last_activity,
        is_live=record.state == "running",
    )
