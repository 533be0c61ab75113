"""Options that select a dataset, common to all commands on datasets."""

from __future__ import annotations

import argparse
from pathlib import Path

from datasets import config_file, registry
from datasets.building.spec import DatasetSpec
from runtime import uris
from runtime.cli import Parser
from runtime.machines import machine
from runtime.storage import Storage, storage_at


def add_options(parser: Parser) -> None:
    """Add the options of the file, its changes, and the storage."""
    parser.add_argument("spec", type=Path, help="YAML file, e.g. spaces/rooms.yaml; docs/spaces.md describes the keys")
    parser.add_argument("--profile", help="name of a part of the file under `profiles:`; `full` for none")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a field of the dataset"
    )
    parser.add_argument("--audio", metavar="DIR", help="folder of music, one sub-folder per genre")
    add_skip_broken(parser)
    parser.add_argument(
        "--storage",
        type=uris.absolute_location,
        default="runs",
        metavar="DIR",
        help="storage of searches and datasets: a folder (default: ./runs) or s3://…",
    )
    parser.add_argument(
        "--datasets",
        type=uris.absolute_location,
        metavar="URI",
        help="storage of datasets, e.g. s3://bucket/prefix (default: STORAGE/datasets)",
    )


def add_skip_broken(parser: argparse.ArgumentParser) -> None:
    """Add the option that leaves out sound files that cannot be used."""
    parser.add_argument(
        "--skip-broken",
        action="store_const",
        const=True,
        help="leave out sound files that cannot be used, and second copies of recordings, instead of refusing the folder",
    )


def read_options(options: argparse.Namespace) -> tuple[list[DatasetSpec], Storage, str]:
    """Read the datasets that the options select.

    Returns:
        The dataset followed by its variants, their store, and the option or key that names their sound files, for errors.

    Raises:
        InputError: If an option or the file is invalid.
    """
    read_changes = (config_file.read_change(text, "train=20000") for text in options.set)
    changes = {name.removeprefix("dataset."): value for name, value in read_changes}
    if options.audio:
        changes["music"] = options.audio
    if options.skip_broken:
        changes["skip_broken"] = True
    specs = config_file.read_specs(options.spec, has_gpu=machine.has_gpu(), profile=options.profile, changes=changes)
    store = storage_at(options.datasets or uris.join_uri(options.storage, "datasets"))
    return (
        specs,
        store,
        "--audio" if options.audio else f"{options.spec}: dataset.{registry.sound_key(specs[0])}",
    )


def local_folder(storage: str) -> Path:
    """Return the storage if it is a folder, or the default folder for local files if it is a bucket."""
    return Path("runs" if uris.is_uri(storage) else storage)
