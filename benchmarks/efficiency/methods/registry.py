"""Methods by name."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from benchmarks.efficiency.methods import environments
from benchmarks.efficiency.methods.base import Method
from benchmarks.efficiency.methods.remote import Environment, RemoteMethod, start_process
from benchmarks.efficiency.problem import Problem

_PACKAGE: Final = "benchmarks.efficiency.methods"
_COMMIT: Final = "b016912"


@dataclass(frozen=True)
class MethodEntry:
    """Method of the benchmark.

    Attributes:
        name: Name on the command line.
        label: Name in figures and tables.
        path: Import path of its class, below the package of the methods.
        environment: Where it runs: with the packages of this process, those of a commit, or those of Syne Tune.
        version: Number that is raised when the adapter changes results; cached replays of another one are not used.
        sources: Files of this project that determine results, as patterns below its root.
    """

    name: str
    label: str
    path: str
    environment: Literal["here", "commit", "syne-tune"] = "here"
    version: int = 1
    sources: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Text that changes when the method may return other proposals or decisions."""
        hashed = hashlib.sha256()
        for pattern in self.sources:
            for path in sorted(environments.ROOT.glob(pattern)):
                hashed.update(path.read_bytes())
        return f"{self.version}-{hashed.hexdigest()[:10]}" if self.sources else str(self.version)

    def open_environment(self, cache: Path) -> Environment | None:
        """Return the environment of another process, after it has been made if necessary; None for this process.

        Args:
            cache: Folder of the files of commits.

        Raises:
            UnavailableError: If it cannot be made.
        """
        if self.environment == "commit":
            return environments.open_commit(_COMMIT, cache)
        return environments.open_syne_tune() if self.environment == "syne-tune" else None

    def create(self, problem: Problem, seed: int, environment: Environment | None) -> Method:
        """Return the method, new for a replay."""
        path = f"{_PACKAGE}.{self.path}"
        if environment is not None:
            return RemoteMethod(problem, seed, start_process(environment), path)
        module, _, name = path.partition(":")
        method: Method = getattr(importlib.import_module(module), name)(problem, seed)
        return method


_OURS: Final = (
    "search/study/*.py",
    "search/study/samplers/*.py",
    "search/study/stopping/*.py",
    "benchmarks/efficiency/methods/ours.py",
    "benchmarks/efficiency/methods/ours_*.py",
)

METHODS: Final = {
    entry.name: entry
    for entry in (
        MethodEntry("ours", "Soundsweep", "ours:Ours", sources=_OURS),
        MethodEntry("ours-stopping", "… without pauses", "ours:OursStopping", sources=_OURS),
        MethodEntry("ours-comparable", "… from comparable results only", "ours:OursComparable", sources=_OURS),
        MethodEntry("ours-ranked", "… from ranks only", "ours:OursRanked", sources=_OURS),
        MethodEntry("ours-b016912", "Soundsweep, b016912", "ours_b016912:OursB016912", "commit"),
        MethodEntry("random", "random", "random_search:RandomSearch"),
        MethodEntry("random-asha", "random + ASHA", "random_search:RandomAsha"),
        MethodEntry("one-epoch", "one epoch, then the best", "random_search:OneEpochThenBest"),
        MethodEntry("optuna-hyperband", "Optuna TPE + Hyperband", "optuna_hyperband:OptunaHyperband"),
        MethodEntry("ray", "Ray OptunaSearch + ASHA", "ray_pair:RayPair"),
        MethodEntry("syne-asha", "Syne Tune ASHA", "syne_tune_methods:SyneTuneAsha", "syne-tune"),
        MethodEntry("syne-pasha", "Syne Tune PASHA", "syne_tune_methods:SyneTunePasha", "syne-tune"),
        MethodEntry("syne-hypertune", "Syne Tune Hyper-Tune", "syne_tune_methods:SyneTuneHyperTune", "syne-tune"),
        MethodEntry("syne-cqr", "Syne Tune CQR + ASHA", "syne_tune_methods:SyneTuneCqr", "syne-tune"),
    )
}
