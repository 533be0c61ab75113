"""`python -m search.stress MODEL`: a robustness map, the metrics of a localizer over reverberation, noise and mismatch."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.acoustics.conditions import list_conditions
from datasets.building.spec import PROCEDURAL
from runtime import uris
from runtime.cli import Parser, positive_number_type, run_command
from runtime.console import Console
from runtime.errors import InputError
from runtime.files import require_writable, write_text_atomic
from search.launching import storage_options
from search.results import STRESS_FILE
from search.robustness.rooms import describe_rooms

if TYPE_CHECKING:
    from datasets.rooms.dataset import Dataset
    from search.saved_models import SavedModel

_MOST_SOURCES = 4


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    result = Parser(
        prog="python -m search.stress",
        description="Score a localizer, SRP-PHAT and MUSIC on new music in simulated rooms of the model's geometry: over"
        " reverberation, sensor noise, number of sources and deviating gains of the microphones.",
        epilog="Example: python -m search.stress runs/searches/rg_rep --rt60 0,0.3 --snr none,20,10",
        allow_abbrev=False,
    )
    result.add_argument("model", help="model.pt, folder of a trial, or folder of a search for its winner")
    result.add_argument(
        "--rt60", type=_numbers(0, 10), default=[0.0, 0.2, 0.4], metavar="S,S,…", help="seconds (default: 0,0.2,0.4)"
    )
    result.add_argument(
        "--snr", type=_levels, default=[None, 20.0, 10.0], metavar="DB,DB,…", help="dB, or none (default: none,20,10)"
    )
    result.add_argument(
        "--sources", type=_counts, default=[1, 2, 3], metavar="N,N,…", help="sources at the same time (default: 1,2,3)"
    )
    result.add_argument(
        "--gains",
        type=_numbers(0, 20),
        default=[0.0, 2.0],
        metavar="DB,DB,…",
        help="± dB per microphone (default: 0,2)",
    )
    result.add_argument(
        "--samples", type=positive_number_type(int), default=200, metavar="N", help="samples per number of sources"
    )
    result.add_argument(
        "--music",
        type=uris.expand_home,
        metavar="FOLDER",
        help="folder with one sub-folder per genre (default: procedural)",
    )
    result.add_argument("--device", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")
    result.add_argument(
        "--to", type=Path, metavar="FOLDER", help="folder of stress.json and stress.html (default: that of the model)"
    )
    result.add_argument(
        "--datasets",
        type=uris.absolute_location,
        default="runs/datasets",
        metavar="DIR",
        help="folder of the simulated data, which another run uses again (default: ./runs/datasets)",
    )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(
        lambda: _stress(build_parser().parse_args(arguments)), stopped="Stopped; built data is kept for the next run."
    )


def _numbers(least: float, most: float) -> Callable[[str], list[float]]:
    def parse(text: str) -> list[float]:
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError:
            values = [float("nan")]
        if not all(least <= value <= most for value in values):
            raise argparse.ArgumentTypeError(f"write numbers from {least:g} to {most:g}, separated by commas")
        return list(dict.fromkeys(values))

    return parse


def _levels(text: str) -> list[float | None]:
    parse = _numbers(-30, 100)
    return [None if part.strip() == "none" else parse(part)[0] for part in text.split(",")]


def _counts(text: str) -> list[int]:
    values = _numbers(1, _MOST_SOURCES)(text)
    if any(value % 1 for value in values):
        raise argparse.ArgumentTypeError("write whole numbers, separated by commas")
    return [int(value) for value in values]


def _stress(options: argparse.Namespace) -> int:
    with storage_options.open_model_path(options.model) as path:
        from search import saved_models  # imports torch

        model = saved_models.read_model(saved_models.find_model(path))
        _require_localizer(model)
        device = saved_models.require_device(options.device)
        folder = options.to or model.path.parent
        require_writable(str(folder), "--to")
        require_writable(str(options.datasets), "--datasets")
        folder.mkdir(parents=True, exist_ok=True)
        return _score(options, model, device, folder)


def _require_localizer(model: SavedModel) -> None:
    from trainables.localizer.trainable import Localizer

    if not issubclass(model.trainable, Localizer):
        raise InputError(
            str(model.path),
            "the model must be a localizer: its rooms are simulated from the microphones that it has learned",
            value=model.name,
            remedy="name a model of the trainable `localizer`",
        )


def _score(options: argparse.Namespace, model: SavedModel, device: str, folder: Path) -> int:
    from search.reporting.page.robustness import summarise_conditions, tabulate_conditions
    from search.reporting.progress import format_table
    from search.robustness.evaluation import score_conditions, to_plain
    from trainables.localizer.array_layout import ArrayLayout

    console = Console(sys.stdout)
    try:
        layout = ArrayLayout.from_weights(model.weights)
    except KeyError as error:
        raise InputError(
            str(model.path),
            "the file must hold the positions of the microphones",
            value="none",
            remedy="it was written by an early version: search again with this version",
        ) from error
    conditions = list_conditions(options.rt60, options.snr, options.gains)
    console.print_line(f"model    {model.path}")
    console.print_line(
        f"stress   {len(conditions)} conditions, {options.samples} samples for each of {len(options.sources)} numbers of sources"
    )
    opened: dict[float, Dataset] = {}

    def open_rooms(rt60_s: float) -> Dataset:
        if rt60_s not in opened:
            opened[rt60_s] = _build_rooms(options, layout, rt60_s, console)
        return opened[rt60_s]

    rows: list[dict[str, Any]] = []
    for score in score_conditions(model, conditions, options.sources, open_rooms, device):
        rows.append(to_plain(score))
        console.update_progress(f"scored   {score.condition.describe()}, {score.sources} sources", final=False)
    console.print_line("")
    table = tabulate_conditions(rows)
    console.print_line(format_table([table.header, *table.rows]))
    for sentence in summarise_conditions(rows):
        console.print_line(sentence)
    _write(folder, model, rows, console)
    return 0


def _build_rooms(options: argparse.Namespace, layout: Any, rt60_s: float, console: Console) -> Dataset:
    """Return the dataset of a reverberation time, built first if it is not there."""
    from datasets.building.builder import Builder
    from datasets.registry import prepare_dataset
    from runtime.storage import storage_at

    music = PROCEDURAL if options.music is None else str(options.music)
    spec = describe_rooms(layout.size_m, layout.microphones_m, rt60_s, options.sources, options.samples, music)
    provider = prepare_dataset(spec, "--music")
    store = storage_at(str(options.datasets))
    what = "free field" if rt60_s == 0 else f"RT60 {rt60_s:g} s"

    def report(unit: str, done: int, total: int) -> None:
        console.update_progress(f"data     {what}: {done:,} of {total:,} {unit}", final=False)

    provider.build(Builder(store, report))
    dataset: Dataset = provider.open_dataset(store, Path(options.datasets))
    return dataset


def _write(folder: Path, model: SavedModel, rows: Sequence[dict[str, Any]], console: Console) -> None:
    from search.reporting.page.robustness import make_robustness_page

    digest = hashlib.sha256(model.path.read_bytes()).hexdigest()
    content = {"model": str(model.path), "sha256": digest, "scores": list(rows)}
    write_text_atomic(folder / STRESS_FILE, json.dumps(content, indent=1) + "\n")
    page = (folder / STRESS_FILE).with_suffix(".html")
    write_text_atomic(page, make_robustness_page(str(model.path), rows))
    console.print_line(f"map      {page}, {STRESS_FILE}; the report of its search has it from now on")


if __name__ == "__main__":
    sys.exit(main())
