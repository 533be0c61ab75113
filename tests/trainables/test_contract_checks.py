"""Each check of the contract finds the fault that it is for, and no other check is needed for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.trainables import contract_toys as toys
from trainables import contract_checks as checks
from trainables.contract import ContractError, Trainable

GRID = checks.inference_choices(toys.Walk.inner)
CHECKS: dict[str, Callable[[checks.Build], None]] = {
    "metrics": lambda build: checks.check_metrics(build, toys.Walk.metrics, GRID),
    "seed": checks.check_seed,
    "state": checks.check_state,
    "weights": lambda build: checks.check_weights(build, "test"),
    "grid": lambda build: checks.check_grid(build, GRID),
    "evaluation": checks.check_evaluation,
}
FAULTS: list[tuple[type[Trainable], str, str]] = [
    (toys.Incomplete, "metrics", "metrics declares score, but evaluate returned Score, share"),
    (toys.GlobalGenerator, "seed", "the same seed must give the same numbers.*train_loss"),
    (toys.Counting, "seed", "also after another training in this process"),
    (toys.Forgetful, "state", "a training that continues.*epoch 2, train_epoch: train_loss"),
    (toys.Careless, "state", "a training that continues"),
    (toys.Unreadable, "state", r"state\(\)\['order'\] cannot be read back"),
    (toys.Partial, "weights", "after load_weights: test: score"),
    (toys.FirstOnly, "grid", r"must give \{'threshold': 0.0\} among 3 choices.*share"),
    (toys.Disturbed, "evaluation", "must not change the training: epoch 2"),
]


def builder(trainable: type[Trainable]) -> checks.Build:
    return lambda seed: trainable(toys.WalkConfig(), None, device="cpu", seed=seed, epochs=3)


@pytest.mark.parametrize("name", CHECKS)
def test_a_trainable_that_keeps_the_contract_passes(name: str) -> None:
    CHECKS[name](builder(toys.Walk))


@pytest.mark.parametrize(("trainable", "name", "message"), FAULTS)
def test_a_fault_is_found(trainable: type[Trainable], name: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        CHECKS[name](builder(trainable))


def test_a_seed_without_effect_is_noticed() -> None:
    assert checks.seed_has_effect(builder(toys.Walk))
    assert not checks.seed_has_effect(builder(toys.Unseeded))


def test_changed_global_generators_are_named() -> None:
    def changed(trainable: type[Trainable]) -> set[str]:
        return set(checks.changed_global_states(builder(trainable))) - {
            "random"
        }  # the type checker of the tests uses it

    assert changed(toys.Walk) == set()
    assert changed(toys.GlobalGenerator) == {"numpy.random"}
    assert changed(toys.SeededGlobally) == {"torch"}
