"""Content of the page about a search, from its trials and files."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from runtime.errors import InputError
from runtime.machines import machine
from search.execution.error_files import read_errors
from search.reporting.page.content import PageContent
from search.results import SearchFolder
from search.study.importance import Importance, parameter_importances
from search.study.trials import Trial
from spaces.configs import list_metrics
from spaces.recorded import read_dimensions
from spaces.schema import Stopping, Value
from trainables import registry
from trainables.contract import Metric

_MORE_TRIALS: Final = 12


def gather_content(
    folder: SearchFolder,
    identity: Mapping[str, Any],
    trials: Sequence[Trial],
    confirmations: Sequence[Trial],
    *,
    time: datetime | None,
    is_live: bool,
) -> PageContent:
    """Return what the page about a search shows.

    Args:
        folder: Files of the search; a result that is there is shown unless the search is running.
        identity: Content of `space.json`.
        trials: Trials, without confirmations.
        confirmations: Confirmations.
        time: Time of the last change.
        is_live: Whether the search is running.
    """
    search = read_dimensions(identity)
    objectives = tuple((name, direction) for name, direction in identity["objectives"])
    result = None if is_live else folder.read_result()
    metrics = _list_metrics(str(identity["trainable"]), identity["fixed"])
    content = PageContent(
        name=folder.name,
        trainable=str(identity["trainable"]),
        search=search,
        objectives=objectives,
        stopping=_read_stopping(identity),
        epochs=int(identity["epochs"]),
        trials=trials,
        confirmations=confirmations,
        result=result,
        importances=_read_importances(result) or parameter_importances(trials, search, objectives),
        meanings={metric.name: metric.meaning for metric in metrics},
        headlines=[metric.name for metric in metrics if metric.headline],
        dataset=identity.get("dataset") or {},
        time=time,
        is_live=is_live,
    )
    winner = content.winner
    return content if winner is None else replace(
        content,
        errors=read_errors(folder, winner.number),
        robustness=_read_robustness(folder, winner.number),
        commands=_list_commands(folder, winner.number, len(trials)),
    )  # fmt: skip


def _read_robustness(folder: SearchFolder, number: int) -> list[Mapping[str, Any]]:
    """Return the scores in `stress.json`; none if there is no file, or the model has changed since."""
    try:
        content = json.loads(folder.fetch_file(folder.stress_path(number)).read_text())
        digest = hashlib.sha256(folder.fetch_file(folder.model_path(number)).read_bytes()).hexdigest()
        return list(content["scores"]) if content["sha256"] == digest else []
    except (OSError, ValueError, KeyError):
        return []


def _list_metrics(trainable: str, fixed: Mapping[str, Value]) -> tuple[Metric, ...]:
    """Return the metrics of a trainable with these fixed fields; none if it cannot be imported here."""
    try:
        return list_metrics(registry.describe_trainable(trainable, "trainable"), fixed)
    except InputError:
        return ()


def _list_commands(folder: SearchFolder, number: int, trials: int) -> list[str]:
    """Return the commands that show a trial, train it again, continue a search of a number of trials, or make the page."""
    python, name = machine.python_command(), shlex.quote(folder.name)
    location = folder.display_path(folder.storage) if folder.bucket is None else folder.bucket.name
    storage = f"--storage {shlex.quote(location)}"
    launch = f"{python} -m search.launch {shlex.quote(folder.display_path(folder.space_path))} {storage} --resume"
    return [
        f"{python} -m search.show {name} {number} {storage}    # the winner in full",
        f"{python} -m search.rerun {name} {number} {storage}    # train it again and compare all values",
        f"{python} -m search.export {name} --trial {number} {storage}    # a space that trains it longer or on other seeds",
        f"{launch} --set confirm='{{top: 1, seeds: 3}}'    # confirm it, the baseline and the starts on three fresh seeds",
        f"{launch} --trials {trials + _MORE_TRIALS}    # {_MORE_TRIALS} more trials",
        f"{python} -m search.report {name} {storage}    # this page",
    ]


def _read_stopping(identity: Mapping[str, Any]) -> Stopping:
    try:
        return Stopping.model_validate(identity.get("stopping") or {"rule": "none"})
    except ValidationError:  # recorded by another version
        return Stopping(rule="none")


def _read_importances(result: Mapping[str, Any] | None) -> dict[str, Importance]:
    return {} if result is None else {name: Importance(**one) for name, one in result["importance"].items()}
