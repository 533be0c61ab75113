"""Trials and scoring tasks on Ray; the only file that uses Ray Tune."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from typing import Any, Final

os.environ.update(
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
    TUNE_DISABLE_SIGINT_HANDLER="1",  # search.launching.shutdown handles signals
    TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S="0",
    TUNE_MAX_PENDING_TRIALS_PG="100000",  # the searcher limits their number
    RAY_CHDIR_TO_TRIAL_DIR="0",  # relative paths of data and Configs refer to the folder of the launch
    TUNE_GLOBAL_CHECKPOINT_S="100000",  # the study is the durable record; Tune's own snapshots are never read
)

import ray
import torch
from fsspec.implementations.memory import MemoryFileSystem
from pyarrow.fs import FSSpecHandler, PyFileSystem
from ray import tune
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError, WorkerCrashedError
from ray.tune.error import TuneError
from ray.tune.execution import tune_controller
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from runtime.errors import StorageError
from runtime.machines import machine
from runtime.machines.ray_cluster import on_every_node
from search.execution import capacity, gpu_memory
from search.execution.devices import default_device, trial_devices
from search.execution.hooks import DatasetReadiness, StoppingPolicy, TrialCallback
from search.execution.measurements import UnfitModelError
from search.execution.scoring import TestScores, try_scoring
from search.execution.trial import TrialFailedError, TrialRunner
from search.execution.trial_log import TrialLog, prepare_process
from search.execution.worker_failures import FAILURE_WEIGHT, MAX_CONSECUTIVE_FAILURES, WorkerFailures
from search.experiment import Experiment
from search.study.study import Study
from search.study.trials import Epoch, Outcome, Trial
from spaces.schema import Resources

_FAILURE_REASON: Final = "failure_reason"
_SPOILS_PROCESS: Final = "spoils_process"
_STORAGE_ERROR: Final = "storage_error"
_NOTICES: Final = "notices"
_UNFIT: Final = "unfit"


def resolve_resources(experiment: Experiment, *, alone: bool) -> Resources:
    """Return the resources per trial, with `gpu: auto` replaced by a measured fraction of a GPU.

    Args:
        experiment: Search whose dataset has been built.
        alone: Whether Ray runs on this machine alone; without a GPU, `auto` is then 0. On a cluster it is an error.

    Raises:
        InputError: If the cluster has no GPU to measure on.
    """
    resources = experiment.space.resources
    if resources.gpu != "auto":
        return resources
    answers = on_every_node(lambda _: machine.list_gpus())
    gpus = {node: found for node, found in answers.items() if node.gpus and found and not isinstance(found, str)}
    if not gpus:
        if not alone:
            raise capacity.no_gpu_error()
        return resources.model_copy(update={"gpu": 0.0})
    probe = ray.remote(num_cpus=resources.cpu, num_gpus=1, max_calls=1)(gpu_memory.measure_baseline)
    fraction = capacity.gpu_fraction(ray.get(probe.remote(experiment)), gpus, resources.cpu)
    return resources.model_copy(update={"gpu": fraction})


def with_measured_resources(experiment: Experiment) -> Experiment:
    """Return the experiment with numbers for the resources per trial; measure the baseline if they are `auto`."""
    resources = resolve_resources(experiment, alone=experiment.ray_address is None)
    return replace(experiment, space=replace(experiment.space, resources=resources))


def run_trials(
    experiment: Experiment,
    study: Study,
    callback: TrialCallback,
    policy: StoppingPolicy,
    datasets: DatasetReadiness,
    max_concurrent: Callable[[], int],
    next_trial: Callable[[], Trial | None] | None = None,
) -> bool:
    """Run trials until none is left or the stopping policy interrupts them.

    Args:
        experiment: Search to run.
        study: Trials of the search.
        callback: Receives trial events.
        policy: Decides when trials start and end.
        datasets: Provides the datasets of the trials.
        max_concurrent: Returns how many trials may run at the same time; called before every trial.
        next_trial: Returns the next trial to run, None if none is left; by default that of the study.

    Returns:
        Whether the policy has interrupted the trials; those that run stay running in the study.

    Raises:
        KeyboardInterrupt: If Tune ended although trials are running, which it does on SIGUSR1.
        StorageError: If a trial could not write its files; all trials are then stopped, and none has failed.
    """
    scheduler = _StudyScheduler(study, callback, policy)
    failures = _FailureCallback(study, callback, experiment.results, scheduler.stop_trial)
    trainable = tune.with_resources(
        tune.with_parameters(_TuneTrial, experiment=experiment),
        {"cpu": experiment.space.resources.cpu, "gpu": experiment.space.resources.gpu_share},
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            num_samples=-1,
            search_alg=_StudySearcher(
                study, callback, policy, datasets, max_concurrent, failures.reasons, next_trial=next_trial
            ),
            scheduler=scheduler,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            **_memory_storage(),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # trials write their own, every epoch
            verbose=0,
            stop=_StopOnStorageError(scheduler),
            callbacks=[failures, _PauseCheck(policy)],
            failure_config=tune.FailureConfig(max_failures=(MAX_CONSECUTIVE_FAILURES + 1) * FAILURE_WEIGHT - 1),
        ),
    )
    try:
        with _quiet_logging():
            tuner.fit()
    except _PausedError:
        scheduler.release_workers()
        return True
    except Exception as error:
        if scheduler.storage_error is None:
            if isinstance(error, TuneError) and error.__context__ is not None:
                raise error.__context__ from None  # raised by a callback or the study; Tune keeps only its text
            raise
    if scheduler.storage_error is not None:  # takes precedence: Tune itself may fail on an unavailable bucket, too
        raise scheduler.storage_error
    if study.has_running():
        raise KeyboardInterrupt
    return False


def _memory_storage() -> dict[str, Any]:
    """Return the storage options of `tune.RunConfig` for snapshots in memory: none is needed, and a bucket may refuse them."""
    return {"storage_path": "tune", "storage_filesystem": PyFileSystem(FSSpecHandler(MemoryFileSystem()))}


@contextmanager
def _quiet_logging() -> Iterator[None]:
    """Suppress Tune's messages, summaries and tracebacks of lost workers; callbacks report what matters."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(previous)


