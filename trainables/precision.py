"""Choose the number format of matrix products."""

from __future__ import annotations

import torch


def use_bf16(precision: str, device: torch.device) -> bool:
    """Return whether to compute in bf16.

    Args:
        precision: `bf16`, `fp32`, or `auto`, which selects bf16 where the hardware multiplies it faster than fp32.
        device: Device of the computation.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
