"""Constraints of a search that is resumed: they may change if what is recorded and saved fits the new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from runtime.errors import InputError
from search.results import CONSTRAINTS, SearchFolder
from search.study.trials import Trial, rank_trials
from spaces.constraints import Constraint
from spaces.schema import Space

_RULE: Final = "the constraints of a resumed search may change only if its trials have what the new ones need"
_REMEDY: Final = "undo the change, or start over with --fresh or --name"


def record_constraints(space: Space) -> dict[str, Any]:
    """Return the entry of the identity file with the constraints; empty without any."""
    return {CONSTRAINTS: [constraint.to_record() for constraint in space.constraints]} if space.constraints else {}


def check_changed_constraints(folder: SearchFolder, space: Space, study: Path | str, place: str) -> None:
    """Check that the trials of a search that is resumed can be judged by its constraints.

    Args:
        folder: Files of the search.
        space: Space of this launch.
        study: Journal or database of the study.
        place: Location of the constraints, for errors.

    Raises:
        InputError: If a metric was not recorded, or a saved model is not the one that the new constraints prefer.
    """
    former = folder.read_constraints()
    if former == space.constraints:
        return
    from search.study.reading import read_study  # loads Optuna

    content = read_study(study, folder.study_name(), space.search, former)
    trials = [trial for trial in content.trainings if trial.epochs and trial.outcome != "failed"]
    _require_recorded(trials, space.constraints, place)
    _require_models(folder, trials, space, place)


def _require_recorded(trials: Sequence[Trial], constraints: Sequence[Constraint], place: str) -> None:
    for constraint in constraints:
        lacking = [t for t in trials if not any(constraint.metric in epoch.metrics for epoch in t.epochs)]
        if lacking:
            value = f"{constraint}: {constraint.metric} was not recorded by {len(lacking)} of {len(trials)} trials"
            raise InputError(place, _RULE, value=value, remedy=_REMEDY)


def _require_models(folder: SearchFolder, trials: Sequence[Trial], space: Space, place: str) -> None:
    """Require that each saved model is that of the best epoch under the new constraints, and that the best trial has one."""
    judged = [dataclasses.replace(trial, constraints=space.constraints) for trial in trials]
    for before, now in zip(trials, judged, strict=True):
        saved, best = (_best_number(trial, space) for trial in (before, now))
        if saved != best and folder.has_file(folder.model_path(now.number)):
            value = f"the model of trial {now.number} is that of epoch {saved}, and epoch {best} would be its best"
            raise InputError(place, _RULE, value=value, remedy=_REMEDY)
    ended = [trial for trial in judged if trial.outcome != "running" and trial.confirms is None]
    for trial in rank_trials(ended, space.objectives)[:1]:
        if not folder.has_file(folder.model_path(trial.number)):
            value = f"trial {trial.number}, now the best, has no saved model any more"
            raise InputError(place, _RULE, value=value, remedy=_REMEDY)


def _best_number(trial: Trial, space: Space) -> int:
    best = trial.best_epoch(space.objectives)
    return 0 if best is None else best.epoch