class _StudySearcher(Searcher):  # type: ignore[misc]
    """Tune searcher that takes its trials from the study."""

    def __init__(
        self,
        study: Study,
        callback: TrialCallback,
        policy: StoppingPolicy,
        datasets: DatasetReadiness,
        max_concurrent: Callable[[], int],
        loss_reasons: Mapping[int, str] | None = None,
        next_trial: Callable[[], Trial | None] | None = None,
    ) -> None:
        super().__init__(metric="epoch", mode="max")
        self._max_concurrent = max_concurrent
        self._running: set[str] = set()
        self._study = study
        self._next_trial = next_trial or study.next_trial
        self._callback = callback
        self._policy = policy
        self._datasets = datasets
        self._loss_reasons = {} if loss_reasons is None else loss_reasons  # filled while trials run
        self._waiting: Trial | None = None
        self.numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial; None makes Tune ask again later."""
        if len(self._running) >= self._max_concurrent():
            return None
        trial = (self._waiting or self._next_trial()) if self._policy.may_start() else None
        if trial is None:
            return None if self._may_follow() else Searcher.FINISHED
        if not self._datasets.is_ready(trial.training_parameters):
            self._waiting = trial
            return None  # the other trials continue in the meantime
        self._waiting = None
        self._running.add(trial_id)
        self.numbers[trial_id] = trial.number
        self._callback.on_trial_start(trial)
        return {
            "number": trial.number,
            "parameters": trial.training_parameters,
            "recorded": len(trial.epochs),
            "seed": trial.seed,
            "stops_unfit": not trial.is_baseline and trial.confirms is None,
        }

    def _may_follow(self) -> bool:
        """Return whether another trial may have to run once one of the running ones has a result."""
        return bool(self._running) and self._policy.may_start()

    def on_trial_complete(self, trial_id: str, result: object = None, error: bool = False) -> None:  # noqa: ARG002
        """Record the failure of a trial that has lost too many workers; the scheduler has recorded all other ends."""
        self._running.discard(trial_id)
        number = self.numbers[trial_id]
        if self._study.get_trial(number).outcome == "running" and error:
            failures = MAX_CONSECUTIVE_FAILURES + 1
            last = self._loss_reasons.get(number, "for an unknown reason")
            reason = (
                f"its worker was lost {failures} times without completing an epoch: {last} (see {ray_log_folder()})"
            )
            self._study.end_trial(number, "failed", reason)
            self._callback.on_trial_end(self._study.get_trial(number))

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the study is durable."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: the study is durable."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles searchers into snapshots that are never read


class _StudyScheduler(FIFOScheduler):  # type: ignore[misc]
    """Tune scheduler that records every result in the study and applies the stopping policy."""

    def __init__(self, study: Study, callback: TrialCallback, policy: StoppingPolicy) -> None:
        super().__init__()
        self._study = study
        self._callback = callback
        self._policy = policy
        self._controller: Any = None
        self.storage_error: StorageError | None = None

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:  # noqa: ARG002
        """Keep the controller, through which `stop_trial` stops a trial."""
        self._controller = tune_controller

    def release_workers(self) -> None:
        """End the processes of all trials and free their resources, for tasks that follow an interruption."""
        controller = getattr(self._controller, "_tune_controller", self._controller)
        if hasattr(controller, "_actor_manager"):
            controller._actor_manager.cleanup()

    def stop_trial(self, trial: Any) -> None:
        """Stop a trial of Tune whose end the study has recorded."""
        with redirect_stdout(io.StringIO()):  # Tune prints the results of a trial that it stops without any
            self._controller.stop_trial(trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        """Record a result and return Tune's decision on the trial."""
        number = trial.config["number"]
        _set_actor_reuse(tune_controller, allowed=not result.get(_SPOILS_PROCESS, False))
        if _STORAGE_ERROR in result:
            self.storage_error = result[_STORAGE_ERROR]
            return str(TrialScheduler.STOP)  # stops Tune's trial; the study's continues when the search is resumed
        if _FAILURE_REASON in result:
            return self._end_trial(number, ("failed", result[_FAILURE_REASON]))
        if _UNFIT in result:
            self._study.record_measured(number, result[_UNFIT].measured)
            return self._end_trial(number, ("stopped", str(result[_UNFIT])))
        for notice in result.get(_NOTICES, ()):
            self._callback.on_trial_notice(self._study.get_trial(number), notice)
        epoch: Epoch = result["result"]
        if not self._study.record_epoch(number, epoch):
            return str(TrialScheduler.CONTINUE)
        trial.run_metadata.num_failures = 0  # a long trial may lose many nodes as long as it progresses
        self._callback.on_trial_result(self._study.get_trial(number), epoch)
        decision = self._policy(number, epoch)
        if decision is None:
            return str(TrialScheduler.CONTINUE)
        return self._end_trial(number, decision)

    def _end_trial(self, number: int, decision: tuple[Outcome, str]) -> str:
        outcome, reason = decision
        if outcome == "paused":
            self._study.pause_trial(number, reason)
        else:
            self._study.end_trial(number, outcome, reason)
        self._callback.on_trial_end(self._study.get_trial(number))
        return str(TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Do nothing: the searcher is notified as well, and ends the trial."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _set_actor_reuse(tune_controller: Any, *, allowed: bool) -> None:
    """Set whether the process of the trial whose result is handled may run another one; a CUDA error would stay in it."""
    controller = getattr(tune_controller, "_tune_controller", tune_controller)
    if hasattr(controller, "_reuse_actors"):
        controller._reuse_actors = allowed


class _ActorManager(RayActorManager):  # type: ignore[misc]
    """Actor manager that treats a worker ended by Ray, e.g. for lack of memory, as lost; Tune's own aborts the search."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        super()._actor_task_failed(tracked_actor_task, exception)


tune_controller.RayActorManager = _ActorManager


class _FailureCallback(WorkerFailures, tune.Callback):  # type: ignore[misc]
    """Tune callback that passes on the worker failures of trials."""


class _PausedError(BaseException):
    """Interruption of the trials by the policy; like KeyboardInterrupt, it passes Tune without waiting for its actors."""


class _PauseCheck(tune.Callback):  # type: ignore[misc]
    """Tune callback that interrupts the trials, in the midst of an epoch, when the policy asks for it."""

    def __init__(self, policy: StoppingPolicy) -> None:
        self._policy = policy

    def on_step_begin(self, iteration: int, trials: Any, **_: Any) -> None:  # noqa: ARG002
        """Raise `_PausedError` when the trials have to be interrupted; Tune calls this several times a second."""
        if self._policy.must_interrupt():
            raise _PausedError

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _StopOnStorageError(tune.Stopper):  # type: ignore[misc]
    """Tune stopper that stops all trials once one of them could not write its files."""

    def __init__(self, scheduler: _StudyScheduler) -> None:
        self._scheduler = scheduler

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:  # noqa: ARG002
        return False

    def stop_all(self) -> bool:
        """Return whether all trials have to stop."""
        return self._scheduler.storage_error is not None


class _TuneTrial(tune.Trainable):  # type: ignore[misc]
    """Adapter from Tune to `TrialRunner`. Actors are reused; every trial gets a new runner."""

    def setup(self, config: dict[str, Any], experiment: Experiment) -> None:
        """Prepare the worker process and its first trial."""
        self._experiment = experiment
        self._devices = trial_devices(experiment.space.resources)
        prepare_process()
        logging.getLogger("ray.tune").setLevel(logging.WARNING)  # its messages would be in the logs of the trials
        machine.disable_malloc_trim()
        torch.set_num_threads(max(1, int(experiment.space.resources.cpu / len(self._devices))))
        self._start_trial(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Replace the trial by another one; return that this is possible."""
        self.cleanup()
        self._start_trial(new_config)
        return True

    def _start_trial(self, config: dict[str, Any]) -> None:
        self._log = TrialLog(self._experiment.results, config["number"])
        experiment = self._experiment.with_seed(config.get("seed"))
        self._runner = TrialRunner(
            experiment,
            config["number"],
            config["parameters"],
            config["recorded"],
            *self._devices,
            stops_unfit=config.get("stops_unfit", False),
        )

    def cleanup(self) -> None:
        """End the further processes of the trial, and its log."""
        self._runner.close()
        self._log.close()

    def step(self) -> dict[str, Any]:
        """Train an epoch; every result has the metric `epoch`, without which Tune would abort the search."""
        try:
            epoch = self._runner.next_epoch()
        except StorageError as error:
            return {"epoch": 0, _STORAGE_ERROR: error}
        except UnfitModelError as error:
            return {"epoch": 0, _UNFIT: error}
        except TrialFailedError as error:
            return {"epoch": 0, _FAILURE_REASON: str(error), _SPOILS_PROCESS: error.spoils_process}
        finally:
            self._log.save()
        notices, self._runner.notices = tuple(self._runner.notices), []
        return {"epoch": epoch.epoch, "result": epoch, _NOTICES: notices}  # an object: Tune would flatten a mapping

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: a trial writes its own checkpoints to the results folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Load nothing: a trial reads its own checkpoint from the results folder."""


def score_models(
    experiment: Experiment, numbers: Sequence[int], *, keeps_scenes: bool = False
) -> dict[int, TestScores | str]:
    """Score saved models on the test splits, each one in a task with a trial's resources; see `try_scoring`."""
    resources = experiment.space.resources
    task = ray.remote(num_cpus=resources.cpu, num_gpus=min(1.0, resources.gpu_share))(_score_model)
    scores = {number: task.remote(experiment, number, keeps_scenes) for number in numbers}
    return {number: _get_scores(reference) for number, reference in scores.items()}


def _get_scores(reference: Any) -> TestScores | str:
    """Return the result of a scoring task, or the reason why its process ended; Ray has tried it several times."""
    try:
        scores: TestScores | str = ray.get(reference)
    except (WorkerCrashedError, OutOfMemoryError) as error:
        return f"its process ended: {str(error).partition(chr(10))[0]}"
    return scores


def _score_model(experiment: Experiment, number: int, keeps_scenes: bool) -> TestScores | str:
    machine.disable_malloc_trim()
    torch.set_num_threads(max(1, int(experiment.space.resources.cpu)))
    return try_scoring(experiment, number, default_device(), keeps_scenes=keeps_scenes)


def score_in_process(
    experiment: Experiment, numbers: Sequence[int], *, keeps_scenes: bool = False
) -> dict[int, TestScores | str]:
    """Score saved models on the test splits in this process: without trials to run, starting Ray is not worth its time."""
    device = default_device()
    return {number: try_scoring(experiment, number, device, keeps_scenes=keeps_scenes) for number in numbers}


def ray_log_folder() -> str:
    """Return the folder of the logs of Ray's processes."""
    return str(ray._private.worker._global_node.get_logs_dir_path())
