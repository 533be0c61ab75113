"""`python -m datasets.fetch`: the recordings of TAU-NIGENS Spatial Sound Events 2020, or those of another record.

Files come from the public record of the data set, with the sizes and MD5 checksums that it lists. A broken download is
continued, what is whole is left alone, and zip archives are unpacked.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from datasets.fetch import zenodo
from datasets.fetch.download import Network, Progress, download_archive, partial_path, read_text
from datasets.fetch.unpack import group_archives, is_unpacked, unpack_archive
from datasets.fetch.zenodo import Archive
from runtime.cli import Console, Parser, run_command, require_free_disk, format_bytes
from runtime.errors import InputError

_UNPACKED_PER_BYTE: Final = 1.5
"""Room for what is unpacked; sound of 16 bit seldom shrinks to less than two thirds."""
_SHOWN_EVERY_S: Final = 0.2


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog="python -m datasets.fetch",
        description="Download and unpack TAU-NIGENS Spatial Sound Events 2020 (CC BY-NC 4.0). What is there is kept.",
        epilog="Example: python -m datasets.fetch --to data/tau2020 --only 'foa_dev.*' --only 'metadata_dev.*'",
        allow_abbrev=False,
    )
    result.add_argument("--to", type=Path, default=Path("data/tau2020"), metavar="DIR", help="default: data/tau2020")
    result.add_argument(
        "--record",
        default=zenodo.TAU_NIGENS_2020,
        metavar="URL",
        help="listing of another record in Zenodo's interface, or a file with one",
    )
    result.add_argument(
        "--only", action="append", default=[], metavar="PATTERN", help="files to fetch; may be given again"
    )
    result.add_argument("--list", action="store_true", help="say what the record offers, and do nothing")
    return result


def main(arguments: Sequence[str] | None = None, network: Network | None = None) -> int:
    """Run the command; returns its exit status.

    Args:
        arguments: The command line; the process's own if absent.
        network: How servers are asked.
    """
    return run_command(lambda: _run_fetch(build_parser().parse_args(arguments), network or Network()))


def _run_fetch(options: argparse.Namespace, network: Network) -> int:
    everything = _fetch_listing(options.record, network)
    wanted = zenodo.choose_archives(everything, options.only)
    if options.list:
        for archive in wanted:
            print(f"{archive.name:<24} {format_bytes(archive.size):>9}  md5 {archive.md5}")
        return 0
    line = Console(sys.stdout)
    fetch_archives(wanted, everything, options.to, _make_patience(network, line), line)
    return 0


def fetch_archives(
    wanted: Sequence[Archive], everything: Iterable[Archive], folder: Path, network: Network, line: Console
) -> None:
    """Download files, then unpack the zip archives among them.

    Args:
        wanted: What is downloaded.
        everything: All files of the record, which say whether an archive is split.
        folder: Where to; it is made if it is missing.
        network: How servers are asked.
        line: Told about progress.

    Raises:
        InputError: If the disk is too small, a download fails or an archive is spoilt.
    """
    _make_folder(folder)
    packed = [one for one in group_archives(everything) if any(part in wanted for part in one.parts)]
    require_free_disk(folder, needed_bytes(wanted, folder))
    for archive in wanted:
        download_archive(archive, folder, network, _make_progress(line))
    for one in packed:
        missing = [part.name for part in one.parts if not (folder / part.name).is_file()]
        if missing:
            line.print_line(f"{one.stem} is not unpacked before {', '.join(missing)} is here")
            continue
        line.update_progress(f"unpacking {one.stem}")
        by_hand = unpack_archive(one, folder)
        if by_hand is None:
            line.print_line(f"unpacked {one.stem}")
        else:
            line.print_line(
                f"{one.stem} is a split archive, and 7z is not on the PATH. Install it, or run\n  {by_hand}"
            )


def needed_bytes(wanted: Iterable[Archive], folder: Path) -> int:
    """Room that downloading and unpacking still need."""
    packed = [one for one in group_archives(wanted) if not is_unpacked(one, folder)]
    unpacked = _UNPACKED_PER_BYTE * sum(part.size for one in packed for part in one.parts)
    return round(sum(_missing_bytes(archive, folder / archive.name) for archive in wanted) + unpacked)


def _missing_bytes(archive: Archive, path: Path) -> int:
    """How much is still to come, by size alone; the MD5 is checked later."""
    if path.is_file() and path.stat().st_size == archive.size:
        return 0
    part = partial_path(path)
    return max(0, archive.size - (part.stat().st_size if part.is_file() else 0))


def _fetch_listing(source: str, network: Network) -> tuple[Archive, ...]:
    if source.startswith(("https://", "http://")):
        return zenodo.parse_record(read_text(source, network), source)
    try:
        return zenodo.parse_record(Path(source).read_text(encoding="utf-8"), source)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "--record",
            "the listing is an address that begins with https://, or a readable file",
            value=source,
            remedy=f"for instance {zenodo.TAU_NIGENS_2020}",
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = None if os.access(folder, os.W_OK) else "no permission to write"
    except OSError as error:
        reason = error.strerror
    if reason is not None:
        raise InputError(
            "--to", "the folder must be writable", value=f"{folder}: {reason}", remedy="choose another folder"
        )


def _make_progress(line: Console, now: Callable[[], float] = time.monotonic) -> Progress:
    shown = -_SHOWN_EVERY_S

    def progress(archive: Archive, have: int) -> None:
        nonlocal shown
        whole = have == archive.size
        if whole or now() - shown >= _SHOWN_EVERY_S:
            shown = now()
            line.update_progress(
                f"{archive.name:<24} {format_bytes(have)} of {format_bytes(archive.size)}", final=whole
            )

    return progress


def _make_patience(network: Network, line: Console) -> Network:
    """Say why nothing happens while it waits."""

    def sleep(seconds: float) -> None:
        line.update_progress(f"broken off; trying again in {seconds:.0f} s")
        network.sleep(seconds)

    return replace(network, sleep=sleep)


if __name__ == "__main__":
    sys.exit(main())
