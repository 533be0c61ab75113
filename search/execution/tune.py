"""The only file that knows Ray Tune: runs the study's trials, and scores models in Ray tasks."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

os.environ.update(
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
    TUNE_DISABLE_SIGINT_HANDLER="1",
    TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S="0",
    TUNE_MAX_PENDING_TRIALS_PG="100000",  # the searcher says how many
    TUNE_GLOBAL_CHECKPOINT_S="100000",  # the study is the truth; Tune's own snapshots are never read
)

import ray
import torch
from ray import tune
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.error import TuneError
from ray.tune.execution import tune_controller
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from runtime import machine
from runtime.errors import StorageError
from runtime.ray_cluster import on_every_node
from search.execution import gpu_memory, placement
from search.execution.test_scores import score_test_splits
from search.execution.trial import Attempt, Job
from search.study.study import Study
from search.study.trials import Epoch, Outcome, Trial
from spaces.schema import Resources, Value

_LOSSES: Final = 3
"""So many losses of its process, without an epoch between, are a trial's to survive."""
_ONE_LOSS_S: Final = 60.0
"""What happens so soon after a trial lost its process is the same loss: a node that is gone goes on being asked until it is
noticed, and every question is one more failure to Tune."""
_WEIGHT: Final = 10_000
"""Of a loss, in Tune's count of failures; a question too many counts one."""
_FAILED: Final = "failed"
_OUT_OF_REACH: Final = "out of reach"


class TrialCallback(Protocol):
    """Told what happens to trials, in the driver."""

    def on_trial_start(self, trial: Trial) -> None:
        """A trial begins or goes on."""

    def on_trial_lost(self, trial: Trial, reason: str) -> None:
        """A trial's process is gone; another one goes on."""

    def on_trial_result(self, trial: Trial, epoch: Epoch) -> None:
        """An epoch is in the study."""

    def on_trial_end(self, trial: Trial) -> None:
        """A trial's outcome is in the study."""


class StoppingPolicy(Protocol):
    """Says when trials begin and end."""

    def may_start(self) -> bool:
        """Whether there is time for another trial."""

    def __call__(self, number: int, epoch: Epoch) -> tuple[Outcome, str] | None:
        """The outcome and the reason that a trial's newest epoch leads to, or None to go on."""


class DatasetReadiness(Protocol):
    """Has the datasets that trials ask for."""

    def is_ready(self, parameters: Mapping[str, Value]) -> bool:
        """Whether a trial can begin; if not, its dataset is on its way."""


def resolve_resources(job: Job, *, alone: bool) -> Resources:
    """A trial's resources, with a share of a GPU for `auto`, which is measured now.

    Args:
        job: The search; its data is there.
        alone: Whether Ray runs on this machine alone; without a GPU, `auto` is none here, and refused on a cluster.

    Raises:
        InputError: If there is no GPU to measure on.
    """
    resources = job.space.resources
    if resources.gpu != "auto":
        return resources
    found = on_every_node(lambda _: machine.list_gpus())
    gpus = {node: there for node, there in found.items() if node.gpus and there and not isinstance(there, str)}
    if not gpus:
        if not alone:
            raise placement.no_gpu_error()
        return resources.model_copy(update={"gpu": 0.0})
    probe = ray.remote(num_cpus=resources.cpu, num_gpus=1, max_calls=1)(gpu_memory.measure_baseline)
    share = placement.gpu_fraction(ray.get(probe.remote(job)), gpus, resources.cpu)
    return resources.model_copy(update={"gpu": share})


