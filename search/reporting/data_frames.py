"""Trials and epochs of a search as tables of pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from search.study.pareto import Objectives
from search.study.trials import Trial


def tabulate_trials(trials: Sequence[Trial], objectives: Objectives) -> pd.DataFrame:
    """Return one row per trial, indexed by its number.

    Columns are `outcome`, `reason`, `is_baseline`, `epochs`, `seconds`, `violated` if there are constraints, then the metrics of
    the best epoch by their names, the parameters as `param.NAME`, the inference parameters as `setting.NAME`, and test scores as
    `SPLIT.METRIC`.

    Args:
        trials: Trials of a search.
        objectives: Metrics and directions that determine the best epoch.
    """
    rows = [_describe_trial(trial, objectives) for trial in trials]
    return pd.DataFrame(rows, index=pd.Index([trial.number for trial in trials], name="trial"))


def _describe_trial(trial: Trial, objectives: Objectives) -> dict[str, Any]:
    best = trial.best_epoch(objectives)
    return {
        "outcome": trial.outcome,
        "reason": trial.reason,
        "is_baseline": trial.is_baseline,
        "epochs": len(trial.epochs),
        "seconds": sum(epoch.seconds for epoch in trial.epochs),
        **({"violated": ", ".join(map(str, trial.violated))} if trial.constraints else {}),
        **({} if best is None else best.metrics),
        **{f"param.{name}": value for name, value in trial.parameters.items()},
        **({} if best is None else {f"setting.{name}": value for name, value in best.setting.items()}),
        **{f"{split}.{name}": value for split, scores in trial.test_scores.items() for name, value in scores.items()},
    }


def tabulate_epochs(trials: Sequence[Trial]) -> pd.DataFrame:
    """Return one row per trial and epoch, indexed by both: metrics, `setting.NAME` and `seconds`."""
    index = [(trial.number, epoch.epoch) for trial in trials for epoch in trial.epochs]
    rows = [
        {
            **epoch.metrics,
            **{f"setting.{name}": value for name, value in epoch.setting.items()},
            "seconds": epoch.seconds,
        }
        for trial in trials
        for epoch in trial.epochs
    ]
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(index, names=["trial", "epoch"]))
