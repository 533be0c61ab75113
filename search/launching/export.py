"""Space files that train one trial of a search again: all its values fixed, on its dataset, with its seed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from runtime.errors import InputError
from runtime.machines import machine
from search.experiment import Experiment
from search.launching.earlier_versions import with_earlier_defaults
from search.results import SearchFolder
from search.study.trials import Trial
from spaces.load import load_space
from spaces.schema import DATASET, Direction, Space, Value
from spaces.writing import format_space_file

_MAX_NAME: Final = 64


@dataclass(frozen=True)
class RecordedSpace:
    """Space of a search as recorded.

    Attributes:
        folder: Files of the search.
        identity: Content of `space.json`.
    """

    folder: SearchFolder
    identity: Mapping[str, Any]

    @property
    def objectives(self) -> tuple[tuple[str, Direction], ...]:
        """Metrics that are optimised, and their directions."""
        return tuple((name, direction) for name, direction in self.identity["objectives"])

    def config_values(self, trial: Trial) -> dict[str, Value]:
        """Return the searched and the fixed values of a trial by dotted name, the searched ones first."""
        return {**trial.parameters, **{n: v for n, v in self.identity["fixed"].items() if n not in trial.parameters}}


@dataclass(frozen=True)
class ExportChoice:
    """What a space file changes about the training of a trial.

    Attributes:
        epochs: Number of epochs; None for that of the search.
        seed: Seed of the training; None for that of the trial.
        fixes_inner: Whether only the best inference parameters of the trial are evaluated, instead of the grid of the space.
        suffix: End of the name of the new search.
    """

    epochs: int | None = None
    seed: int | None = None
    fixes_inner: bool = False
    suffix: str = "winner"


def build_space(record: RecordedSpace, trial: Trial, choice: ExportChoice, path: Path) -> tuple[Space, str]:
    """Return the space that trains a trial again, and its file's text, which is checked by loading it.

    Args:
        record: Space of the search of the trial.
        trial: Trial with at least one epoch if the inference parameters are to be fixed.
        choice: What to change.
        path: Path that the file is to have, for errors.

    Raises:
        InputError: If this version cannot train the trial.
    """
    content = _build_content(record, trial, choice)
    draft = with_earlier_defaults(_load(content, path), record.identity)
    dataset = draft.dataset_of(trial.training_parameters)
    content["dataset"] = dataset.model_dump(mode="json", by_alias=True)
    space = _load(content, path)
    wrong = [name for name, value in content["fixed"].items() if space.fixed.get(name) != value]
    if wrong or space.dataset != dataset:
        raise InputError(
            f"{record.folder.name}#{trial.number}",
            "a space file must be able to express the values of the trial",
            value=", ".join(wrong) or "dataset",
            remedy="use the version that ran the search",
        )
    return space, format_space_file(content, _header(record, trial))


def write_winner(folder: SearchFolder, trial: Trial) -> None:
    """Write the space file that trains the winner of a search again into the folder of the search.

    Raises:
        InputError: If this version cannot train the trial.
        StorageError: If the bucket rejects a request.
    """
    text = build_space(RecordedSpace(folder, folder.read_identity()), trial, ExportChoice(), folder.winner_path)[1]
    with folder.write_file(folder.winner_path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_launched_space(experiment: Experiment) -> None:
    """Write the space file of a launch, with its profile and options applied, into the folder of the search.

    Raises:
        StorageError: If the bucket rejects a request.
    """
    space, results = experiment.space, experiment.results
    if space.written:
        comment = [
            f"Space of the search {results.name} as launched, with its profile and the options of the command line applied.",
            f"Relative paths refer to the folder of the launch, {results.read_launch_folder()}.",
        ]
        with results.write_file(results.space_path) as temporary:
            temporary.write_text(format_space_file({**space.written, "name": results.name}, comment), encoding="utf-8")


def _build_content(record: RecordedSpace, trial: Trial, choice: ExportChoice) -> dict[str, Any]:
    identity = record.identity
    values = record.config_values(trial)
    best = trial.best_epoch(record.objectives)
    inner = {name: {"choice": list(each)} for name, each in identity["inner"].items()}
    if choice.fixes_inner and best is not None:
        inner = {name: {"choice": [value]} for name, value in best.setting.items()}
    suffix = f"-{choice.suffix}"
    return {
        "name": record.folder.name[: _MAX_NAME - len(suffix)] + suffix,
        "trainable": record.identity["trainable"],
        "dataset": dict(identity["dataset"]),
        "fixed": {name: value for name, value in values.items() if not name.startswith(DATASET)},
        "search": {},
        "inner": inner,
        "objectives": [{"metric": name, "direction": direction} for name, direction in record.objectives],
        "stopping": {"rule": "none"},
        "budget": {"trials": 1, "epochs": choice.epochs or int(identity["epochs"])},
        "seed": _seed_of(record, trial) if choice.seed is None else choice.seed,
    }


def _seed_of(record: RecordedSpace, trial: Trial) -> int:
    return int(record.identity["seed"]) if trial.seed is None else trial.seed


def _load(content: Mapping[str, Any], path: Path) -> Space:
    """Return the space of a file's content; errors name the path that the file is to have."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        draft.write_text(format_space_file(content), encoding="utf-8")
        try:
            return load_space(draft, has_gpu=True, profile=None)
        except InputError as error:
            place = error.place.replace(str(draft), str(path))
            raise InputError(place, error.rule, value=error.value, remedy=error.remedy) from error


def _header(record: RecordedSpace, trial: Trial) -> list[str]:
    best = trial.best_epoch(record.objectives)
    metrics = {} if best is None else best.metrics
    values = ", ".join(f"{name} {metrics[name]:.4g}" for name, _ in record.objectives if name in metrics)
    launched = record.folder.read_launch_folder()
    lines = [
        f"Trial {trial.number} of the search {record.folder.name}: {values or 'no result'}"
        + (f" on validation in epoch {best.epoch} of {len(trial.epochs)}." if best is not None else "."),
        f"Exported {datetime.now(UTC).date().isoformat()} by commit {machine.git_commit()}.",
    ]
    if launched is not None:
        lines.append(f"Relative paths refer to the folder of the launch, {launched}.")
    return lines
