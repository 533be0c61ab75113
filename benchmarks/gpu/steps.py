"""Training steps in several number formats, eager, compiled, or as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.gpu.session import Session
from benchmarks.gpu.workloads import DoanetLoss, LocalizerLoss, Workload
from trainables.acceleration import CapturedStep, matmul_precision

_LR: Final = 1e-4


@dataclass(frozen=True)
class Variant:
    """Way to compute a training step.

    Attributes:
        name: Key of its results.
        number_format: `fp32`, `tf32`, or `bf16`: the format of products and convolutions.
        channels_last: Whether convolutions store channels last.
        autotuned: Whether cuDNN measures its algorithms.
        compiled: Whether the network is compiled by `torch.compile`.
        captured: Whether the step is a CUDA graph.
    """

    name: str
    number_format: str
    channels_last: bool = True
    autotuned: bool = False
    compiled: bool = False
    captured: bool = False


BF16: Final = Variant("bf16", "bf16")
"""What the localizer does on a GPU with bf16."""
EAGER: Final = (
    Variant("fp32", "fp32", channels_last=False),
    Variant("tf32", "tf32", channels_last=False),
    Variant("bf16_channels_first", "bf16", channels_last=False),
    BF16,
    Variant("bf16_autotuned", "bf16", autotuned=True),
)
GRAPHS: Final = (
    Variant("bf16_graph", "bf16", captured=True),
    Variant("bf16_autotuned_graph", "bf16", autotuned=True, captured=True),
    Variant("tf32_graph", "tf32", captured=True),
)
COMPILED: Final = (
    Variant("bf16_compiled", "bf16", compiled=True),
    Variant("bf16_compiled_graph", "bf16", compiled=True, captured=True),
)


def make_step(workload: Workload, variant: Variant, batch: int, session: Session) -> Callable[[], Any]:
    """Return a function that trains on one batch of random inputs.

    Raises:
        RuntimeError: If a graph is to be captured on a CPU.
    """
    if variant.captured and session.device.type != "cuda":
        raise RuntimeError("CUDA graphs need a GPU")
    torch.manual_seed(0)
    module = workload.build().to(session.device)
    module.bf16 = variant.number_format == "bf16"
    if variant.channels_last:
        module.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs = tuple(value.to(session.device) for value in module.draw_inputs(batch))
    train = make_training_function(module, captured=variant.captured)
    if variant.compiled:
        module.network = torch.compile(module.network, backend="eager" if session.miniature else "inductor")  # type: ignore[assignment]
    if variant.captured:
        captured = CapturedStep(train, inputs)
        return lambda: captured(*inputs)
    return lambda: train(*inputs)


def make_training_function(module: LocalizerLoss | DoanetLoss, *, captured: bool) -> Callable[..., Tensor]:
    """Return a function from inputs to the loss, which trains on them.

    Args:
        module: Network with its loss, on the device.
        captured: Whether the function will be captured as a CUDA graph.
    """
    parameters = list(module.network.parameters())
    optimizer = torch.optim.Adam(parameters, _LR, fused=True, capturable=captured)

    def train(*inputs: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss: Tensor = module(*inputs)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return train


def measure_step(workload: Workload, variant: Variant, session: Session, batch: int | None = None) -> dict[str, Any]:
    """Return rate, time per step and peak memory of a variant.

    Returns:
        `items_per_second`, `step_ms`, `first_step_s`, which includes compilation, and the peak memory in bytes.
    """
    batch = workload.batch if batch is None else batch
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = variant.autotuned
    _reset_peaks(session)
    try:
        with matmul_precision(tf32=variant.number_format == "tf32"):
            steps: list[Callable[[], Any]] = []

            def build_and_run() -> None:
                steps.append(make_step(workload, variant, batch, session))
                steps[0]()

            first_s = session.measure_seconds(build_and_run)

            def train() -> int:
                steps[0]()
                return batch

            rate = session.measure_rate(train)
    finally:
        torch.backends.cudnn.benchmark = before
    return {
        "items_per_second": rate,
        "step_ms": 1000 * batch / rate,
        "batch": batch,
        "first_step_s": first_s,
    } | _read_peaks(session)


def _reset_peaks(session: Session) -> None:
    if session.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _read_peaks(session: Session) -> dict[str, int]:
    if session.device.type != "cuda":
        return {}
    return {
        "allocated_bytes": torch.cuda.max_memory_allocated(),
        "reserved_bytes": torch.cuda.max_memory_reserved(),
    }
