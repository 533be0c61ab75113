"""Searches as recorded: identity, study and lease, read without changing any file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from runtime import uris
from runtime.errors import InputError
from runtime.machines.processes import process_state, this_process
from search.launching.existing import describe_searches
from search.launching.export import RecordedSpace
from search.launching.lease import Holder, read_holder
from search.results import CONSTRAINTS, MAX_TRIALS, SearchFolder
from search.study.reading import StudyContent, read_study
from search.study.storage import check_study_uri
from search.study.trials import Epoch, Trial, choose_winner, rank_trials
from spaces.constraints import Constraint, read_recorded
from spaces.recorded import read_dimensions
from spaces.schema import Direction, Value

State = Literal["running", "finished", "interrupted", "not started"]


@dataclass(frozen=True)
class SearchRecord:
    """Everything that is recorded about a search at one moment.

    Attributes:
        folder: Files of the search.
        identity: Values of the space that do not change between launches.
        study: Trials and confirmations.
        holder: Process that holds the lease of the search; None if none does, or it is known to have ended.
    """

    folder: SearchFolder
    identity: Mapping[str, Any]
    study: StudyContent
    holder: Holder | None

    @property
    def name(self) -> str:
        """Name of the search."""
        return self.folder.name

    @property
    def trainable(self) -> str:
        """Name or import path of the trainable."""
        return str(self.identity["trainable"])

    @cached_property
    def objectives(self) -> tuple[tuple[str, Direction], ...]:
        """Metrics that are optimised, and their directions."""
        return tuple((name, direction) for name, direction in self.identity["objectives"])

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Constraints of the last launch."""
        return read_recorded(self.identity.get(CONSTRAINTS))

    @property
    def epochs(self) -> int:
        """Number of epochs of a full training."""
        return int(self.identity["epochs"])

    @property
    def max_trials(self) -> int | None:
        """Number of trials of the last launch's budget; None for searches of earlier versions."""
        recorded = self.identity.get(MAX_TRIALS)
        return None if recorded is None else int(recorded)

    @cached_property
    def ranked(self) -> list[Trial]:
        """Trials that have a result and did not fail, best first."""
        return rank_trials(self.study.trials, self.objectives)

    @cached_property
    def winner(self) -> Trial | None:
        """Trial that the last verdict of the search prefers, or else the best one on validation; None without a result."""
        return choose_winner(self.ranked, self.folder.read_winner()) if self.ranked else None

    @property
    def ended_count(self) -> int:
        """Number of trials that have ended."""
        return sum(trial.outcome != "running" for trial in self.study.trials)

    @property
    def state(self) -> State:
        """State of the search; a process on another machine counts as running while it holds the lease."""
        if self.holder is not None:
            return "running"
        if not self.study.trials:
            return "not started"
        is_open = any(trial.outcome == "running" for trial in self.study.trainings)
        is_short = self.max_trials is not None and self.ended_count < self.max_trials
        return "interrupted" if is_open or is_short else "finished"

    @property
    def last_activity(self) -> datetime | None:
        """Time of the last change of the study, as far as it is recorded."""
        journal = self.folder.journal_path
        if self.study.last_activity is None or not journal.is_file():
            return self.study.last_activity
        return max(self.study.last_activity, datetime.fromtimestamp(journal.stat().st_mtime))

    def best_epoch(self, trial: Trial) -> Epoch | None:
        """Return the best epoch of a trial."""
        return trial.best_epoch(self.objectives)

    def config_values(self, trial: Trial) -> dict[str, Value]:
        """Return the searched and the fixed values of a trial by dotted name, the searched ones first."""
        return RecordedSpace(self.folder, self.identity).config_values(trial)

    def require_trial(self, number: int | None) -> Trial:
        """Return a trial by its number, or the winner.

        Raises:
            InputError: If there is no such trial, or none has a result.
        """
        if number is None:
            if self.winner is None:
                raise InputError(
                    self.name, "the search must have a trial with a result", remedy="wait for the first one"
                )
            return self.winner
        trials = self.study.trainings
        found = next((trial for trial in trials if trial.number == number), None)
        if found is None:
            known = f"0 … {max((t.number for t in trials), default=0)}" if trials else "none yet"
            raise InputError(self.name, "the search must have the trial", value=number, remedy=f"its trials: {known}")
        return found


def read_record(options: argparse.Namespace, name: str) -> SearchRecord:
    """Return the record of a search under `--storage`.

    Raises:
        InputError: If there is no such search, or its files cannot be read.
    """
    folder = locate_search(options, name)
    identity = folder.read_identity()
    try:
        dimensions = read_dimensions(identity)
        record = SearchRecord(folder, identity, StudyContent(), None)
        _ = record.trainable, record.objectives, record.epochs, identity["fixed"], identity["inner"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            folder.display_path(folder.identity_path),
            "the file with the space of a search must hold its identity",
            value=f"{type(error).__name__}: {error}",
            remedy="restore the file from a backup",
        ) from error
    constraints = read_recorded(identity.get(CONSTRAINTS))
    study = read_study(options.study or folder.journal_path, folder.study_name(), dimensions, constraints)
    return SearchRecord(folder, identity, study, running_holder(folder))


def locate_search(options: argparse.Namespace, name: str) -> SearchFolder:
    """Return the files of a search that has been started.

    Raises:
        InputError: If there is none of this name, or its study cannot be located.
    """
    folder = open_storage_folder(options, name)
    if Path(name).name != name or name.startswith(".") or not folder.is_started():
        raise InputError(
            folder.display_path(folder.storage / "searches"),
            "the search must exist in the storage",
            value=name,
            remedy=f"give its name, or --storage; {describe_searches(folder)}",
        )
    return folder


def open_storage_folder(options: argparse.Namespace, name: str = "all") -> SearchFolder:
    """Return the files of a search under `--storage`, whether or not it exists.

    Raises:
        InputError: If the study of a bucket's searches is not given.
    """
    if options.study is not None:
        check_study_uri(options.study, connect=False)
    elif uris.is_uri(options.storage):
        raise InputError(
            "--study",
            "the studies of searches in a bucket are in a database",
            remedy="add --study postgresql://… or grpc://…, as for the launch",
        )
    return SearchFolder.from_storage(options.storage, name, options.cache)


def running_holder(folder: SearchFolder) -> Holder | None:
    """Return the process that runs a search; None if there is none, or it has ended without giving back its lease."""
    holder = read_holder(folder)
    if holder is None or process_state(holder.process, this_process()) == "ended":
        return None
    return holder
