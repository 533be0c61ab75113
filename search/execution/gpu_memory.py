"""GPU memory of a trial, measured on the baseline during its first training steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import torch

from runtime.errors import InputError
from search.execution.trial import build_trainable, inference_grid
from search.experiment import Experiment
from spaces.schema import nest_names
from trainables.contract import Trainable

PROBE_S: Final = 60.0
"""Most of the memory is allocated in the first steps; a whole epoch of the paper's network takes far longer."""


def measure_baseline(experiment: Experiment) -> int:
    """Return the GPU memory of the baseline in bytes, including CUDA's own.

    If the trainable raises an exception, the whole GPU is returned; the trial of the baseline then fails with the reason.

    Call it in a process that has a GPU to itself and ends afterwards.

    Args:
        experiment: Search whose dataset has been built.
    """
    space = experiment.space
    config_values = nest_names(space.config_values(space.baseline))
    try:
        trainable = build_trainable(experiment, config_values, "cuda", experiment.dataset_for(space.baseline))
        return measure_training(trainable, inference_grid(space)[:1], used_gpu_bytes)
    except InputError:  # the storage or the dataset, not the trainable
        raise
    except Exception:  # noqa: BLE001  # any exception of a trainable
        return torch.cuda.mem_get_info()[1]


def measure_training(
    trainable: Trainable,
    settings: list[dict[str, float]],
    read_used_bytes: Callable[[], int],
    timeout_s: float = PROBE_S,
) -> int:
    """Return the memory in use after a validation and an epoch, or after `timeout_s` seconds of them.

    Args:
        trainable: Untrained trainable.
        settings: Settings of its inference parameters.
        read_used_bytes: Reads the peak memory so far, in bytes.
        timeout_s: Maximum duration; the training is then left to itself.

    Raises:
        Exception: An exception that the trainable has raised.
    """
    errors: list[BaseException] = []

    def work() -> None:
        try:
            trainable.evaluate("validate", settings)
            trainable.train_epoch()
        except BaseException as error:  # noqa: BLE001  # raised again below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=work, name="probe", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if errors:
        raise errors[0]
    return read_used_bytes()


def used_gpu_bytes() -> int:
    """Return the memory in use on the current GPU; torch keeps what it has allocated, so this is a peak."""
    free, total = torch.cuda.mem_get_info()
    return max(total - free, torch.cuda.max_memory_reserved())
