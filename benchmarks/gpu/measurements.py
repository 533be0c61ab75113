"""The measurements, most valuable first, and the time that each may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks.gpu.session import Session


@dataclass(frozen=True)
class Measurement:
    """Measurement that runs in a process of its own.

    Attributes:
        name: Key of its results.
        run: Measures; it stores results in the session after every step.
        most_s: Time that it may take.
        least_s: With less time it is skipped.
        reserved_s: Time that it leaves to later measurements.
    """

    name: str
    run: Callable[[Session], None]
    most_s: float
    least_s: float
    reserved_s: float = 0.0


def _run(module: str, function: str, session: Session, **options: str) -> None:
    import importlib

    getattr(importlib.import_module(f"benchmarks.gpu.{module}"), function)(session, **options)


MEASUREMENTS: Final = (
    Measurement("card", partial(_run, "card", "measure"), 60, 10),
    Measurement("datasets", partial(_run, "datasets", "measure"), 90, 30),
    Measurement("training", partial(_run, "training", "measure"), 100, 30),
    Measurement("graphs", partial(_run, "graphs", "measure"), 60, 20),
    Measurement("data", partial(_run, "data", "measure"), 70, 20),
    Measurement("evaluation", partial(_run, "evaluation", "measure"), 50, 20),
    Measurement("gpu_memory_rg_paper", partial(_run, "gpu_memory", "measure", network="rg_paper"), 30, 15),
    Measurement("gpu_memory_rg_laptop", partial(_run, "gpu_memory", "measure", network="rg_laptop"), 25, 15),
    Measurement("determinism", partial(_run, "determinism", "measure"), 70, 20, reserved_s=60),
    Measurement("sharing", partial(_run, "sharing", "measure"), 70, 30, reserved_s=60),
    Measurement("compiled", partial(_run, "training", "measure_compiled"), 90, 40, reserved_s=60),
    Measurement("full", partial(_run, "full", "measure"), 600, 35),
)
"""In the order in which they run."""
