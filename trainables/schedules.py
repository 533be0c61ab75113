"""What trainings have in common: the learning rate over time, and the precision of products."""

from __future__ import annotations

import math
from typing import Final

import torch

_WARM_UP: Final = 0.15


def rate_factor(schedule: str, progress: float) -> float:
    """What the learning rate is multiplied by at a point of the training, from 0 to 1."""
    progress = min(progress, 1.0)
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return 0.5 + 0.5 * math.cos(math.pi * progress)
    if progress < _WARM_UP:
        return 0.1 + 0.9 * progress / _WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))


def use_bf16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bf16: as asked, or where `auto` finds hardware that multiplies it faster than fp32."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
