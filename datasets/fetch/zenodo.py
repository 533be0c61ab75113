"""Listings of the files of published records, as returned by the Zenodo API.

The format of the API has changed several times; the following ones are supported:

* records: `{"files": [{"key", "size", "checksum": "md5:…", "links": {"self"}}]}`,
* InvenioRDM: `{"files": {"entries": {name: {"key", "size", "checksum", "links": {"content"}}}}}`,
* the files of a record: `{"entries": [{"key", "size", "checksum", "links": {"content", "self"}}]}`,
* depositions: `{"files": [{"filename", "filesize", "checksum": "…", "links": {"download"}}]}`.

References: developer documentation of Zenodo, REST API reference of InvenioRDM.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from runtime.errors import InputError

TAU_NIGENS_2020: Final = "https://zenodo.org/api/records/4064792"
"""TAU-NIGENS Spatial Sound Events 2020, version 1.2: development and evaluation sets with labels, CC BY-NC 4.0.

doi 10.5281/zenodo.4064792.
"""

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)
_MD5: Final = re.compile(r"(?:md5:)?([0-9a-f]{32})", re.ASCII)
_LINKS: Final = ("content", "download", "self")
"""Keys of the download address in order of preference; `self` may refer to the description of the file."""


@dataclass(frozen=True)
class Archive:
    """File of a record.

    Attributes:
        name: File name without folder.
        size: Size in bytes.
        md5: MD5 checksum in hexadecimal notation.
        url: Address of the download.
    """

    name: str
    size: int
    md5: str
    url: str


def parse_record(text: str, origin: str) -> tuple[Archive, ...]:
    """Parse a listing in any of the supported formats.

    Args:
        text: Listing as JSON.
        origin: Address or path of the listing, for error messages.

    Returns:
        Files, sorted by name.

    Raises:
        InputError: If the text is not a listing, or a file lacks its name, size, MD5 or address, or its name contains
            a folder.
    """
    try:
        listing = json.loads(text)
    except ValueError as error:
        raise _format_error(origin, "the listing of a record must be JSON", str(error)) from None
    entries = _read_entries(listing)
    if not entries:
        raise _format_error(origin, "the listing of a record must contain `files` or `entries`", text[:80])
    archives = [_read_archive(entry, f"{origin}, file {number}") for number, entry in enumerate(entries, 1)]
    if len({archive.name for archive in archives}) < len(archives):
        raise _format_error(origin, "the files of a record must have distinct names", sorted(a.name for a in archives))
    return tuple(sorted(archives, key=lambda archive: archive.name))


def choose_archives(archives: Iterable[Archive], patterns: Sequence[str]) -> tuple[Archive, ...]:
    """Return the files whose names match any of the patterns, e.g. `foa_*`; all files if there is no pattern.

    Raises:
        InputError: If a pattern matches no file.
    """
    everything = tuple(archives)
    for pattern in patterns:
        if not any(fnmatchcase(archive.name, pattern) for archive in everything):
            known = ", ".join(archive.name for archive in everything)
            raise InputError("--only", "a pattern must match a file", value=pattern, remedy=f"choose among {known}")
    return tuple(a for a in everything if not patterns or any(fnmatchcase(a.name, p) for p in patterns))


def _read_entries(listing: object) -> list[object]:
    """Return the descriptions of the files in a listing of any supported format."""
    entries = listing
    for key in ("files", "entries"):
        if isinstance(entries, Mapping) and key in entries:
            entries = entries[key]
            if key == "entries" and isinstance(entries, Mapping):
                entries = list(entries.values())
    return entries if isinstance(entries, list) else []


def _read_archive(entry: object, location: str) -> Archive:
    described: Mapping[str, object] = entry if isinstance(entry, Mapping) else {}
    name = described.get("key", described.get("filename"))
    if not (isinstance(name, str) and _PLAIN_NAME.fullmatch(name)):
        raise _format_error(location, "a file must have a plain name without folder", name)
    size = described.get("size", described.get("filesize"))
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _format_error(f"{location}, {name}", "a file must have a size in bytes", size)
    checksum = _MD5.fullmatch(str(described.get("checksum")))
    if checksum is None:
        raise _format_error(f"{location}, {name}", "a file must have an MD5 checksum", described.get("checksum"))
    links = described.get("links")
    by_kind: Mapping[str, object] = links if isinstance(links, Mapping) else {}
    url = next((by_kind[kind] for kind in _LINKS if kind in by_kind), None)
    if not (isinstance(url, str) and url.startswith(("https://", "http://"))):
        raise _format_error(
            f"{location}, {name}", "a file must have an address that begins with https:// or http://", url
        )
    return Archive(name, size, checksum.group(1), url)


def _format_error(location: str, rule: str, value: object) -> InputError:
    return InputError(
        location,
        rule,
        value=value,
        remedy="provide the listing of a Zenodo record, e.g. https://zenodo.org/api/records/4064792",
    )
