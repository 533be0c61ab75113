"""Studies as they are at one moment, read without joining or changing them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import optuna

from search.study import encoding
from search.study import storage as database
from search.study.edits import EDITS, EditedTrials
from search.study.journal_storage import open_journal_snapshot
from search.study.trials import Trial
from spaces.constraints import Constraint
from spaces.schema import Dimension


@dataclass(frozen=True)
class StudyContent:
    """Content of a study at one moment.

    Attributes:
        trials: Started trials of the search, by number.
        confirmations: Confirmations, by number.
        started: Start of the first trial; None without trials.
        last_activity: Last start or end of a trial; None without trials.
        run_id: MLflow run of the search; None while there is none.
    """

    trials: tuple[Trial, ...] = ()
    confirmations: tuple[Trial, ...] = ()
    started: datetime | None = None
    last_activity: datetime | None = None
    run_id: str | None = None

    @property
    def trainings(self) -> tuple[Trial, ...]:
        """All trials of the search, and then all confirmations."""
        return self.trials + self.confirmations


def read_study(
    location: Path | str, name: str, search: Sequence[Dimension], constraints: tuple[Constraint, ...] = ()
) -> StudyContent:
    """Return the content of a study; that of a study that does not exist yet is empty.

    Args:
        location: Path of the journal, or checked URI of a database.
        name: Name of the study in a database.
        search: Dimensions of the space.
        constraints: Constraints of the space.

    Raises:
        InputError: If the journal is corrupt, or the database does not answer.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if isinstance(location, Path):
        if not location.is_file():
            return StudyContent()
        return _read_from(open_journal_snapshot(location), None, search, constraints)
    with database.readable_errors(location):
        storage = database.open_storage(location)
        database.stop_retrying(storage)
        try:
            return _read_from(storage, name, search, constraints)
        finally:
            database.close_storage(storage)


def read_study_name(journal: Path) -> str | None:
    """Return the name of the study in a journal, which archiving the search does not change; None if there is none."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = optuna.get_all_study_names(open_journal_snapshot(journal)) if journal.is_file() else []
    return names[0] if names else None


def _read_from(
    storage: optuna.storages.BaseStorage,
    name: str | None,
    search: Sequence[Dimension],
    constraints: tuple[Constraint, ...],
) -> StudyContent:
    names = [study.study_name for study in storage.get_all_studies()]
    chosen = name if name is not None else next(iter(names), None)
    if chosen not in names:
        return StudyContent()
    study = optuna.load_study(study_name=chosen, storage=storage)
    frozen, attributes = study.get_trials(deepcopy=False), study.user_attrs
    starts = [trial.datetime_start for trial in frozen if trial.datetime_start is not None]
    ends = [trial.datetime_complete for trial in frozen if trial.datetime_complete is not None]

    edited = EditedTrials(attributes.get(EDITS, []))
    decode = functools.partial(encoding.decode_stored, search)

    def convert(chosen: Sequence[optuna.trial.FrozenTrial]) -> tuple[Trial, ...]:
        return tuple(edited.view_trial(encoding.decode_trial(t, attributes, decode, constraints)) for t in chosen)

    return StudyContent(
        convert(encoding.select_search_trials(frozen)),
        convert(encoding.select_confirmations(frozen)),
        min(starts, default=None),
        max([*starts, *ends], default=None),
        attributes.get("run_id"),
    )


def delete_study(location: str, name: str) -> bool:
    """Delete a study from a database; return whether it existed.

    Raises:
        InputError: If the database does not answer.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with database.readable_errors(location):
        storage = database.open_storage(location)
        database.stop_retrying(storage)
        try:
            if name not in [study.study_name for study in storage.get_all_studies()]:
                return False
            optuna.delete_study(study_name=name, storage=storage)
            return True
        finally:
            database.close_storage(storage)
