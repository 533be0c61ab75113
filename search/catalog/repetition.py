"""Repetition of a trial from its record: the same Config, data and seed, compared epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from datasets import registry
from runtime import uris
from runtime.console import Console
from runtime.machines import machine
from runtime.storage import storage_at
from search.catalog.reading import SearchRecord
from search.catalog.tables import format_table
from search.execution.dataset_provider import DatasetSupplier
from search.execution.trial import TrialFailedError, TrialRunner
from search.experiment import Experiment
from search.results import FINGERPRINT, SearchFolder
from search.study.trials import Epoch, Trial
from spaces.schema import DATASET, Space

ROUNDING: Final = 1e-4
"""Relative and absolute difference of metrics that another order of additions causes."""


@dataclass(frozen=True)
class Repetition:
    """Result of a repetition.

    Attributes:
        epochs: Number of compared epochs.
        difference: Epoch, metric, recorded and repeated value of the first figure that differs by more than rounding.
        largest: Largest absolute difference of a metric.
        failure: Reason for which the repetition has ended early; empty if it has not.
    """

    epochs: int
    difference: tuple[int, str, float | None, float | None] | None
    largest: float
    failure: str = ""

    @property
    def differs(self) -> bool:
        """Whether any figure differs by more than rounding."""
        return self.difference is not None or bool(self.failure)

    def __str__(self) -> str:
        if self.failure:
            return f"different: the repetition failed after epoch {self.epochs}: {self.failure}"
        if self.difference is not None:
            epoch, name, recorded, repeated = self.difference
            return f"different: first in epoch {epoch}, {name}: {recorded} recorded, {repeated} now"
        if self.largest > 0:
            return f"same within rounding: {self._count()}, largest difference {self.largest:.2g}"
        return f"same: {self._count()}, all figures equal"

    def _count(self) -> str:
        return f"{self.epochs} epoch{'s' * (self.epochs != 1)}"


def build_experiment(record: SearchRecord, space: Space, folder: Path, datasets: str | None) -> Experiment:
    """Return the experiment of a repetition, whose files are in a temporary folder.

    Args:
        record: Search of the trial.
        space: Space with the values of the trial.
        folder: Temporary folder.
        datasets: Storage of the datasets; None for that of the search.

    Raises:
        InputError: If the sound of the dataset is missing.
    """
    sound_key = f"dataset.{registry.sound_key(space.dataset)}"
    dataset = registry.prepare_dataset(space.dataset, sound_key)
    bucket = record.folder.bucket
    base = str(record.folder.storage) if bucket is None else bucket.uri
    storage = storage_at(datasets or uris.join_uri(base, "datasets"))
    return Experiment(space, dataset, SearchFolder(folder, space.name), storage)


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Train with a number of CPU threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def repeat_trial(experiment: Experiment, trial: Trial, device: str, limit: int, console: Console) -> Repetition:
    """Train a trial again and compare it with its record.

    Args:
        experiment: Experiment from `build_experiment`.
        trial: Recorded trial.
        device: Torch device.
        limit: Number of epochs.
        console: Output.
    """
    DatasetSupplier.in_process(experiment, console).ensure_dataset(experiment.dataset)
    runner = TrialRunner(experiment, trial.number, {}, 0, device)
    difference, largest = None, 0.0
    for recorded in trial.epochs[:limit]:
        try:
            repeated = runner.next_epoch()
        except TrialFailedError as error:
            return Repetition(recorded.epoch - 1, difference, largest, str(error))
        console.print_line(_format_epoch(experiment, recorded, repeated))
        found, gap = compare_epochs(recorded, repeated)
        difference, largest = difference or found, max(largest, gap)
    return Repetition(limit, difference, largest)


def compare_epochs(
    recorded: Epoch, repeated: Epoch
) -> tuple[tuple[int, str, float | None, float | None] | None, float]:
    """Return the first figure that differs by more than rounding, and the largest difference of any.

    Undefined metrics are absent from a record. A metric that only the repetition has, of a later version, is not compared.
    """
    first, largest = None, 0.0
    now = {name: value for name, value in repeated.metrics.items() if math.isfinite(value)}
    figures: list[tuple[str, Mapping[str, float], Mapping[str, float]]] = [("", recorded.metrics, now)]
    figures.append(("setting ", recorded.setting, repeated.setting))
    for prefix, before, after in figures:
        for name, value in before.items():
            other = after.get(name)
            gap = math.inf if other is None else abs(value - other)
            largest = max(largest, gap)
            is_same = other is not None and math.isclose(value, other, rel_tol=ROUNDING, abs_tol=ROUNDING)
            if not is_same and first is None:
                first = (recorded.epoch, prefix + name, value, other)
    return first, largest


def _format_epoch(experiment: Experiment, recorded: Epoch, repeated: Epoch) -> str:
    names = [*(name for name, _ in experiment.space.objectives), "loss", "train_loss"]
    shown = [n for n in dict.fromkeys(names) if n in recorded.metrics]
    pairs = [f"{n} {recorded.metrics[n]:.6g} → {repeated.metrics.get(n, math.nan):.6g}" for n in shown]
    return f"epoch {recorded.epoch:<4} {', '.join(pairs)}"


def describe_environment(
    record: SearchRecord, trial: Trial, fingerprint: str, tracking_uri: str | None, device: str, threads: int
) -> list[str]:
    """Return lines about what differs between the environment of a trial's record and this one.

    Args:
        record: Search of the trial.
        trial: Recorded trial.
        fingerprint: Fingerprint of the dataset of the repetition.
        tracking_uri: URI of the MLflow store; None for that in the storage folder.
        device: Torch device of the repetition.
        threads: CPU threads of the repetition.
    """
    lines = [f"now      {device}, CPU threads: {threads}; the record has neither device nor number of threads"]
    tags = _read_tags(record, trial, tracking_uri)
    now = {f"version.{package}": version for package, version in machine.package_versions().items()}
    now |= {"git.commit": machine.git_commit(), "version.project": machine.project_digest()}
    now |= {"processor": machine.processor_name()}
    is_own_data = not any(name.startswith(DATASET) for name in trial.training_parameters)
    now |= {"dataset": fingerprint} if is_own_data else {}  # the record is about the data of the space
    recorded_data = record.identity.get(FINGERPRINT)
    tags = tags if recorded_data is None else {"dataset": str(recorded_data)} | tags
    if not tags:
        return [*lines, "record   no environment is recorded: neither a run in MLflow nor a fingerprint of the data"]
    rows = [[name, tags.get(name, "not recorded"), value] for name, value in now.items() if tags.get(name) != value]
    return [
        *lines,
        *(format_table(["differs", "recorded", "now"], rows) if rows else ["record   the same environment"]),
    ]


def _read_tags(record: SearchRecord, trial: Trial, tracking_uri: str | None) -> dict[str, str]:
    from search.reporting.mlflow.files import DATABASE
    from search.reporting.mlflow.store import MlflowStore, read_run_tags

    storage = record.folder.storage
    if trial.run_id is None or (tracking_uri is None and not (storage / DATABASE).is_file()):
        return {}
    return read_run_tags(MlflowStore.from_uri(storage, tracking_uri), trial.run_id)
