"""Files with the result of a search: `result.json` for programs, `result.md` for readers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from search.reporting.finalists import label_trial
from search.reporting.summary import Summary, format_best, format_scores, list_conclusions
from search.reporting.verdict import format_confirmed, summarise_verdict
from search.results import RESULT_VERSION, SearchFolder
from search.study.spending import Spending
from search.study.trials import Trial
from search.study.warm_start import to_plain
from spaces.schema import Space

MARKDOWN_NAME: Final = "result.md"
_LISTED_TRIALS: Final = 20
"""Number of the best trials on the page for readers."""


def summarise_result(
    summary: Summary,
    results: SearchFolder,
    spending: Spending,
    provenance: Mapping[str, str],
    edits: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the result of a search as plain values, without NaN and infinity.

    Args:
        summary: Summary of the search.
        results: Its files.
        spending: What its trials and confirmations have spent.
        provenance: Versions, commit, seed and digest of the data.
        edits: Edits of the space as plain values.
    """
    space, finalists = summary.space, summary.finalists
    reference = finalists.reference
    content = {
        "version": RESULT_VERSION,
        "search": results.name,
        "space": space.name,
        "trainable": space.trainable,
        "profile": space.profile,
        "objectives": [list(objective) for objective in space.objectives],
        "constraints": list(map(str, space.constraints)),
        "infeasible": sum(bool(trial.violated) for trial in summary.trials),
        "winner": finalists.winner.number,
        "runner_up": None if finalists.runner_up is None else finalists.runner_up.number,
        "reference": None if reference is None else reference.number,
        "trials": [_describe_trial(trial, space, results) for trial in finalists.list_trials()],
        "conclusion": list_conclusions(summary),
        "verdict": None if summary.confirmed is None else summarise_verdict(summary.confirmed),
        "yardsticks": {method: dict(scores) for method, scores in summary.yardsticks.items()},
        "importance": {name: asdict(importance) for name, importance in summary.importances.items()},
        "edges": [asdict(edge) | {"text": edge.describe()} for edge in summary.edges],
        "spent": asdict(spending),
        "provenance": dict(provenance),
        "edits": [dict(edit) for edit in edits],
        "warm_start": [to_plain(search) for search in space.warm_start],
    }
    plain: dict[str, Any] = _without_undefined(content)
    return plain


def _describe_trial(trial: Trial, space: Space, results: SearchFolder) -> dict[str, Any]:
    best = trial.best_epoch(space.objectives)
    model = results.model_path(trial.number)
    return {
        "number": trial.number,
        "role": trial.role,
        "label": label_trial(trial),
        "outcome": trial.outcome,
        "outside": trial.is_outside,
        "violated": list(map(str, trial.violated)),
        "parameters": dict(trial.parameters),
        "config": space.config_values(trial.parameters),
        "setting": {} if best is None else dict(best.setting),
        "epochs": len(trial.epochs),
        "best_epoch": None if best is None else best.epoch,
        "seconds": sum(epoch.seconds for epoch in trial.epochs),
        "validation": {} if best is None else dict(best.metrics),
        "tests": {split: dict(metrics) for split, metrics in trial.test_scores.items()},
        "mlflow_run": trial.run_id,
        "model": results.display_path(model) if results.has_file(model) else None,
    }


def _without_undefined(value: Any) -> Any:
    """Return plain values with None for NaN and infinity, which JSON lacks."""
    if isinstance(value, Mapping):
        return {str(key): _without_undefined(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_without_undefined(inside) for inside in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def format_markdown(name: str, screen: Sequence[str], summary: Summary) -> str:
    """Return the page for readers: the screen, and the tables in full.

    Args:
        name: Name of the search.
        screen: Lines of the final report.
        summary: Summary of the search.
    """
    parts = [f"# Result of the search {name}", _code_block(screen)]
    if summary.confirmed is not None:
        parts += ["## Confirmed on fresh seeds", _code_block(format_confirmed(summary.confirmed).splitlines())]
    tables = {"Best trials": format_best(summary, _LISTED_TRIALS), "Test scores": format_scores(summary, in_full=True)}
    for title, lines in tables.items():
        parts += [f"## {title}", _code_block(lines)] if lines else []
    return "\n\n".join(parts) + "\n"


def _code_block(lines: Sequence[str]) -> str:
    return "```text\n" + "\n".join(lines).strip("\n") + "\n```"


def write_result(results: SearchFolder, content: Mapping[str, Any], markdown: str) -> list[Path]:
    """Write both files atomically, to the bucket too; return their local paths.

    Raises:
        StorageError: If the bucket rejects a request.
    """
    texts = {
        results.result_path.name: json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=str)
        + "\n",
        MARKDOWN_NAME: markdown,
    }
    for file_name, text in texts.items():
        results.write_text(results.root_path / file_name, text)
    return [results.fetch_file(results.root_path / file_name) for file_name in texts]
