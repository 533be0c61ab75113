"""What a published record offers: the listing of its files as Zenodo's interface gives it.

The interface has changed its form more than once, so that several are read:

* records: `{"files": [{"key", "size", "checksum": "md5:…", "links": {"self"}}]}`,
* InvenioRDM: `{"files": {"entries": {name: {"key", "size", "checksum", "links": {"content"}}}}}`,
* the files of a record: `{"entries": [{"key", "size", "checksum", "links": {"content", "self"}}]}`,
* depositions: `{"files": [{"filename", "filesize", "checksum": "…", "links": {"download"}}]}`.

Sources: Zenodo's developer documentation and InvenioRDM's REST reference.
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
"""TAU-NIGENS Spatial Sound Events 2020, version 1.2: both parts with labels, CC BY-NC 4.0 (doi 10.5281/zenodo.4064792)."""

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)
_MD5: Final = re.compile(r"(?:md5:)?([0-9a-f]{32})", re.ASCII)
_LINKS: Final = ("content", "download", "self")
"""Where a form has several of these, the first one is the file; `self` may then be its description."""


@dataclass(frozen=True)
class Archive:
    """One file of a record.

    Attributes:
        name: Without folder.
        size: Bytes.
        md5: Hexadecimal.
        url: Where it is.
    """

    name: str
    size: int
    md5: str
    url: str


def parse_record(text: str, place: str) -> tuple[Archive, ...]:
    """Read a listing in any of the known forms.

    Args:
        text: JSON.
        place: Where it was found, for errors.

    Returns:
        The files by name.

    Raises:
        InputError: If it is no listing, or a file lacks its name, size, MD5 or address, or its name has a folder.
    """
    try:
        listing = json.loads(text)
    except ValueError as error:
        raise _format_error(place, "a record's listing is JSON", str(error)) from None
    entries = _read_entries(listing)
    if not entries:
        raise _format_error(place, "a record's listing holds `files` or `entries`", text[:80])
    archives = [_read_archive(entry, f"{place}, file {number}") for number, entry in enumerate(entries, 1)]
    if len({archive.name for archive in archives}) < len(archives):
        raise _format_error(place, "every file of a record has a name of its own", sorted(a.name for a in archives))
    return tuple(sorted(archives, key=lambda archive: archive.name))


def choose_archives(archives: Iterable[Archive], patterns: Sequence[str]) -> tuple[Archive, ...]:
    """The files whose names fit any of the patterns, such as `foa_*`; all of them without a pattern.

    Raises:
        InputError: If a pattern fits none.
    """
    everything = tuple(archives)
    for pattern in patterns:
        if not any(fnmatchcase(archive.name, pattern) for archive in everything):
            known = ", ".join(archive.name for archive in everything)
            raise InputError("--only", "a pattern must fit a file", value=pattern, remedy=f"the files are {known}")
    return tuple(a for a in everything if not patterns or any(fnmatchcase(a.name, p) for p in patterns))


def _read_entries(listing: object) -> list[object]:
    """The descriptions of the files, whatever they are wrapped in."""
    found = listing
    for key in ("files", "entries"):
        if isinstance(found, Mapping) and key in found:
            found = found[key]
            if key == "entries" and isinstance(found, Mapping):
                found = list(found.values())
    return found if isinstance(found, list) else []


def _read_archive(entry: object, place: str) -> Archive:
    described: Mapping[str, object] = entry if isinstance(entry, Mapping) else {}
    name = described.get("key", described.get("filename"))
    if not (isinstance(name, str) and _PLAIN_NAME.fullmatch(name)):
        raise _format_error(place, "a file has a plain name, without folder", name)
    size = described.get("size", described.get("filesize"))
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _format_error(f"{place}, {name}", "a file has a size in bytes", size)
    checksum = _MD5.fullmatch(str(described.get("checksum")))
    if checksum is None:
        raise _format_error(f"{place}, {name}", "a file has an MD5 checksum", described.get("checksum"))
    links = described.get("links")
    by_kind: Mapping[str, object] = links if isinstance(links, Mapping) else {}
    url = next((by_kind[kind] for kind in _LINKS if kind in by_kind), None)
    if not (isinstance(url, str) and url.startswith(("https://", "http://"))):
        raise _format_error(f"{place}, {name}", "a file has an address that begins with https:// or http://", url)
    return Archive(name, size, checksum.group(1), url)


def _format_error(place: str, rule: str, value: object) -> InputError:
    return InputError(
        place,
        rule,
        value=value,
        remedy="name the listing of a Zenodo record, e.g. https://zenodo.org/api/records/4064792",
    )
