"""One trial, without Ray: builds the trainable, trains epoch by epoch, and can be killed at any moment.

After every epoch the state and the results so far are written to the trial's folder, in one file. A trial that starts
where such a checkpoint lies goes on from it, and first repeats the results that the study has not seen.
"""

from __future__ import annotations

import functools
import io
import itertools
import math
import platform
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import torch

from datasets.building.provider import DatasetProvider
from runtime import machine
from runtime.errors import StorageError
from runtime.storage import FULL, Store
from search.execution.ddp import DdpWorkers
from search.results import SearchFolder
from search.study import pareto
from search.study.trials import Epoch
from spaces.schema import Space, Value, nest_names
from trainables import registry
from trainables.contract import DivergedError, Trainable

PATIENCE_S: Final = 900.0
PAUSE_S: Final = 15.0
"""How long a trial tries to reach its storage, and how long it waits in between."""

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """What all trials of a search share.

    Attributes:
        space: The search.
        folder: Its files.
        source: The space's dataset, its sound files checked; trials may ask for variants of it.
        store: Where datasets lie.
    """

    space: Space
    folder: SearchFolder
    source: DatasetProvider
    store: Store

    def dataset_for(self, parameters: Mapping[str, Value]) -> DatasetProvider:
        """What a trial's dataset is made from."""
        spec = self.space.dataset_of(parameters)
        return self.source if spec == self.source.spec else self.source.with_spec(spec)


def inference_grid(space: Space) -> list[dict[str, float]]:
    """All combinations of the inner parameters."""
    names = list(space.inner)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*space.inner.values())]


def build_trainable(
    job: Job, config_values: Mapping[str, Any], device: str, source: DatasetProvider | None = None
) -> Trainable:
    """Build the job's trainable, untrained.

    Args:
        job: The search.
        config_values: Nested values of its Config.
        device: A torch device.
        source: The trial's dataset; tests and validation are those of the space's own in all of them.
    """
    trainable = registry.load_trainable(job.space.trainable, "trainable")
    config = trainable.Config.model_validate(config_values)
    data = (source or job.source).open_dataset(job.store, job.folder.datasets_path)
    return trainable(config, data, device=device, seed=job.space.seed, epochs=job.space.budget.epochs)


