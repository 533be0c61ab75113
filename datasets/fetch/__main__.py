"""`python -m datasets.fetch`: download TAU-NIGENS Spatial Sound Events 2020, or the files of another record.

Files are downloaded from the public record of the dataset and checked against its sizes and MD5 checksums. Interrupted
downloads are resumed, complete files are kept, and zip archives are unpacked.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from datasets.fetch import zenodo
from datasets.fetch.download import DownloadProgress, HttpOptions, download_archive, partial_path, read_text
from datasets.fetch.unpack import group_archives, is_unpacked, unpack_archive
from datasets.fetch.zenodo import Archive
from runtime import uris
from runtime.cli import Parser, run_command
from runtime.console import Console, format_bytes
from runtime.errors import InputError
from runtime.files import require_free_disk, write_obstacle

_UNPACKED_PER_BYTE: Final = 1.5
"""Estimated size of unpacked files per archive byte; 16-bit audio is rarely compressed below two thirds."""
_SHOWN_EVERY_S: Final = 0.2


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = Parser(
        prog="python -m datasets.fetch",
        description="Download and unpack TAU-NIGENS Spatial Sound Events 2020 (CC BY-NC 4.0). Complete files are kept.",
        epilog="Example: python -m datasets.fetch --to data/tau2020 --only 'foa_dev.*' --only 'metadata_dev.*'",
        allow_abbrev=False,
    )
    result.add_argument(
        "--to",
        type=uris.expand_home,
        default=Path("data/tau2020"),
        metavar="DIR",
        help="target folder (default: data/tau2020)",
    )
    result.add_argument(
        "--record",
        default=zenodo.TAU_NIGENS_2020,
        metavar="URL",
        help="listing of another record of the Zenodo API: an address or a file (default: TAU-NIGENS 2020)",
    )
    result.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="download only files that match this pattern; may be repeated",
    )
    result.add_argument("--list", action="store_true", help="list the files of the record without downloading")
    return result


def main(arguments: Sequence[str] | None = None, network: HttpOptions | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: Command-line arguments; those of the process by default.
        network: HTTP timeouts and retry delays.
    """
    return run_command(lambda: _run_fetch(build_parser().parse_args(arguments), network or HttpOptions()))


def _run_fetch(options: argparse.Namespace, network: HttpOptions) -> int:
    everything = _fetch_listing(options.record, network)
    wanted = zenodo.choose_archives(everything, options.only)
    if options.list:
        for archive in wanted:
            print(f"{archive.name:<24} {format_bytes(archive.size):>9}  md5 {archive.md5}")
        return 0
    console = Console(sys.stdout)
    fetch_archives(wanted, everything, options.to, _announce_retries(network, console), console)
    return 0


def fetch_archives(
    wanted: Sequence[Archive], everything: Iterable[Archive], folder: Path, network: HttpOptions, console: Console
) -> None:
    """Download files, then unpack the zip archives among them.

    Args:
        wanted: Files to be downloaded.
        everything: All files of the record, which determine the parts of split archives.
        folder: Target folder; created if missing.
        network: HTTP timeouts and retry delays.
        console: Output for progress messages.

    Raises:
        InputError: If the disk is too small, a download fails or an archive is corrupt.
    """
    _make_folder(folder)
    packed_archives = [packed for packed in group_archives(everything) if any(part in wanted for part in packed.parts)]
    require_free_disk(folder, needed_bytes(wanted, folder))
    for archive in wanted:
        download_archive(archive, folder, network, _make_progress(console))
    for packed in packed_archives:
        missing = [part.name for part in packed.parts if not (folder / part.name).is_file()]
        if missing:
            console.print_line(f"{packed.stem} is not unpacked: {', '.join(missing)} has not been downloaded")
            continue
        console.update_progress(f"unpacking {packed.stem}")
        manual_command = unpack_archive(packed, folder)
        if manual_command is None:
            console.print_line(f"unpacked {packed.stem}")
        else:
            console.print_line(
                f"{packed.stem} is a split archive, and 7z is not on the PATH. Install 7z, or run\n  {manual_command}"
            )


def needed_bytes(wanted: Iterable[Archive], folder: Path) -> int:
    """Return the disk space that the remaining downloads and unpacking need, in bytes."""
    pending = [packed for packed in group_archives(wanted) if not is_unpacked(packed, folder)]
    unpacked = _UNPACKED_PER_BYTE * sum(part.size for packed in pending for part in packed.parts)
    return round(sum(_missing_bytes(archive, folder / archive.name) for archive in wanted) + unpacked)


def _missing_bytes(archive: Archive, path: Path) -> int:
    """Return the number of bytes still to be downloaded, by size alone; the MD5 is checked after the download."""
    if path.is_file() and path.stat().st_size == archive.size:
        return 0
    part = partial_path(path)
    return max(0, archive.size - (part.stat().st_size if part.is_file() else 0))


def _fetch_listing(source: str, network: HttpOptions) -> tuple[Archive, ...]:
    if source.startswith(("https://", "http://")):
        return zenodo.parse_record(read_text(source, network), source)
    try:
        return zenodo.parse_record(Path(source).read_text(encoding="utf-8"), source)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "--record",
            "the listing must be an address that begins with https://, or a readable file",
            value=source,
            remedy=f"name a listing such as {zenodo.TAU_NIGENS_2020}",
        ) from error


def _make_folder(folder: Path) -> None:
    reason = write_obstacle(folder, create=True)
    if reason is not None:
        raise InputError(
            "--to", "the folder must be writable", value=f"{folder}: {reason}", remedy="choose another folder"
        )


def _make_progress(console: Console, now: Callable[[], float] = time.monotonic) -> DownloadProgress:
    last_update = -_SHOWN_EVERY_S

    def progress(archive: Archive, have: int) -> None:
        nonlocal last_update
        is_complete = have == archive.size
        if is_complete or now() - last_update >= _SHOWN_EVERY_S:
            last_update = now()
            console.update_progress(
                f"{archive.name:<24} {format_bytes(have)} of {format_bytes(archive.size)}", final=is_complete
            )

    return progress


def _announce_retries(network: HttpOptions, console: Console) -> HttpOptions:
    """Report each delay before a retry on the console."""

    def sleep(seconds: float) -> None:
        console.update_progress(f"connection lost; retrying in {seconds:.0f} s")
        network.sleep(seconds)

    return replace(network, sleep=sleep)


if __name__ == "__main__":
    sys.exit(main())
