"""One trial, independent of Ray: builds the trainable, trains epoch by epoch, and can be killed at any moment.

After every epoch the state and all results so far are written to one checkpoint file. A trial that finds its checkpoint
continues from it, and first returns the results that the study has not recorded.
"""

from __future__ import annotations

import functools
import itertools
import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from datasets.building.provider import DatasetProvider
from runtime.errors import StorageError
from runtime.machines import machine
from runtime.storage import FULL
from search.execution.checkpoint import load_or_put_aside, retry_storage, save_checkpoint, unwritable_error
from search.execution.ddp import DdpWorkers
from search.execution.error_text import describe_error
from search.execution.measurements import UnfitModelError, measure_model, measure_prediction, measure_training_sound
from search.execution.trial_log import append_to_log
from search.experiment import Experiment
from search.study import constraints
from search.study.spending import epoch_usage
from search.study.trials import Epoch
from spaces.schema import Space, Value, nest_names
from trainables import registry, returned_values, saved_values
from trainables.contract import ContractError, DivergedError, Trainable


class TrialFailedError(Exception):
    """Failure of a trial; the message is the reason that the study records.

    Attributes:
        spoils_process: Whether the process may be left in a state that the next trial would suffer from.
    """

    def __init__(self, reason: str, *, spoils_process: bool = True) -> None:
        super().__init__(reason)
        self.spoils_process = spoils_process


def inference_grid(space: Space) -> list[dict[str, float]]:
    """Return all combinations of the inference parameters."""
    names = list(space.inner)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*space.inner.values())]


def build_trainable(
    experiment: Experiment, config_values: Mapping[str, Any], device: str, dataset: DatasetProvider | None = None
) -> Trainable:
    """Build an untrained trainable.

    Args:
        experiment: Search that the trial belongs to.
        config_values: Nested values of the trainable's Config.
        device: Torch device.
        dataset: Dataset of the trial; the space's own by default. Validation and test splits are the same in all of them.
    """
    trainable = registry.load_trainable(experiment.space.trainable, "trainable")
    config = trainable.Config.model_validate(config_values)
    data = (dataset or experiment.dataset).open_dataset(experiment.dataset_storage, experiment.results.datasets_path)
    return trainable(config, data, device=device, seed=experiment.space.seed, epochs=experiment.space.budget.epochs)


def restore_trainable(
    experiment: Experiment,
    number: int,
    parameters: Mapping[str, Value],
    device: str,
    report: Callable[[str], None] = print,
) -> tuple[Trainable, list[Epoch]]:
    """Build a trial's trainable and restore its checkpoint, if there is one; a corrupt one is put aside.

    Args:
        experiment: Search that the trial belongs to.
        number: Number of the trial.
        parameters: Searched parameters of the trial.
        device: Torch device.
        report: Receives a message about corrupt files.

    Returns:
        The trainable and the epochs that it has completed.
    """
    values, results = nest_names(experiment.space.config_values(parameters)), experiment.results
    trainable = build_trainable(experiment, values, device, experiment.dataset_for(parameters))
    path = results.checkpoint_path(number)
    content = load_or_put_aside(results, path, ("state", "epochs"), report, device)
    # Other values mean another trial of this number: a study restored from a backup may number its trials again.
    if content is None or content.get("config", values) != values:
        return trainable, []
    trainable.load_state(content["state"])
    return trainable, [Epoch(**epoch) for epoch in content["epochs"]]


def build_ddp_replica(
    experiment: Experiment, number: int, parameters: Mapping[str, Value], threads: int, device: str
) -> Trainable:
    """Build a trial's trainable in one of its further processes, from the same checkpoint.

    Args:
        experiment: Search that the trial belongs to.
        number: Number of the trial.
        parameters: Searched parameters of the trial.
        threads: Number of CPU threads of torch.
        device: Torch device of the process.
    """
    machine.disable_malloc_trim()
    torch.set_num_threads(threads)
    trainable, _ = retry_storage(lambda: restore_trainable(experiment, number, parameters, device))
    return trainable


