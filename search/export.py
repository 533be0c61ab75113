"""`python -m search.export NAME`: a space file that trains the winner of a search again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime.cli import Parser, parse_seed, positive_number_type, require_output, run_command, whole_number_type
from runtime.files import write_text_atomic
from search.catalog.reading import read_record
from search.launching.export import ExportChoice, RecordedSpace, build_space
from search.launching.storage_options import add_storage_options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m search.export",
        description="Write a space file that trains the winner of a search, or another one, again.",
        epilog="Example: python -m search.export rg_rep --epochs 200 --seeds 0,1,2",
        allow_abbrev=False,
    )
    parser.add_argument("search", help="name of the search")
    parser.add_argument(
        "--trial", type=whole_number_type(0), metavar="N", help="number of the trial (default: the winner)"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("winner.yaml"),
        metavar="FILE",
        help="file to write (default: winner.yaml)",
    )
    parser.add_argument(
        "--epochs", type=positive_number_type(int), metavar="N", help="epochs (default: as in the search)"
    )
    parser.add_argument(
        "--seeds",
        type=_parse_seeds,
        metavar="N,N,…",
        help="seeds of the training, with a file for each if there are several (default: that of the trial)",
    )
    parser.add_argument(
        "--fix-inner",
        action="store_true",
        help="evaluate the best inference parameters of the trial only (default: all of the search, chosen on validation)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    add_storage_options(parser)
    return run_command(lambda: _export(parser.parse_args(arguments)), stopped="Stopped; nothing was written.")


def _export(options: argparse.Namespace) -> int:
    outputs = _list_outputs(options.output, options.seeds)
    for path in outputs:
        require_output(path, force=options.force)
    record = read_record(options, options.search)
    trial = record.require_trial(options.trial)
    kind = "winner" if options.trial is None else f"trial{trial.number}"
    space, texts = RecordedSpace(record.folder, record.identity), {}
    for path, seed in outputs.items():
        suffix = kind if len(outputs) == 1 else f"{kind}-seed{seed}"
        choice = ExportChoice(options.epochs, seed, options.fix_inner, suffix)
        texts[path] = build_space(space, trial, choice, path)[1]
    for path, text in texts.items():
        write_text_atomic(path, text)
        print(
            f"trial {trial.number} of {record.name} written to {path}; train it with\n  python -m search.launch {path}"
        )
    return 0


def _list_outputs(output: Path, seeds: Sequence[int] | None) -> dict[Path, int | None]:
    """Return the files to write with their seeds."""
    if seeds is None or len(seeds) == 1:
        return {output: None if seeds is None else seeds[0]}
    return {output.with_name(f"{output.stem}-seed{seed}{output.suffix}"): seed for seed in seeds}


def _parse_seeds(text: str) -> list[int]:
    return list(dict.fromkeys(parse_seed(part.strip()) for part in text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
