"""Storage locations named on the command line: the results folder of a search, and the file of a model."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runtime import uris
from runtime.errors import InputError
from runtime.files import require_writable
from runtime.storage import storage_at
from search.launching.existing import describe_names
from search.results import DEFAULT_CACHE, SearchFolder

SERVER_SCHEMES: Final = ("http://", "https://")


def add_storage_options(
    parser: argparse.ArgumentParser, storage_help: str = "storage folder or s3://… of the searches (default: ./runs)"
) -> None:
    """Add the options that locate searches: `--storage`, `--cache` and `--study`."""
    parser.add_argument(
        "--storage",
        type=uris.absolute_location,
        default="runs",
        metavar="DIR",
        help=storage_help,
    )
    parser.add_argument(
        "--cache",
        type=uris.absolute_location,
        metavar="DIR",
        help=f"folder on each machine for copies from an s3:// storage (default: {DEFAULT_CACHE})",
    )
    parser.add_argument(
        "--study",
        metavar="URI",
        help="database of the study: postgresql://user@host/name or grpc://host:port (default: a file in the storage folder)",
    )


def add_datasets_option(
    parser: argparse.ArgumentParser, datasets_help: str = "storage of the datasets (default: the storage folder)"
) -> None:
    """Add the option that locates the datasets."""
    parser.add_argument("--datasets", type=uris.absolute_location, metavar="URI", help=datasets_help)


def add_tracking_option(parser: argparse.ArgumentParser, store: str = "MLflow store") -> None:
    """Add the option that locates MLflow's data; its help begins with the purpose of the store."""
    parser.add_argument(
        "--tracking-uri",
        type=uris.absolute_sqlite_uri,
        metavar="URI",
        help=f"{store} (default: SQLite in the storage folder)",
    )


def open_results(options: argparse.Namespace, name: str) -> SearchFolder:
    """Return the files of a search under `--storage`.

    Raises:
        InputError: If they cannot be written, or a bucket lacks the databases that it needs in addition.
    """
    if options.datasets is not None and not uris.is_uri(options.datasets):
        require_writable(options.datasets, "--datasets")
    if not uris.is_uri(options.storage):
        require_writable(options.storage)
        return SearchFolder.from_storage(options.storage, name)
    if options.study is None:
        raise _missing_database_error(
            options.storage, "--study postgresql://… or grpc://…", "the journal of a study grows line by line"
        )
    if options.tracking_uri is None or not options.tracking_uri.startswith(SERVER_SCHEMES):
        raise _missing_database_error(
            options.storage, "--tracking-uri http://host:port", "the database of MLflow is a file that changes"
        )
    folder = SearchFolder.from_storage(options.storage, name, options.cache)
    require_writable(str(folder.storage), "--cache")
    if not options.dry_run:
        storage_at(options.storage).require_open()
    return folder


def _missing_database_error(uri: str, option: str, reason: str) -> InputError:
    return InputError(
        "--storage",
        f"{reason}, and the objects of a bucket are written as a whole",
        value=uris.redact_argument(uri),
        remedy=f"add {option}, or name a folder as --storage",
    )


@contextmanager
def open_model_path(location: str) -> Iterator[Path]:
    """Yield the local path of a model: as named, or a temporary copy from a bucket.

    Args:
        location: Local path, or the URI of a model.pt or of a trial's folder.

    Raises:
        InputError: If there is no model, or the bucket does not answer.
    """
    if not uris.is_uri(location):
        local = uris.expand_home(location)
        if not local.exists():
            raise _no_model_error(location, _suggest_model(local))
        yield local
        return
    address, mark, query = location.partition("?")
    path = address if address.endswith(".pt") else f"{address.rstrip('/')}/model.pt"
    folder, _, name = path.rpartition("/")
    content = storage_at(f"{folder}{mark}{query}").read_file(name)
    if content is None:
        raise _no_model_error(
            uris.redact_uri(location),
            "in a bucket, name a model.pt or a trial's folder; a search prints its best model at the end",
        )
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / name
        copy.write_bytes(content)
        yield copy


def _suggest_model(path: Path) -> str:
    """Return a remedy for a path without a model; if it looks like that of a search, with the searches that exist."""
    folder = path.parent if path.parent.name == "searches" else Path("runs/searches")
    names = sorted(found.parent.name for found in folder.glob("*/space.json"))
    general = "name a model.pt, a trial's folder, or a search's folder such as runs/searches/rg_rep"
    if not names or path.suffix or (path.parent != folder and path.parent != Path()):
        return general
    return f"{general}; in {folder}: {describe_names(path.name, names)}"


def _no_model_error(location: str, remedy: str) -> InputError:
    return InputError(location, "the model must exist", remedy=remedy)
