"""Command line of the measurements of a GPU."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Final

from benchmarks.gpu.measurements import MEASUREMENTS
from benchmarks.gpu.ratios import compute_ratios
from benchmarks.gpu.run import Report, run_all
from benchmarks.gpu.table import format_results
from runtime.cli import Parser, positive_number_type, run_command
from runtime.errors import InputError
from runtime.machines import machine

RESULTS: Final = Path(__file__).resolve().parent.parent / "results"


def main() -> int:
    """Run the command and return its exit status."""
    started = time.monotonic()
    options = _build_parser().parse_args()
    if options.part is not None:
        return _measure_here(options)
    if not options.miniature and not machine.has_gpu() and not machine.list_gpus():
        raise InputError(
            "benchmarks.gpu",
            "a GPU must be visible",
            value="none",
            remedy="add --miniature to run everything on the CPU",
        )
    chosen = tuple(known for known in MEASUREMENTS if options.only is None or known.name in options.only)
    with tempfile.TemporaryDirectory(prefix="soundsweep-gpu-") as scratch:
        data = Path(options.data or scratch)
        data.mkdir(parents=True, exist_ok=True)
        report = Report(
            options.out or RESULTS / f"gpu-{_card_slug(miniature=options.miniature)}.json", options.miniature
        )
        report.measured_on["commit"] = options.commit or report.measured_on["commit"]
        report.out.parent.mkdir(parents=True, exist_ok=True)
        report.write()
        run_all(report, chosen, data, 60 * options.minutes, started=started)
    print(format_results(report.results | {"ratios": compute_ratios(report.results)}))
    print(report.out)
    return 0


def _build_parser() -> Parser:
    parser = Parser(prog="python -m benchmarks.gpu", description="Measure everything that depends on the GPU.")
    names = [measurement.name for measurement in MEASUREMENTS]
    parser.add_argument("--minutes", type=positive_number_type(float), default=9.0, help="total time")
    parser.add_argument("--out", type=Path, help="file of the results; benchmarks/results/gpu-CARD.json by default")
    parser.add_argument("--data", type=Path, help="folder for datasets; a temporary one by default")
    parser.add_argument("--only", choices=names, nargs="+", help="these measurements alone")
    parser.add_argument("--commit", help="commit of the code, where there is no repository")
    parser.add_argument("--miniature", action="store_true", help="tiny models on the CPU: shows that everything runs")
    parser.add_argument("--part", type=Path, help="measure in this process, and write results of --only to this file")
    parser.add_argument("--seconds", type=positive_number_type(float), default=60.0, help="time for --part")
    return parser


def _measure_here(options: Namespace) -> int:
    from benchmarks.gpu.session import Session, limit_threads  # loads torch

    measurement = next((known for known in MEASUREMENTS if [known.name] == options.only), None)
    if measurement is None:
        raise InputError("--part", "a single measurement must be named", remedy="add --only NAME")
    data = options.data or options.part.parent
    if options.miniature:
        limit_threads()
    session = Session(options.part, data, options.miniature, options.seconds)
    session.attempt("all", measurement.run, session)
    return 0


def _card_slug(*, miniature: bool) -> str:
    """Return the card's name in lower case, with hyphens."""
    gpus = machine.list_gpus()
    name = "miniature" if miniature else gpus[0].name if gpus else "unknown"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


if __name__ == "__main__":
    sys.exit(run_command(main))