def run_trials(
    job: Job,
    study: Study,
    listener: TrialCallback,
    decide: StoppingPolicy,
    supply: DatasetReadiness,
    at_once: Callable[[], int],
) -> None:
    """Run trials until the study has none left, or time is up.

    Args:
        job: The search.
        study: Its trials.
        listener: Told what happens.
        decide: Ends trials.
        supply: Has the datasets they ask for.
        at_once: Says how many run side by side; asked again and again.

    Raises:
        StorageError: If a trial could not keep its state; all are stopped then, and none has failed.
    """
    scheduler = _StudyScheduler(study, listener, decide)
    trainable = tune.with_resources(
        tune.with_parameters(_TuneTrial, job=job),
        {"cpu": job.space.resources.cpu, "gpu": job.space.resources.gpu_share},
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            num_samples=-1,
            search_alg=_StudySearcher(study, listener, decide, supply, at_once),
            scheduler=scheduler,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            **job.folder.scratch_options(),
            verbose=0,
            stop=_StopOnStorageError(scheduler),
            callbacks=[WorkerFailures(study, listener)],
            failure_config=tune.FailureConfig(max_failures=(_LOSSES + 1) * _WEIGHT - 1),
        ),
    )
    try:
        with _quiet_logging():
            tuner.fit()
    except Exception as error:
        if scheduler.out_of_reach is None:
            if isinstance(error, TuneError) and error.__context__ is not None:
                raise error.__context__ from None  # what a listener or the study raised; Tune keeps only its words
            raise
    finally:
        job.folder.clear_scratch()
    if scheduler.out_of_reach is not None:  # Tune itself stumbles over a bucket that is away, too
        raise scheduler.out_of_reach


@contextmanager
def _quiet_logging() -> Iterator[None]:
    """Keep Tune's notes and summaries out of the terminal, and its tracebacks of lost processes: listeners are told."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(previous)


class _StudySearcher(Searcher):  # type: ignore[misc]
    """Hands the study's trials to Tune."""

    def __init__(
        self,
        study: Study,
        listener: TrialCallback,
        decide: StoppingPolicy,
        supply: DatasetReadiness,
        at_once: Callable[[], int],
    ) -> None:
        super().__init__(metric="epoch", mode="max")
        self._at_once = at_once
        self._going: set[str] = set()
        self._study = study
        self._listener = listener
        self._decide = decide
        self._supply = supply
        self._waiting: Trial | None = None
        self.numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> Any:
        if len(self._going) >= self._at_once():
            return None  # Tune asks again
        trial = (self._waiting or self._study.next_trial()) if self._decide.may_start() else None
        if trial is None:
            return Searcher.FINISHED
        if not self._supply.is_ready(trial.parameters):
            self._waiting = trial
            return None  # meanwhile the other trials go on
        self._waiting = None
        self._going.add(trial_id)
        self.numbers[trial_id] = trial.number
        self._listener.on_trial_start(trial)
        return {"number": trial.number, "parameters": dict(trial.parameters), "recorded": len(trial.epochs)}

    def on_trial_complete(self, trial_id: str, result: object = None, error: bool = False) -> None:  # noqa: ARG002
        """A trial ended; those that ended well were told by the scheduler, so what is left has failed."""
        self._going.discard(trial_id)
        number = self.numbers[trial_id]
        if self._study.get_trial(number).outcome == "running" and error:
            self._study.end_trial(
                number,
                "failed",
                f"its process was lost again and again, without an epoch between, see {ray_log_folder()}",
            )
            self._listener.on_trial_end(self._study.get_trial(number))

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is on disk."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles searchers into snapshots nobody reads


