"""`python -m search.status NAME`: the state of a search on one screen."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from runtime.cli import Parser, run_command
from search.catalog.reading import SearchRecord, read_record
from search.catalog.tables import format_duration, format_time, format_value, to_json
from search.launching.storage_options import add_storage_options
from search.study.trials import Trial


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = Parser(
        prog="python -m search.status",
        description="Print the state of a search, also while it runs; nothing is changed.",
        allow_abbrev=False,
    )
    parser.add_argument("search", help="name of the search")
    add_storage_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    return run_command(lambda: _print_status(parser.parse_args(arguments)), stopped="Stopped.")


def _print_status(options: argparse.Namespace) -> int:
    status = describe_status(read_record(options, options.search))
    print(to_json(status) if options.json else "\n".join(format_status(status)))
    return 0


def describe_status(record: SearchRecord) -> dict[str, Any]:
    """Return the state of a search; the estimate of what is left is for one trial at a time, with all epochs."""
    trials = record.study.trainings
    seconds = [epoch.seconds for trial in trials for epoch in trial.epochs]
    per_epoch = statistics.median(seconds) if seconds else None
    best = record.ranked[0] if record.ranked else None
    return {
        "name": record.name,
        "state": record.state,
        "run_by": None if record.holder is None else str(record.holder),
        "outcomes": dict(Counter(trial.outcome for trial in record.study.trials)),
        "confirmations": dict(Counter(trial.outcome for trial in record.study.confirmations)),
        "total": record.max_trials,
        "epochs": len(seconds),
        "epochs_per_trial": record.epochs,
        "running": [_describe_trial(record, trial) for trial in trials if trial.outcome == "running"],
        "best": None if best is None else _describe_trial(record, best),
        "seconds_per_epoch": per_epoch,
        "seconds_total": sum(seconds),
        "seconds_left_at_most": _estimate_left(record, per_epoch),
        "started": record.study.started,
        "last_activity": record.last_activity,
    }


def _describe_trial(record: SearchRecord, trial: Trial) -> dict[str, Any]:
    best = record.best_epoch(trial)
    metrics = {} if best is None else best.metrics
    values = {name: metrics[name] for name, _ in record.objectives if name in metrics}
    last = trial.epochs[-1].epoch if trial.epochs else 0
    return {
        "trial": trial.number,
        "role": trial.role,
        "epoch": last,
        "best_epoch": best and best.epoch,
        "best": values,
        "violated": list(map(str, trial.violated)),
    }


def _estimate_left(record: SearchRecord, per_epoch: float | None) -> float | None:
    if per_epoch is None or record.max_trials is None:
        return None
    open_trials = [trial for trial in record.study.trials if trial.outcome == "running"]
    waiting = max(0, record.max_trials - len(record.study.trials))
    return per_epoch * (waiting * record.epochs + sum(record.epochs - len(trial.epochs) for trial in open_trials))


def format_status(status: dict[str, Any]) -> list[str]:
    """Return the lines of the screen."""
    run_by = "" if status["run_by"] is None else f" ({status['run_by']})"
    total = "" if status["total"] is None else f" of {status['total']}"
    count = sum(status["outcomes"].values())
    lines = [
        f"search   {status['name']}: {status['state']}{run_by}",
        f"trials   {count}{total} started: {_join(status['outcomes'])}",
    ]
    if status["confirmations"]:
        lines.append(f"confirm  {_join(status['confirmations'])}")
    lines.append(f"epochs   {status['epochs']}, at most {status['epochs_per_trial']} a trial")
    lines += [f"open     {_trial_line(trial)}" for trial in status["running"]]
    if status["best"] is not None:
        lines.append(f"best     {_trial_line(status['best'])}")
    if status["seconds_per_epoch"] is not None:
        spent = format_duration(status["seconds_total"])
        lines.append(
            f"time     {format_duration(status['seconds_per_epoch'])} per epoch (median), {spent} in all epochs"
        )
    if status["seconds_left_at_most"]:
        left = format_duration(status["seconds_left_at_most"])
        lines.append(
            f"left     at most {left} of training if no trial is stopped early, divided by the trials at a time"
        )
    lines.append(
        f"dates    started {format_time(status['started'])}, last activity {format_time(status['last_activity'])}"
    )
    return lines


def _trial_line(trial: dict[str, Any]) -> str:
    values = ", ".join(f"{name} {format_value(value)}" for name, value in trial["best"].items())
    role = "" if trial["role"] == "trial" else f" ({trial['role']})"
    best = f": {values} in epoch {trial['best_epoch']}" if values else ""
    violated = f", violates {', '.join(trial['violated'])}" if trial["violated"] else ""
    return f"trial {trial['trial']}{role}, epoch {trial['epoch']}{best}{violated}"


def _join(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "none"


if __name__ == "__main__":
    sys.exit(main())
