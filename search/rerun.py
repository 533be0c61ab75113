"""`python -m search.rerun NAME TRIAL`: train one trial again from its record, and compare the figures."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runtime.cli import Parser, positive_number_type, run_command, whole_number_type
from runtime.console import Console
from runtime.errors import InputError
from search.catalog.reading import SearchRecord, read_record
from search.launching.export import ExportChoice, RecordedSpace, build_space
from search.launching.storage_options import add_datasets_option, add_storage_options, add_tracking_option
from search.study.trials import Trial
from spaces.schema import Space

DIFFERENT: Final = 1
"""Exit status if a figure differs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m search.rerun",
        description="Train one trial again from its record, in this process, and compare each epoch with the recorded one.",
        epilog="The exit status is 0 if all figures are the same, up to rounding, and 1 if one differs.",
        allow_abbrev=False,
    )
    parser.add_argument("search", help="name of the search")
    parser.add_argument("trial", type=whole_number_type(0), help="number of the trial")
    parser.add_argument(
        "--epochs", type=positive_number_type(int), metavar="N", help="stop after N epochs (default: all recorded ones)"
    )
    parser.add_argument("--device", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")
    parser.add_argument(
        "--threads", type=positive_number_type(int), default=1, metavar="N", help="CPU threads of torch (default: 1)"
    )
    add_datasets_option(parser)
    add_tracking_option(parser, "MLflow store with the environment of the trial")
    add_storage_options(parser)
    return run_command(lambda: _rerun(parser.parse_args(arguments)), stopped="Stopped.")


def _rerun(options: argparse.Namespace) -> int:
    record = read_record(options, options.search)
    trial = record.require_trial(options.trial)
    _require_epochs(record, trial)
    recorded = RecordedSpace(record.folder, record.identity)
    with tempfile.TemporaryDirectory(prefix="rerun-") as folder:
        space, _ = build_space(
            recorded, trial, ExportChoice(suffix=f"trial{trial.number}"), Path(folder) / "trial.yaml"
        )
        return _train(options, record, trial, space, Path(folder))


def _require_epochs(record: SearchRecord, trial: Trial) -> None:
    if not trial.epochs:
        place = f"{record.name}#{trial.number}"
        raise InputError(place, "the trial must have recorded epochs", remedy="name one with epochs; see search.show")


def _train(options: argparse.Namespace, record: SearchRecord, trial: Trial, space: Space, folder: Path) -> int:
    from search.catalog import repetition  # loads torch
    from search.saved_models import require_device

    device = require_device(options.device)
    experiment = repetition.build_experiment(record, space, folder, options.datasets)
    environment = repetition.describe_environment(
        record, trial, experiment.dataset.fingerprint, options.tracking_uri, device, options.threads
    )
    print("\n".join(environment), flush=True)
    limit = min(options.epochs or len(trial.epochs), len(trial.epochs))
    with repetition.cpu_threads(options.threads):
        result = repetition.repeat_trial(experiment, trial, device, limit, Console(sys.stdout))
    print(result)
    return DIFFERENT if result.differs else 0


if __name__ == "__main__":
    sys.exit(main())
