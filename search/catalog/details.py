"""Details of a search and of its trials: parameters, epochs, test scores and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from runtime.errors import InputError
from search.catalog.reading import SearchRecord
from search.catalog.tables import format_duration, format_table, format_value
from search.reporting.constraints import INFEASIBLE
from search.reporting.edits import list_edits
from search.study.edits import EDITS
from search.study.trials import Trial
from search.study.warm_start import WARM_START, describe_earlier, from_plain
from spaces.configs import build_config
from spaces.schema import flatten_names
from trainables import registry


def describe_search(record: SearchRecord, count: int) -> dict[str, Any]:
    """Return a search with its best trials and the winner.

    Args:
        record: Search.
        count: Number of the best trials.
    """
    return {
        "name": record.name,
        "state": record.state,
        "trainable": record.trainable,
        "objectives": [list(objective) for objective in record.objectives],
        "constraints": list(map(str, record.constraints)),
        "trials": len(record.study.trials),
        "confirmations": len(record.study.confirmations),
        "searched": list(record.identity["search"]),
        "edits": list(record.identity.get(EDITS, [])),
        "warm_start": list(record.identity.get(WARM_START, [])),
        "best": [describe_summary(record, trial) for trial in record.ranked[:count]],
        "winner": describe_trial(record, record.winner) if record.winner is not None else None,
    }


def describe_summary(record: SearchRecord, trial: Trial) -> dict[str, Any]:
    """Return number, outcome, best values and parameters of a trial."""
    best = record.best_epoch(trial)
    metrics: Mapping[str, float] = {} if best is None else best.metrics
    return {
        "trial": trial.number,
        "role": trial.role,
        "outcome": trial.outcome,
        "outside": trial.is_outside,
        "violated": list(map(str, trial.violated)),
        "epochs": len(trial.epochs),
        "values": {name: metrics[name] for name, _ in record.objectives if name in metrics},
        "parameters": dict(trial.parameters),
    }


def describe_trial(record: SearchRecord, trial: Trial) -> dict[str, Any]:
    """Return everything that is recorded about a trial."""
    best, folder = record.best_epoch(trial), record.folder
    paths = {"model": folder.model_path, "log": folder.log_path, "scenes": folder.scenes_path}
    files = {name: path(trial.number) for name, path in paths.items()}
    return describe_summary(record, trial) | {
        "search": record.name,
        "reason": trial.reason,
        "confirms": trial.confirms,
        "seed": record.identity["seed"] if trial.seed is None else trial.seed,
        "config": config_values(record, trial),
        "best_epoch": None if best is None else best.epoch,
        "setting": {} if best is None else dict(best.setting),
        "seconds": sum(epoch.seconds for epoch in trial.epochs),
        "test_scores": {split: dict(scores) for split, scores in trial.test_scores.items()},
        "epoch_results": [asdict(epoch) for epoch in trial.epochs],
        "files": {name: folder.display_path(path) for name, path in files.items() if folder.has_file(path)},
        "mlflow_run": trial.run_id,
    }


def config_values(record: SearchRecord, trial: Trial) -> dict[str, Any]:
    """Return all values of a trial by dotted name, the searched ones first; without defaults if the Config is unavailable."""
    recorded: dict[str, Any] = record.config_values(trial)
    own = {name: value for name, value in recorded.items() if not name.startswith("dataset.")}
    try:
        config = registry.describe_trainable(record.trainable, "trainable").config
        complete = flatten_names(build_config(config, own).model_dump(mode="json"))
    except (ValidationError, InputError):
        return recorded
    return {**recorded, **{name: value for name, value in complete.items() if name not in recorded}}


def format_search(details: Mapping[str, Any]) -> list[str]:
    """Return the lines about a search."""
    objectives = ", ".join(f"{name} ({direction})" for name, direction in details["objectives"])
    lines = [
        f"search     {details['name']}: {details['state']}",
        f"trainable  {details['trainable']}",
        f"objectives {objectives}",
        *([f"bounds     {', '.join(details['constraints'])}"] if details["constraints"] else []),
        f"trials     {details['trials']}, and {details['confirmations']} confirmations",
        *(f"warm start {describe_earlier(from_plain(search))}" for search in details["warm_start"]),
        *(f"edit       {line}" for line in list_edits(details["edits"])),
        "",
    ]
    if details["winner"] is None:
        return [*lines, "no trial has a result"]
    metrics, searched = [name for name, _ in details["objectives"]], details["searched"]
    rows = [
        [
            str(row["trial"]),
            _describe_role(row),
            row["outcome"] + (f", {INFEASIBLE}" if row["violated"] else ""),
            str(row["epochs"]),
            *(format_value(row["values"].get(name)) for name in metrics),
            *(format_value(row["parameters"][name]) if name in row["parameters"] else "-" for name in searched),
        ]
        for row in details["best"]
    ]
    table = format_table(["trial", "role", "outcome", "epochs", *metrics, *searched], rows)
    return [*lines, "Best trials", *table, "", "Winner", *format_trial(details["winner"], epochs=False)]


def format_trial(details: Mapping[str, Any], *, epochs: bool = True) -> list[str]:
    """Return the lines about a trial.

    Args:
        details: Content from `describe_trial`.
        epochs: Whether to add the table of epochs.
    """
    described = _describe_role(details)
    role = "" if described == "trial" else f" ({described.removeprefix('trial, ')})"
    outcome = f"{details['outcome']}{': ' + details['reason'] if details['reason'] else ''}"
    lines = [
        f"trial      {details['search']}#{details['trial']}{role}: {outcome}",
        f"epochs     {details['epochs']}, best {details['best_epoch']}, {format_duration(details['seconds'])}",
        f"values     {_join(details['values'])}",
        f"setting    {_join(details['setting'])}",
        f"seed       {details['seed']}",
    ]
    lines += [f"{INFEASIBLE} {', '.join(details['violated'])}: violated"] if details["violated"] else []
    lines += [f"test {split:<6}{_join(scores)}" for split, scores in details["test_scores"].items()]
    lines += [f"{name:<11}{path}" for name, path in details["files"].items()]
    lines += [f"MLflow     run {details['mlflow_run']}"] if details["mlflow_run"] else []
    rows = [
        [name, format_value(value), "searched" if name in details["parameters"] else ""]
        for name, value in details["config"].items()
    ]
    lines += ["", *format_table(["field", "value", ""], rows)]
    return [*lines, *(["", *_format_epochs(details["epoch_results"])] if epochs and details["epochs"] else [])]


def _describe_role(details: Mapping[str, Any]) -> str:
    return f"{details['role']}, outside" if details["outside"] else str(details["role"])


def _format_epochs(results: list[dict[str, Any]]) -> list[str]:
    metrics = list(dict.fromkeys(name for result in results for name in result["metrics"]))
    settings = list(dict.fromkeys(name for result in results for name in result["setting"]))
    rows = [
        [
            str(result["epoch"]),
            *(format_value(result["metrics"][n]) if n in result["metrics"] else "-" for n in metrics),
            *(format_value(result["setting"][n]) if n in result["setting"] else "-" for n in settings),
            f"{result['seconds']:.3g}",
        ]
        for result in results
    ]
    return format_table(["epoch", *metrics, *settings, "seconds"], rows)


def _join(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {format_value(value)}" for name, value in values.items()) or "-"