def save_checkpoint(folder: SearchFolder, path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all; a disk that is full or a bucket that is away is given time.

    Raises:
        StorageError: If it cannot be written for a quarter of an hour.
    """
    whole = io.BytesIO()
    torch.save(dict(content), whole)

    def write() -> None:
        try:
            with folder.write_file(path) as temporary:
                temporary.write_bytes(whole.getbuffer())
        except OSError as error:
            raise _unwritable_error(folder.display_path(path), error) from error

    retry_storage(write)


def retry_storage(work: Callable[[], T]) -> T:
    """Do what needs the storage, again and again while that is out of reach.

    Raises:
        StorageError: If it is for a quarter of an hour.
    """
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return work()
        except StorageError:
            if time.monotonic() > until:
                raise
            time.sleep(PAUSE_S)


def _unwritable_error(place: str, error: OSError) -> StorageError:
    remedy = "free some space, or bring the storage back; nothing is lost: go on with --resume"
    value = f"{platform.node()}: {error}"
    return StorageError(place, "a trial's files must be written", value=value, remedy=remedy)


def load_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values, so that a file from elsewhere cannot run code."""
    content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return content


class Attempt:
    """A trial as something that may go wrong: builds it at the first epoch, and answers with a reason instead of raising.

    What raises once raises again, so it fails the trial at once; a process that dies is another matter, and is restarted.
    A storage out of reach is no trial's fault: it would fail them all, one after the other.
    """

    def __init__(self, job: Job, number: int, parameters: Mapping[str, Value], recorded: int, *devices: str) -> None:
        self._folder = job.folder
        self._error = job.folder.trial_path(number) / "error.txt"
        self._build = functools.partial(TrialRun, job, number, parameters, recorded, *devices)
        self._run: TrialRun | None = None

    def next_epoch(self) -> Epoch | str:
        """The next result, or why there is none.

        Raises:
            StorageError: If that is why.
        """
        try:
            self._run = self._run or retry_storage(self._build)
            return self._run.next_epoch()
        except StorageError:
            self.close()
            raise
        except DivergedError as diverged:
            self.close()
            return str(diverged)
        except Exception as error:  # whatever a trainable raises
            self.close()
            if isinstance(error, OSError) and error.errno in FULL:
                raise _unwritable_error(self._folder.display_path(self._error.parent), error) from error
            with suppress(OSError, StorageError), self._folder.write_file(self._error) as temporary:
                temporary.write_text(traceback.format_exc(), encoding="utf-8")
            return f"{type(error).__name__}: {str(error).partition(chr(10))[0]} (see {self._folder.display_path(self._error)})"

    def close(self) -> None:
        """Let go of what it holds beside this process."""
        if self._run is not None:
            self._run.close()


class TrialRun:
    """A trial in progress.

    Args:
        job: The search.
        number: Of the trial.
        parameters: What the study proposed.
        recorded: Epochs the study already knows.
        devices: Torch devices; for each but the first there is another process that trains along.
    """

    def __init__(self, job: Job, number: int, parameters: Mapping[str, Value], recorded: int, *devices: str) -> None:
        self._job = job
        self._number = number
        self._config_values = nest_names(job.space.config_values(parameters))
        self._reported = recorded
        self._settings = inference_grid(job.space)
        at = functools.partial(_where_it_was, job, number, parameters)
        self._trainable, self._epochs = at(devices[0])
        self._peers = None
        if len(devices) > 1:
            self._peers = DdpWorkers(devices, functools.partial(_along, at, torch.get_num_threads()))

    def next_epoch(self) -> Epoch:
        """The next result the study has not seen.

        Raises:
            DivergedError: If the training has.
        """
        while self._reported >= len(self._epochs):  # several times where a checkpoint has been lost
            self._train()
        self._reported += 1
        return self._epochs[self._reported - 1]

    def _train(self) -> None:
        started = time.monotonic()
        train = self._trainable.train_epoch
        trained = train() if self._peers is None else self._peers.run_on_all(train)
        swept = self._trainable.evaluate("validate", self._settings)
        chosen = pareto.best_index(swept, self._job.space.objectives)
        metrics = swept[chosen] | trained
        if not math.isfinite(metrics.get("loss", 0.0)):
            raise DivergedError(f"the validation loss of epoch {len(self._epochs) + 1} is {metrics['loss']}")
        self._epochs.append(Epoch(len(self._epochs) + 1, metrics, self._settings[chosen], time.monotonic() - started))
        self._save()

    def close(self) -> None:
        """End the processes that train along."""
        if self._peers is not None:
            self._peers.close()

    def _config_written_out(self) -> dict[str, Any]:
        """Defaults included, so that a kept model stays what it is when these change."""
        kind = registry.load_trainable(self._job.space.trainable, "trainable")
        return kind.Config.model_validate(self._config_values).model_dump(mode="json", by_alias=True)

    def _save(self) -> None:
        best = pareto.best_index([epoch.metrics for epoch in self._epochs], self._job.space.objectives)
        if best == len(self._epochs) - 1:
            model = {
                "trainable": self._job.space.trainable,
                "config": self._config_written_out(),
                "weights": self._trainable.weights(),
                "setting": self._epochs[best].setting,
                "epoch": best + 1,
                "dataset": self._job.space.dataset.model_dump(mode="json", by_alias=True),
            }
            save_checkpoint(self._job.folder, self._job.folder.model_path(self._number), model)
        epochs = [asdict(epoch) for epoch in self._epochs]
        content = {"config": self._config_values, "state": self._trainable.state(), "epochs": epochs}
        save_checkpoint(self._job.folder, self._job.folder.checkpoint_path(self._number), content)


def _where_it_was(job: Job, number: int, parameters: Mapping[str, Value], device: str) -> tuple[Trainable, list[Epoch]]:
    """A trial's trainable and its epochs so far, after its checkpoint if there is one."""
    values = nest_names(job.space.config_values(parameters))
    trainable = build_trainable(job, values, device, job.dataset_for(parameters))
    checkpoint = job.folder.fetch_file(job.folder.checkpoint_path(number))
    if checkpoint.is_file():
        content = load_checkpoint(checkpoint, device)
        if content.get("config", values) == values:  # else of another trial: a study restored from a copy knows less
            trainable.load_state(content["state"])
            return trainable, [Epoch(**epoch) for epoch in content["epochs"]]
    return trainable, []


def _along(at: Callable[[str], tuple[Trainable, list[Epoch]]], threads: int, device: str) -> Trainable:
    """The same trainable, in a process that trains along."""
    machine.disable_malloc_trim()
    torch.set_num_threads(threads)
    trainable, _ = retry_storage(lambda: at(device))
    return trainable
