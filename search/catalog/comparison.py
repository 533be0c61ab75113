"""Searches and trials side by side: spaces, best values, test scores and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from datasets.registry import AnySpec
from datasets.rooms.spec import SampleSpec
from runtime.errors import InputError
from runtime.html_page import DataTable
from search.catalog.details import config_values
from search.catalog.reading import SearchRecord
from search.catalog.tables import format_duration, format_table, format_value
from search.results import FINGERPRINT, MAX_TRIALS
from search.study.edits import EDITS, START
from search.study.trials import Trial
from search.study.warm_start import WARM_START
from spaces.points import describe_dimension
from spaces.recorded import read_dimension
from spaces.schema import flatten_names

_NOT_COMPARED: Final = (
    *("study", "launch_folder", FINGERPRINT, MAX_TRIALS, START, EDITS, WARM_START),
    *("search", "dataset", "fixed", "inner"),
)
"""Keys of an identity that are no part of the space, or are compared key by key."""


@dataclass(frozen=True)
class Entry:
    """Column of a comparison.

    Attributes:
        label: Name of the search, with the number of a trial after `#`.
        record: Search.
        trial: Trial that is compared; the winner of a search, or None if it has no result.
        is_single: Whether one trial is compared instead of the search.
    """

    label: str
    record: SearchRecord
    trial: Trial | None
    is_single: bool

    @property
    def trials(self) -> Sequence[Trial]:
        """Trials that the costs cover."""
        if self.is_single and self.trial is not None:
            return [self.trial]
        return self.record.study.trainings


def describe_comparison(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what differs between entries, their best values and their costs."""
    return {
        "entries": [entry.label for entry in entries],
        "trials": [None if entry.trial is None else entry.trial.number for entry in entries],
        "differences": _differences([_describe_space(entry) for entry in entries]),
        "winners": _differences([_describe_values(entry) for entry in entries]),
        "validation": _validation(entries),
        "is_validation_shared": _is_shared(entries, "validate"),
        "tests": _tests(entries),
        "costs": [_costs(entry) for entry in entries],
    }


def _describe_space(entry: Entry) -> dict[str, Any]:
    identity = entry.record.identity
    described = {name: value for name, value in identity.items() if name not in _NOT_COMPARED}
    for group in ("fixed", "dataset"):
        described |= flatten_names(identity[group], f"{group}.")
    return described | {f"{group}.{n}": v for group in ("search", "inner") for n, v in identity[group].items()}


def _describe_values(entry: Entry) -> dict[str, Any]:
    if entry.trial is None:
        return {}
    best = entry.record.best_epoch(entry.trial)
    setting = {} if best is None else {f"inner.{name}": value for name, value in best.setting.items()}
    return config_values(entry.record, entry.trial) | setting


def _differences(columns: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the values of the keys that are not the same in all columns; None where a key is absent."""
    names = dict.fromkeys(name for column in columns for name in column)
    rows = {name: [column.get(name) for column in columns] for name in names}
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values)}


def _validation(entries: Sequence[Entry]) -> dict[str, list[float | None]]:
    """Return the objectives of all searches at the best epoch of each entry."""
    metrics = []
    for entry in entries:
        best = None if entry.trial is None else entry.record.best_epoch(entry.trial)
        metrics.append({} if best is None else best.metrics)
    names = dict.fromkeys(name for entry in entries for name, _ in entry.record.objectives)
    return {name: [each.get(name) for each in metrics] for name in names}


def _tests(entries: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """Return the scores of each test split that several entries have, and whether it is the same data in all of them."""
    scores = [{} if entry.trial is None else entry.trial.test_scores for entry in entries]
    names = dict.fromkeys(split for each in scores for split in each)
    tests = {}
    for split in names:
        having = [entry for entry, each in zip(entries, scores, strict=True) if split in each]
        metrics = dict.fromkeys(name for each in scores for name in each.get(split, {}))
        tests[split] = {
            "is_shared": _is_shared(having, split),
            "scores": {name: [each.get(split, {}).get(name) for each in scores] for name in metrics},
        }
    return tests


def _is_shared(entries: Sequence[Entry], split: str) -> bool:
    """Return whether a split is the same data in all searches, by the fingerprint of all data or by its description."""
    fingerprints = {entry.record.identity.get(FINGERPRINT) for entry in entries}
    if len(fingerprints) == 1 and None not in fingerprints:
        return True
    described = [_describe_split(entry.record.identity["dataset"], split) for entry in entries]
    return all(each == described[0] for each in described)


def _describe_split(written: Mapping[str, Any], split: str) -> Mapping[str, Any]:
    """Return what the samples of a split depend on; the whole description where it is not known for a single split."""
    try:
        spec = TypeAdapter(AnySpec).validate_python(dict(written))
        return spec.split_identity(split) if isinstance(spec, SampleSpec) else written
    except (ValidationError, InputError, KeyError):
        return written


def _costs(entry: Entry) -> dict[str, float]:
    epochs = [epoch for trial in entry.trials for epoch in trial.epochs]
    confirmations = sum(trial.confirms is not None for trial in entry.trials)
    return {
        "trials": len(entry.trials) - confirmations,
        "confirmations": confirmations,
        "epochs": len(epochs),
        "seconds": sum(epoch.seconds for epoch in epochs),
    }


def format_comparison(comparison: Mapping[str, Any], *, markdown: bool = False) -> list[str]:
    """Return the lines of a comparison, as text or in Markdown."""
    lines = []
    for title, table in tabulate_comparison(comparison).items():
        heading = [f"## {title}", ""] if markdown else [title]
        lines += [*heading, *format_table(table.header, table.rows, markdown=markdown), ""]
    return lines


def tabulate_comparison(comparison: Mapping[str, Any]) -> dict[str, DataTable]:
    """Return the tables of a comparison by their titles, without empty ones."""
    test_note = " (different data, not comparable)"
    sections: dict[str, Mapping[str, Sequence[Any]]] = {
        "Differences of the spaces": _describe_dimensions(comparison["differences"]),
        "Differences of the trials": {"trial": comparison["trials"], **comparison["winners"]},
        f"Validation{'' if comparison['is_validation_shared'] else test_note}": comparison["validation"],
    }
    for split, test in comparison["tests"].items():
        sections[f"Test split {split}{'' if test['is_shared'] else test_note}"] = test["scores"]
    costs = comparison["costs"]
    rows = {name: [cost[name] for cost in costs] for name in ("trials", "confirmations", "epochs")}
    sections["Costs"] = {**rows, "time": [format_duration(cost["seconds"]) for cost in costs]}
    return {
        title: DataTable(
            ["", *comparison["entries"]],
            [
                [name, *("-" if value is None else _short(value) for value in values)]
                for name, values in section.items()
            ],
        )
        for title, section in sections.items()
        if section
    }


def _describe_dimensions(differences: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Return the differences of spaces with recorded dimensions in words."""
    return {
        key: [
            describe_dimension(read_dimension(key, value)) if key.startswith("search.") and value is not None else value
            for value in values
        ]
        for key, values in differences.items()
    }


def _short(value: Any) -> str:
    text = format_value(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
