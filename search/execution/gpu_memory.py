"""How much of a GPU's memory a trial takes: the baseline's, measured while it trains for a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import torch

from search.execution.trial import Job, build_trainable, inference_grid
from spaces.schema import nest_names
from trainables.contract import Trainable

PROBE_S: Final = 60.0
"""Most of the memory is taken within the first steps; a whole epoch of the paper's network takes far longer than this."""


def measure_baseline(job: Job) -> int:
    """Bytes of a GPU that the baseline takes, all that CUDA keeps for itself included.

    To be called in a process that has a GPU to itself and ends afterwards.

    Args:
        job: The search; its data is there.
    """
    space = job.space
    trainable = build_trainable(
        job, nest_names(space.config_values(space.baseline)), "cuda", job.dataset_for(space.baseline)
    )
    return measure_training(trainable, inference_grid(space)[:1], used_gpu_bytes)


def measure_training(
    trainable: Trainable,
    settings: list[dict[str, float]],
    used: Callable[[], int],
    seconds: float = PROBE_S,
) -> int:
    """Validate, train an epoch or as much of it as there is time for, and measure.

    Args:
        trainable: Fresh.
        settings: Of its inner parameters.
        used: The most that was in use so far.
        seconds: When to measure at the latest; the training is left to itself then.

    Raises:
        Exception: Whatever the trainable raises.
    """
    failed: list[BaseException] = []

    def work() -> None:
        try:
            trainable.evaluate("validate", settings)
            trainable.train_epoch()
        except BaseException as error:  # noqa: BLE001  # raised again below, where somebody listens
            failed.append(error)

    thread = threading.Thread(target=work, name="probe", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    return used()


def used_gpu_bytes() -> int:
    """What is taken of the current GPU: torch keeps what it once had, so this is a peak, with CUDA's own share."""
    free, total = torch.cuda.mem_get_info()
    return max(total - free, torch.cuda.max_memory_reserved())
