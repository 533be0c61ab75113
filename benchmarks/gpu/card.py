"""The card: name, software, and what it reaches in matrix products and copies."""

from __future__ import annotations

import platform
from typing import Any, Final

import torch

from benchmarks.gpu.session import Session
from runtime.machines import machine
from trainables.acceleration import matmul_precision

PEAK_TFLOPS: Final[dict[str, dict[str, float]]] = {
    "H100 80GB HBM3": {"bf16": 989, "tf32": 494, "fp32": 67},
    "H200": {"bf16": 989, "tf32": 494, "fp32": 67},
    "H100 PCIe": {"bf16": 756, "tf32": 378, "fp32": 51},
    "A100": {"bf16": 312, "tf32": 156, "fp32": 19.5},
}
"""Dense peaks of the data sheets in TFLOP/s, by a part of the card's name."""


def peak_tflops(card: str, number_format: str) -> float | None:
    """Return the peak of a card; None if it is not listed."""
    return next((peaks[number_format] for name, peaks in PEAK_TFLOPS.items() if name in card), None)


def card_name(device: torch.device) -> str:
    """Return the name of the card; the processor type on a CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def measure(session: Session) -> None:
    """Describe the card, and measure large matrix products and a copy."""
    session.attempt("software", _describe, session.device)
    size = 64 if session.miniature else 8192
    for number_format in ("bf16", "tf32", "fp32"):
        session.attempt(f"matmul_{number_format}_tflops", _matmul_tflops, session, number_format, size)
    session.attempt("device_copy_gb_per_s", _copy_rate, session, session.device)
    session.attempt("pinned_upload_gb_per_s", _copy_rate, session, torch.device("cpu"))


def _describe(device: torch.device) -> dict[str, Any]:
    known: dict[str, Any] = {"card": card_name(device), "torch": torch.__version__, "cuda": torch.version.cuda}
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        known |= {"memory_bytes": total, "free_bytes": free, "cudnn": torch.backends.cudnn.version()}
    return known | {"cores": machine.count_cores()}


def _matmul_tflops(session: Session, number_format: str, size: int) -> float:
    kind = torch.bfloat16 if number_format == "bf16" else torch.float32
    left, right = (torch.randn(size, size, device=session.device, dtype=kind) for _ in range(2))

    def multiply() -> int:
        torch.mm(left, right)
        return 2 * size**3

    with matmul_precision(tf32=number_format == "tf32"):
        return session.measure_rate(multiply, session.timed_s / 3) / 1e12


def _copy_rate(session: Session, source: torch.device) -> float:
    """Return the bytes per second that are copied to the device."""
    length = 1 << (16 if session.miniature else 28)
    content = torch.empty(length, dtype=torch.uint8, device=source)
    if source != session.device:
        content = content.pin_memory()
    target = torch.empty(length, dtype=torch.uint8, device=session.device)

    def copy() -> int:
        target.copy_(content, non_blocking=True)
        return length

    return session.measure_rate(copy, session.timed_s / 3) / 1e9