class TrialRunner:
    """Training of one trial, epoch by epoch.

    The trainable is built, and its checkpoint restored, at the first epoch. An exception raised by a trainable would be
    raised again by another attempt, so it fails the trial at once; a worker process that dies is restarted instead. An
    unavailable storage is not the trial's failure: it would fail all trials, one after the other.

    Args:
        experiment: Search that the trial belongs to.
        number: Number of the trial.
        parameters: Searched parameters, as suggested by the study.
        recorded_epochs: Number of epochs that the study has already recorded.
        devices: Torch devices; each one but the first gets a further process that trains the same model.
        stops_unfit: Whether the trial ends before its first epoch if its model violates constraints.

    Attributes:
        notices: Messages for users since the last epoch, e.g. about a corrupt file.
    """

    def __init__(
        self,
        experiment: Experiment,
        number: int,
        parameters: Mapping[str, Value],
        recorded_epochs: int,
        *devices: str,
        stops_unfit: bool = False,
    ) -> None:
        self._stops_unfit = stops_unfit
        self._measured: dict[str, float] = {}
        self._sound: tuple[dict[str, Any] | None, ...] = ()  # empty until it is measured
        self._experiment = experiment
        self._number = number
        self._parameters = parameters
        self._devices = devices
        self._returned = recorded_epochs
        self._settings = inference_grid(experiment.space)
        self._trainable: Trainable | None = None
        self._epochs: list[Epoch] = []
        self._workers: DdpWorkers | None = None
        self.notices: list[str] = []
        self._read_back = saved_values.ReadBackCheck()

    def next_epoch(self) -> Epoch:
        """Return the next epoch that the study has not recorded, and train it unless the checkpoint contains it.

        Raises:
            TrialFailedError: If the training diverges, or the trainable departs from its contract or raises an exception.
            UnfitModelError: If the model violates constraints before its first epoch, and the trial is to end then.
            StorageError: If the trial's files cannot be read or written.
        """
        try:
            return self._next_epoch()
        except (StorageError, UnfitModelError):
            self.close()
            raise
        except (DivergedError, ContractError) as error:
            self.close()
            raise TrialFailedError(str(error), spoils_process=False) from error
        except BaseException as error:  # also SystemExit and KeyboardInterrupt, which would end the process
            self.close()
            if hasattr(error, "ray_terminate_msg"):  # raised by Ray for SIGTERM: the machine is shut down
                raise
            raise self._translate_error(error) from error

    def close(self) -> None:
        """End the further processes of the trial."""
        if self._workers is not None:
            self._workers.close()

    def _next_epoch(self) -> Epoch:
        if self._trainable is None:
            self._trainable = retry_storage(self._start)
        while self._returned >= len(self._epochs):  # more than once if the checkpoint has been lost
            self._train_epoch(self._trainable)
        self._returned += 1
        return self._epochs[self._returned - 1]

    def _start(self) -> Trainable:
        trial = (self._experiment, self._number, self._parameters)
        trainable, self._epochs = restore_trainable(*trial, self._devices[0], self.notices.append)
        if not self._has_model(trainable):
            self.notices.append("the weights of its best epoch are lost, and the trial starts again")
            self._experiment.results.remove_file(self._experiment.results.checkpoint_path(self._number))
            trainable, self._epochs = restore_trainable(*trial, self._devices[0], self.notices.append)
        self._measure_model(trainable)
        if len(self._devices) > 1:
            build = functools.partial(build_ddp_replica, *trial, torch.get_num_threads())
            self._workers = DdpWorkers(self._devices, build)
        return trainable

    def _measure_model(self, trainable: Trainable) -> None:
        bounds = self._experiment.space.constraints
        self._measured = measure_model(trainable, bounds)
        reason = constraints.explain_hopeless(self._measured, bounds)
        if reason is not None and self._stops_unfit:
            raise UnfitModelError(reason, self._measured)

    def _has_model(self, trainable: Trainable) -> bool:
        """Return whether the model of the best epoch can be read; if that is the last one, its state replaces the model."""
        results = self._experiment.results
        if not self._epochs:
            return True
        path = results.model_path(self._number)
        if load_or_put_aside(results, path, ("weights", "config", "setting"), self.notices.append) is not None:
            return True
        if self._find_best([epoch.metrics for epoch in self._epochs]) < len(self._epochs) - 1:
            return False
        self._save(trainable)
        return True

    def _translate_error(self, error: BaseException) -> StorageError | TrialFailedError:
        """Return the storage error or the failure that an exception amounts to; append its traceback to the log."""
        results = self._experiment.results
        if isinstance(error, OSError) and error.errno in FULL:
            return unwritable_error(results.display_path(results.trial_path(self._number)), error)
        append_to_log(results, self._number, "".join(traceback.format_exception(error)))
        log = results.display_path(results.log_path(self._number))
        return TrialFailedError(f"{describe_error(error)} (see {log})")

    def _train_epoch(self, trainable: Trainable) -> None:
        started = time.monotonic()
        train = trainable.train_epoch
        returned = train() if self._workers is None else self._workers.run_on_all(train)
        training_metrics = returned_values.read_training_metrics(returned)
        space = self._experiment.space
        measured = self._measured | measure_prediction(trainable, space.constraints, self._epochs)
        candidates = returned_values.evaluate_split(trainable, "validate", self._settings)
        returned_values.require_objectives(candidates, training_metrics, [name for name, _ in space.objectives])
        bounded = [constraint.metric for constraint in space.constraints]
        returned_values.require_objectives(candidates, training_metrics | measured, bounded, kind="constrained metric")
        candidates = [candidate | measured for candidate in candidates]
        chosen = self._find_best(candidates)
        metrics = returned_values.merge_metrics(candidates[chosen], training_metrics)
        number = len(self._epochs) + 1
        if not math.isfinite(metrics.get("loss", 0.0)):
            raise DivergedError(f"the validation loss of epoch {number} is {metrics['loss']}")
        seconds, usage = time.monotonic() - started, epoch_usage(space.resources)
        self._epochs.append(Epoch(number, metrics, self._settings[chosen], seconds, usage))
        self._save(trainable)

    def _find_best(self, candidates: Sequence[Mapping[str, float]]) -> int:
        space = self._experiment.space
        return constraints.best_index(candidates, space.objectives, space.constraints)

    def _save(self, trainable: Trainable) -> None:
        space, results = self._experiment.space, self._experiment.results
        config_values = nest_names(space.config_values(self._parameters))
        best = self._find_best([epoch.metrics for epoch in self._epochs])
        state = self._read_back.require_readable("state", trainable.state())
        if best == len(self._epochs) - 1:
            model = {
                "trainable": space.trainable,
                "config": self._complete_config(config_values),
                "weights": self._read_back.require_readable("weights", trainable.weights()),
                "setting": self._epochs[best].setting,
                "epoch": best + 1,
                "sound": self._measure_sound(trainable),
                "dataset": space.dataset.model_dump(mode="json", by_alias=True),
            }
            save_checkpoint(results, results.model_path(self._number), model)
        epochs = [asdict(epoch) for epoch in self._epochs]
        content = {"config": config_values, "state": state, "epochs": epochs}
        save_checkpoint(results, results.checkpoint_path(self._number), content)

    def _measure_sound(self, trainable: Trainable) -> dict[str, Any] | None:
        """Return the profile of the training sound, which is measured once per trial."""
        if not self._sound:
            self._sound = (measure_training_sound(trainable),)
        return self._sound[0]

    def _complete_config(self, config_values: Mapping[str, Any]) -> dict[str, Any]:
        """Return all values of the Config: a saved model must not change when a default does."""
        trainable = registry.load_trainable(self._experiment.space.trainable, "trainable")
        return trainable.Config.model_validate(config_values).model_dump(mode="json", by_alias=True)
