"""Devices of trials and of scoring, among those visible to a process."""

from __future__ import annotations

import torch

from spaces.schema import Resources


def default_device() -> str:
    """Return the accelerator that is visible to this process, or the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def trial_devices(resources: Resources) -> list[str]:
    """Return the devices of a trial, one per process."""
    gpus = int(resources.gpu_share) if torch.cuda.is_available() else 0
    return [f"cuda:{number}" for number in range(gpus)] if gpus > 1 else [default_device()]
