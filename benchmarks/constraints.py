"""`python -m benchmarks.constraints`: epochs that a search needs under a constraint that nine tenths of the points violate.

A function of four hyperparameters stands for a training: its value rises with every epoch, larger models are better, and the
constraint allows a tenth of the points. The proposals, the stopping rule and the ranking are those of a search, one trial at a
time. What differs is when a violation is known:

* in advance: the trainable states the size of a model for a proposal, which is drawn again;
* built: the size is known when the model is built; the trial ends before its first epoch;
* first epoch: a measured quantity such as the latency is known after the first epoch, which ends the trial;
* metric: the constraint is on a metric of validation, and only ranks;
* ignored: the search has no constraint, and the best trial that satisfies it is picked afterwards;
* no constraint: the ranges contain only points that satisfy it, and the same optimum.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from benchmarks.measure import write_results
from datasets.none import NoneSpec
from search.execution.trial_stopper import TimeBudget, TrialStopper
from search.study.constraints import explain_hopeless
from search.study.study import Study
from search.study.trials import Epoch, Trial
from spaces.constraints import Constraint
from spaces.feasibility import draw_point
from spaces.schema import Budget, Dimension, Resources, Space, Stopping
from tests.search.toy_trainable import Sized
from trainables.contract import Metric

_EPOCHS: Final = 9
_MOST_EPOCHS: Final = 400
"""Number of epochs after which a search is given up."""
_BOUND: Final = 2300.0
"""Number of parameters that a tenth of the points does not exceed."""
_SCORE: Final = (("score", "maximize"),)
_SIZE: Final = Constraint("parameters", "<=", _BOUND, True)
_SEARCH: Final = (
    Dimension("lr", "log_uniform", 1e-5, 1e-1),
    Dimension("dropout", "uniform", 0.0, 0.6),
    Dimension("width", "log_int", 16, 512),
    Dimension("depth", "int", 1, 10),
)
_NARROW: Final = (*_SEARCH[:2], Dimension("width", "log_int", 16, 27), Dimension("depth", "int", 1, 3))


class ModelConfig(BaseModel):
    """Hyperparameters of `Model`."""

    lr: float = 1e-3
    dropout: float = 0.1
    width: int = 256
    depth: int = 6


class Model(Sized):
    """Model whose value is known, and whose size is known in advance; it is never built."""

    Config = ModelConfig  # type: ignore[assignment]
    metrics = (Metric("score", "maximize", "made up"), Metric("size", "minimize", "number of parameters"))

    @classmethod
    def expected_parameters(cls, config: Any, dataset: Any) -> int | None:
        """Return depth times the square of the width."""
        del dataset
        return count_parameters(config.model_dump())


class BuiltModel(Model):
    """The same, with a size that is known only when it is built."""

    @classmethod
    def expected_parameters(cls, config: Any, dataset: Any) -> int | None:
        """Return None."""
        del config, dataset
        return None


def count_parameters(values: Mapping[str, Any]) -> int:
    """Return the number of parameters of a model."""
    return int(values["depth"] * values["width"] ** 2)


def compute_score(values: Mapping[str, Any], epoch: int) -> float:
    """Return the score of a model after an epoch, at most about 1; the best learning rate falls with the size."""
    size = math.log10(count_parameters(values))
    rate = math.log10(values["lr"]) + 2.2 + 0.25 * size
    final = (
        0.55 + 0.07 * size - 0.08 * rate**2 - 0.4 * (values["dropout"] - 0.15) ** 2 - 0.002 * (values["depth"] - 3) ** 2
    )
    return float(final) * (1 - math.exp(-(epoch + 0.5) / (1.5 + 0.2 * size)))


@dataclass(frozen=True)
class Case:
    """Way in which a violation becomes known.

    Attributes:
        name: Name in the table.
        trainable: Class in this module.
        constraints: Constraints of the space.
        search: Dimensions of the space.
    """

    name: str
    trainable: str = "BuiltModel"
    constraints: tuple[Constraint, ...] = ()
    search: tuple[Dimension, ...] = _SEARCH


_LATENCY: Final = replace(_SIZE, metric="latency_ms")
CASES: Final = (
    Case("no constraint", search=_NARROW),
    Case("in advance", "Model", (_SIZE,)),
    Case("built", constraints=(_SIZE,)),
    Case("first epoch", constraints=(_LATENCY,)),
    Case("metric", constraints=(replace(_SIZE, metric="size", is_measured=False),)),
    Case("ignored"),
)


def make_space(case: Case, seed: int) -> Space:
    """Return the space of a case."""
    return Space(
        name="constraints",
        trainable=f"benchmarks.constraints:{case.trainable}",
        dataset=NoneSpec(),
        fixed={},
        search=case.search,
        inner={},
        objectives=_SCORE,
        baseline={"lr": 1e-4, "dropout": 0.5, "width": 256, "depth": 6},
        start=(),
        stopping=Stopping(first_rung=1, reduction=3),
        budget=Budget(trials=10_000, epochs=_EPOCHS),
        resources=Resources(),
        seed=seed,
        profile=None,
        constraints=case.constraints,
    )


def find_target() -> float:
    """Return the score that the best hundredth of the points exceeds that satisfy the constraint, trained in full."""
    generator = random.Random(0)
    scores: list[float] = []
    while len(scores) < 5000:
        point = draw_point(_SEARCH, generator)
        if count_parameters(point) <= _BOUND:
            scores.append(compute_score(point, _EPOCHS))
    return sorted(scores)[-len(scores) // 100]


def run_trial(study: Study, stopper: TrialStopper, trial: Trial, space: Space, target: float) -> tuple[int, bool]:
    """Train a trial until it ends; return its epochs, and whether it satisfies the constraint and reaches the target."""
    size = float(count_parameters(trial.parameters))
    measured = dict.fromkeys(("parameters", "latency_ms", "size"), size)
    built = {"parameters": size} if space.constraints else {}
    begun = len(trial.epochs)
    reason = None if begun or trial.is_baseline else explain_hopeless(built, space.constraints)
    if reason is not None:
        study.record_measured(trial.number, built)
        study.end_trial(trial.number, "stopped", reason)
        return 0, False
    for number in range(begun + 1, _EPOCHS + 1):
        score = compute_score(trial.parameters, number)
        result = Epoch(number, {"score": score, **measured}, {}, 1.0)
        study.record_epoch(trial.number, result)
        if score >= target and size <= _BOUND:
            return number - begun, True
        decision = stopper(trial.number, result)
        if decision is not None:
            outcome, reason = decision
            if outcome == "paused":
                study.pause_trial(trial.number, reason)
            else:
                study.end_trial(trial.number, outcome, reason)
            return number - begun, False
    raise AssertionError("the last epoch ends a trial")


def count_epochs(case: Case, seed: int, target: float) -> tuple[int, int]:
    """Return the epochs and the trials after which a search has found a point that reaches the target; at most `_MOST_EPOCHS`."""
    space = make_space(case, seed)
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder) / "study.journal", space)
        stopper = TrialStopper(study, space, TimeBudget(None))
        epochs, trials = 0, 0
        while epochs < _MOST_EPOCHS:
            trial = study.next_trial()
            assert trial is not None
            used, is_found = run_trial(study, stopper, trial, space, target)
            epochs, trials = epochs + used, trials + 1
            if is_found:
                break
        study.close()
    return min(epochs, _MOST_EPOCHS), trials


def summarise_case(results: Sequence[tuple[int, int]]) -> dict[str, float]:
    """Return medians and quartiles of the epochs over the seeds, the median number of trials, and how many found it."""
    epochs = sorted(epochs for epochs, _ in results)
    quartiles = statistics.quantiles(epochs, n=4, method="inclusive")
    return {
        "median": statistics.median(epochs),
        "low": quartiles[0],
        "high": quartiles[2],
        "trials": statistics.median(trials for _, trials in results),
        "found": sum(count < _MOST_EPOCHS for count in epochs),
    }


def main() -> None:
    """Run all cases, print the table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    target, table = find_target(), {}
    print(f"target {target:.4f}\n{'violation known':<16}{'epochs':>7}{'quartiles':>12}{'trials':>8}{'found':>7}")
    for case in CASES:
        row = summarise_case([count_epochs(case, seed, target) for seed in range(options.seeds)])
        table[case.name] = row
        spread = f"{row['low']:.0f} – {row['high']:.0f}"
        print(f"{case.name:<16}{row['median']:>7.0f}{spread:>12}{row['trials']:>8.0f}{row['found']:>7.0f}", flush=True)
    write_results("constraints", {"seeds": options.seeds, "target": target, "cases": table})


if __name__ == "__main__":
    main()
