"""What a person reads about a study in other tools, such as optuna-dashboard: names of objectives, best epochs, test scores.

The search itself reads none of it. Each value costs an entry of about 120 bytes in a journal, so that there are few per trial.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import optuna

from search.study.trials import Epoch

BEST: Final = "best "
"""Prefix of the attributes of a trial with its best epoch and the objectives at that epoch."""
_METRIC_NAMES: Final = "study:metric_names"
"""System attribute of Optuna that `set_metric_names` writes."""


def name_objectives(study: optuna.Study, names: Sequence[str]) -> None:
    """Give the objectives of a study their names, unless it has them."""
    if study._storage.get_study_system_attrs(study._study_id).get(_METRIC_NAMES) == list(names):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(names))


def best_epoch_attributes(best: Epoch | None, objectives: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Return the attributes of a trial with its best epoch and the objectives at that epoch."""
    if best is None:
        return {}
    values = {f"{BEST}{name}": round(best.metrics.get(name, math.nan), 6) for name, _ in objectives}
    return {f"{BEST}epoch": best.epoch} | {name: value for name, value in values.items() if math.isfinite(value)}


def score_attributes(
    number: int, scores: Mapping[str, Mapping[str, float]], present: Mapping[str, Any]
) -> dict[str, str]:
    """Return the attributes of a study with the test scores of a trial.

    Args:
        number: Number of the trial.
        scores: Test scores per split.
        present: Attributes of the study; earlier scores of other splits become empty.
    """
    suffix = f" of trial {number}"
    outdated = {name: "" for name in present if name.startswith("test ") and name.endswith(suffix)}
    texts = {
        f"test {split}{suffix}": ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        for split, metrics in scores.items()
    }
    return outdated | texts