class _StudyScheduler(FIFOScheduler):  # type: ignore[misc]
    """Writes every result into the study and does what the decision says."""

    def __init__(self, study: Study, listener: TrialCallback, decide: StoppingPolicy) -> None:
        super().__init__()
        self._study = study
        self._listener = listener
        self._decide = decide
        self.out_of_reach: StorageError | None = None

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:  # noqa: ARG002
        number = trial.config["number"]
        if _OUT_OF_REACH in result:
            self.out_of_reach = result[_OUT_OF_REACH]
            return str(TrialScheduler.STOP)  # Tune's trial; the study's goes on when the search is resumed
        if _FAILED in result:
            return self._end_trial(number, ("failed", result[_FAILED]))
        epoch: Epoch = result["result"]
        if not self._study.record_epoch(number, epoch):
            return str(TrialScheduler.CONTINUE)
        trial.run_metadata.num_failures = 0  # a long trial may lose many nodes, as long as it gets on
        self._listener.on_trial_result(self._study.get_trial(number), epoch)
        decision = self._decide(number, epoch)
        if decision is None:
            return str(TrialScheduler.CONTINUE)
        return self._end_trial(number, decision)

    def _end_trial(self, number: int, decision: tuple[Outcome, str]) -> str:
        self._study.end_trial(number, *decision)
        self._listener.on_trial_end(self._study.get_trial(number))
        return str(TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """The searcher is told too; it ends the trial."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _ActorManager(RayActorManager):  # type: ignore[misc]
    """Tune's own, which gives the whole search up where Ray has ended one process, for want of memory say."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        super()._actor_task_failed(tracked_actor_task, exception)


tune_controller.RayActorManager = _ActorManager


class WorkerFailures(tune.Callback):  # type: ignore[misc]
    """Counts how often a trial lost its process, where Tune counts how often it noticed."""

    def __init__(self, study: Study, listener: TrialCallback, now: Callable[[], float] = time.monotonic) -> None:
        self._study = study
        self._listener = listener
        self._now = now
        self._last: dict[str, float] = {}

    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:  # noqa: ARG002
        if self._now() - self._last.get(trial.trial_id, -math.inf) < _ONE_LOSS_S:
            return
        trial.run_metadata.num_failures += _WEIGHT - 1
        self._last[trial.trial_id] = self._now()
        self._listener.on_trial_lost(self._study.get_trial(trial.config["number"]), _last_tune_error(trial.error_file))

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _last_tune_error(file: str | None) -> str:
    """The first line of the last error in Tune's file of a trial's."""
    try:
        lines = Path(file or "").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "for a reason unknown"
    last = max((place for place, line in enumerate(lines) if line.startswith("Failure #")), default=-1)
    return next((line.strip() for line in lines[last + 1 :] if line.strip()), "for a reason unknown")


class _StopOnStorageError(tune.Stopper):  # type: ignore[misc]
    """Stops everything once a trial could not keep its state."""

    def __init__(self, scheduler: _StudyScheduler) -> None:
        self._scheduler = scheduler

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:  # noqa: ARG002
        return False

    def stop_all(self) -> bool:
        return self._scheduler.out_of_reach is not None


class _TuneTrial(tune.Trainable):  # type: ignore[misc]
    """Tune's shell around an `Attempt`. Actors are reused; every trial gets a new one."""

    def setup(self, config: dict[str, Any], job: Job) -> None:
        self._job = job
        self._devices = trial_devices(job.space.resources)
        machine.disable_malloc_trim()
        torch.set_num_threads(max(1, int(job.space.resources.cpu / len(self._devices))))
        self._start_trial(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._attempt.close()
        self._start_trial(new_config)
        return True

    def _start_trial(self, config: dict[str, Any]) -> None:
        self._attempt = Attempt(self._job, config["number"], config["parameters"], config["recorded"], *self._devices)

    def cleanup(self) -> None:
        self._attempt.close()

    def step(self) -> dict[str, Any]:
        try:
            result = self._attempt.next_epoch()
        except StorageError as error:
            return {"epoch": 0, _OUT_OF_REACH: error}
        if isinstance(result, str):
            return {"epoch": 0, _FAILED: result}  # Tune gives the whole search up where its metric is missing
        return {"epoch": result.epoch, "result": result}  # an object, since Tune takes mappings apart

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a run keeps its own checkpoints, where a later launch finds them."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, likewise."""


def score_models(job: Job, numbers: Sequence[int]) -> dict[int, dict[str, dict[str, float]]]:
    """Score kept models on the test sets, each in a task with a trial's resources."""
    resources = job.space.resources
    task = ray.remote(num_cpus=resources.cpu, num_gpus=min(1.0, resources.gpu_share))(_score_model)
    return dict(zip(numbers, ray.get([task.remote(job, number) for number in numbers]), strict=True))


def _score_model(job: Job, number: int) -> dict[str, dict[str, float]]:
    machine.disable_malloc_trim()
    torch.set_num_threads(max(1, int(job.space.resources.cpu)))
    return score_test_splits(job, number, default_device())


def default_device() -> str:
    """The accelerator this process was given, or the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def trial_devices(resources: Resources) -> list[str]:
    """What a trial trains on, one process each."""
    several = int(resources.gpu_share) if torch.cuda.is_available() else 0
    return [f"cuda:{number}" for number in range(several)] if several > 1 else [default_device()]


def ray_log_folder() -> str:
    """Where Ray keeps what its processes printed."""
    return str(ray._private.worker._global_node.get_logs_dir_path())
