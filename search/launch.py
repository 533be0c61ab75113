"""`python -m search.launch SPACE`: the main job."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from datasets import sources
from datasets.building import parts
from datasets.registry import KEY_OF_SOUND
from runtime import machine, nodes, uris
from runtime.cli import Parser
from runtime.errors import InputError
from runtime.storage import Store
from search import preflight, storage_options
from search.plan import Plan
from search.results import DEFAULT_CACHE, SearchFolder
from spaces.load import load_space
from spaces.schema import Space


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog="python -m search.launch",
        description="Search a space of hyperparameters; every trial is recorded in MLflow.",
        epilog="Example: python -m search.launch spaces/rg_rep.yaml --trials 24 --set optimizer.batch_size=64",
        allow_abbrev=False,
    )
    result.add_argument("space", type=Path, help="YAML file, e.g. spaces/rg_rep.yaml; docs/spaces.md describes it")
    result.add_argument(
        "--profile", help="part of the file under `profiles:`; `full` for none (default: laptop where there is no GPU)"
    )
    result.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a key of the file, or fix a field"
    )
    result.add_argument(
        "--audio", metavar="DIR", help="a folder of music, one sub-folder a genre, instead of the procedural band"
    )
    result.add_argument("--trials", type=_positive_type(int), help="how many trials in all, the baseline among them")
    result.add_argument("--hours", type=_positive_type(float), help="stop the trials after so many hours")
    result.add_argument("--name", help="of the search (default: the file's)")
    result.add_argument("--seed", type=_parse_seed, help="of suggestions and trainings (default: the file's)")
    result.add_argument(
        "--storage",
        default="runs",
        metavar="DIR",
        help="where everything is kept: a folder (default: ./runs) or s3://…",
    )
    result.add_argument(
        "--cache", metavar="DIR", help=f"on each machine, for copies from an s3:// storage (default: {DEFAULT_CACHE})"
    )
    result.add_argument(
        "--study",
        metavar="URI",
        help="the study's database: postgresql://user@host/name or grpc://host:port (default: a file in the storage folder)",
    )
    result.add_argument(
        "--datasets",
        metavar="URI",
        help="where datasets are kept, e.g. s3://bucket/prefix (default: the storage folder)",
    )
    result.add_argument("--tracking-uri", metavar="URI", help="an MLflow store (default: SQLite in the storage folder)")
    result.add_argument(
        "--address",
        metavar="WHERE",
        help="the Ray cluster this machine is a node of: auto or HOST:PORT (default: this machine alone)",
    )
    result.add_argument(
        "--at-once",
        type=_positive_type(int),
        metavar="N",
        help="have N trials waiting for room on the cluster, for its autoscaler to see (default: what fits)",
    )
    result.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    again = result.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with a search that was started before")
    again.add_argument("--fresh", action="store_true", help="set a search of this name aside and start anew")
    return result


def _positive_type(kind: type[int] | type[float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be above zero, got {text}")
        return value

    number.__name__ = "whole number" if kind is int else "number"
    return number


def _parse_seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"must lie in 0 … 2147483647, got {text}")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        options = build_parser().parse_args(arguments)
        plan = prepare_experiment(options)
        if options.dry_run:
            print("\n".join(plan.summary_lines(lambda: plan.source.estimate_seconds(machine.count_cores()))))
            return 0
        from search.run import run_search  # torch, Ray and MLflow are loaded only once everything is known to be right

        return run_search(
            plan,
            options.tracking_uri,
            resume=options.resume,
            fresh=options.fresh,
            command=_command_to_resume(arguments),
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped before anything was begun.", file=sys.stderr)
        return 130


def prepare_experiment(options: argparse.Namespace) -> Plan:
    """Check everything that can be checked before anything is started.

    Raises:
        InputError: If something is wrong.
    """
    _check_cluster(options)
    # Heads of clusters often have no GPU themselves; whether a trial fits is seen when the cluster answers.
    has_gpu = machine.has_gpu() or options.address is not None
    space = load_space(options.space, has_gpu=has_gpu, profile=options.profile, overrides=_collect_overrides(options))
    folder = storage_options.results_folder(options, space.name)
    storage_options.check_options(options)
    _check_existing_search(folder, space, resume=options.resume, fresh=options.fresh)
    if not options.dry_run and options.address is None:  # a plan may be read on another machine than it is run on
        preflight.check_resources(space)
    place = "--audio" if options.audio else f"{options.space}: dataset.{KEY_OF_SOUND.get(space.dataset.kind, 'music')}"
    source = sources.prepare_dataset(space.dataset, place)
    for variant in space.boundary_datasets():
        parts.require_rooms(variant)
    preflight.check_data(space, source)
    preflight.check_several_gpus(space)
    store = Store(options.datasets or uris.join_uri(storage_options.absolute_storage(options.storage), "datasets"))
    tracking = options.tracking_uri or f"sqlite:///{folder.storage / 'mlflow.db'}"
    plan = Plan(space, source, folder, tracking, store, options.address, options.at_once, options.study)
    plan.check_disk()
    return plan


def _collect_overrides(options: argparse.Namespace) -> list[str]:
    shortcuts = {
        "budget.trials": options.trials,
        "budget.hours": options.hours,
        "name": options.name,
        "seed": options.seed,
        "dataset.music": options.audio,
    }
    return [*options.set, *(f"{name}={value}" for name, value in shortcuts.items() if value is not None)]


def _check_cluster(options: argparse.Namespace) -> None:
    if options.address is not None:
        nodes.check_address(options.address)
    elif options.at_once is not None:
        raise InputError(
            "--at-once",
            "only a cluster can get more nodes",
            remedy="add --address auto, or leave --at-once out: as many trials run as fit",
        )


def _check_existing_search(folder: SearchFolder, space: Space, *, resume: bool, fresh: bool) -> None:
    if not folder.is_started() or fresh:
        return
    if not resume:
        raise InputError(
            folder.display_path(folder.root_path),
            f"a search called {space.name!r} was started before",
            remedy="add --resume to go on with it, --fresh to start anew (the old one is kept), or --name for another",
        )
    before, now = folder.read_identity(), space.identity()
    changed = [key for key in now if before.get(key) != now[key]]
    if changed:
        raise InputError(
            folder.display_path(folder.identity_path),
            "a resumed search keeps its space; only the budget's trials and hours, and the resources, may change",
            value="changed: " + ", ".join(changed),
            remedy="undo the change, or start anew with --fresh or --name",
        )


def _command_to_resume(arguments: Sequence[str] | None) -> list[str]:
    """The command line, to be offered again with --resume."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return [word for word in words if word not in ("--resume", "--fresh")]


if __name__ == "__main__":
    sys.exit(main())
