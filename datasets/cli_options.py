"""The options that say which dataset is meant, for every command that works on one."""

from __future__ import annotations

import argparse
from pathlib import Path

from datasets import config_file, registry
from datasets.building.spec import DatasetSpec
from runtime import machine, uris
from runtime.cli import Parser
from runtime.storage import Storage, storage_at


def add_options(parser: Parser) -> None:
    """Add the file, what changes it, and where datasets lie."""
    parser.add_argument("spec", type=Path, help="YAML file, e.g. spaces/rooms.yaml; docs/spaces.md describes the keys")
    parser.add_argument("--profile", help="part of the file under `profiles:`; `full` for none")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a field of the dataset"
    )
    parser.add_argument("--audio", metavar="DIR", help="a folder of music, one sub-folder a genre")
    parser.add_argument(
        "--storage",
        default="runs",
        metavar="DIR",
        help="where searches keep everything: a folder (default: ./runs) or s3://…",
    )
    parser.add_argument(
        "--datasets", metavar="URI", help="where datasets are kept, e.g. s3://bucket/prefix (default: STORAGE/datasets)"
    )


def read_options(options: argparse.Namespace) -> tuple[list[DatasetSpec], Storage, str]:
    """Read the datasets that the options mean.

    Returns:
        The dataset and its variants, where they are kept, and where their sound was named, for errors.

    Raises:
        InputError: If anything is wrong with them.
    """
    read_changes = (config_file.read_change(text, "train=20000") for text in options.set)
    changes = {name.removeprefix("dataset."): value for name, value in read_changes}
    if options.audio:
        changes["music"] = options.audio
    specs = config_file.read_specs(options.spec, has_gpu=machine.has_gpu(), profile=options.profile, changes=changes)
    store = storage_at(options.datasets or uris.join_uri(options.storage, "datasets"))
    return (
        specs,
        store,
        "--audio" if options.audio else f"{options.spec}: dataset.{registry.sound_key(specs[0])}",
    )


def local_folder(storage: str) -> Path:
    """A folder on this machine: the storage, or where storage is a bucket the default one for what comes out of it."""
    return Path("runs" if uris.is_uri(storage) else storage)
