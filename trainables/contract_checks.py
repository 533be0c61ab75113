"""Checks that a trainable keeps the contract, by short trainings; used by the doctor and by tests."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch

from trainables.contract import ContractError, InferenceParams, InnerParameter, Metric, Metrics, Trainable
from trainables.returned_values import evaluate_split, read_training_metrics
from trainables.saved_values import read_back, require_readable

Build = Callable[[int], Trainable]
"""Function from a seed to an untrained trainable; it always uses the same Config and data."""
Numbers = list[tuple[str, float]]
"""Metrics in the order in which they were computed, named by epoch and method."""

_EPOCHS: Final = 2
_SEED, _OTHER_SEED = 1, 2


def train(trainable: Trainable, epochs: int, *, first: int = 1, evaluate: bool = True) -> Numbers:
    """Train some epochs and return all metrics.

    Args:
        trainable: Trainable to train.
        epochs: Number of epochs.
        first: Number of the first epoch, for the names.
        evaluate: Whether to evaluate after every epoch, or after the last one only.
    """
    numbers: Numbers = []
    for epoch in range(first, first + epochs):
        numbers += _name_numbers(f"epoch {epoch}, train_epoch", read_training_metrics(trainable.train_epoch()))
        if evaluate or epoch == first + epochs - 1:
            numbers += evaluate_named(trainable, f"epoch {epoch}")
    return numbers


def evaluate_named(trainable: Trainable, name: str) -> Numbers:
    """Return the metrics of the validation split with the Config's inference parameters."""
    return _name_numbers(f"{name}, evaluate", evaluate_split(trainable, "validate", [{}])[0])


def _name_numbers(prefix: str, metrics: Metrics) -> Numbers:
    return [(f"{prefix}: {name}", value) for name, value in metrics.items()]


def require_equal(found: Numbers, expected: Numbers, rule: str) -> None:
    """Check that two lists of metrics are equal to the last bit; NaN equals NaN.

    Raises:
        ContractError: If they differ; the message states the rule and the first difference.
    """
    for (name, value), (other, required) in zip(found, expected, strict=False):
        if name != other or repr(value) != repr(required):
            raise ContractError(f"{rule}: {name} is {value!r}, not {required!r}" + f" of {other}" * (name != other))
    if len(found) != len(expected):
        raise ContractError(f"{rule}: {len(found)} metrics, not {len(expected)}")


@contextmanager
def other_random_state() -> Iterator[None]:
    """Give the global random generators of Python, NumPy and torch another state, and restore the previous ones."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002  # the global generator
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(99)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


def digest(value: object) -> str:
    """Return a hash of tensors, plain values and containers of them."""
    result = hashlib.sha256()
    _update(result, value)
    return result.hexdigest()


def _update(result: Any, value: object) -> None:
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu().contiguous()
        result.update(repr((plain.dtype, tuple(plain.shape))).encode())
        result.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    elif isinstance(value, Mapping):
        for key, element in value.items():
            result.update(repr(key).encode())
            _update(result, element)
    elif isinstance(value, list | tuple):
        result.update(f"{len(value)} elements".encode())
        for element in value:
            _update(result, element)
    else:
        result.update(repr(value).encode())


def check_metrics(build: Build, metrics: Sequence[Metric], grid: Sequence[InferenceParams]) -> None:
    """Check that `evaluate` returns all declared metrics as numbers for every choice of inference parameters.

    Raises:
        ContractError: If not.
    """
    trainable = build(_SEED)
    training = read_training_metrics(trainable.train_epoch())
    for params, returned in zip(grid, evaluate_split(trainable, "validate", grid), strict=True):
        absent = [metric.name for metric in metrics if metric.name not in returned]
        if absent:
            raise ContractError(
                f"metrics declares {', '.join(absent)}, but evaluate returned {', '.join(returned) or 'nothing'} for "
                f"{dict(params)}, and train_epoch {', '.join(training) or 'nothing'}"
            )


def check_seed(build: Build) -> None:
    """Check that the seed alone decides: not the global random state, and not what the process has trained before.

    Raises:
        ContractError: If the same seed gives other numbers.
    """
    first = build(_SEED)
    expected = train(first, _EPOCHS)
    train(build(_OTHER_SEED), 1)
    with other_random_state():
        second = build(_SEED)
        found = train(second, _EPOCHS)
    require_equal(
        found, expected, "the same seed must give the same numbers, also after another training in this process"
    )
    if digest(second.weights()) != digest(first.weights()):
        raise ContractError("the same seed must give the same weights")


def seed_has_effect(build: Build) -> bool:
    """Return whether another seed gives other numbers or weights."""
    first, second = build(_SEED), build(_OTHER_SEED)
    return repr(train(first, _EPOCHS)) != repr(train(second, _EPOCHS)) or digest(first.weights()) != digest(
        second.weights()
    )


def check_state(build: Build) -> None:
    """Check that a training continues from its saved state bit for bit.

    Raises:
        ContractError: If the state cannot be saved and read back, or the numbers differ.
    """
    whole, interrupted, resumed = build(_SEED), build(_SEED), build(_SEED)
    train(whole, 1)
    expected = train(whole, _EPOCHS, first=2)
    train(interrupted, 1)
    state = interrupted.state()
    require_readable("state()", state)
    with other_random_state():
        resumed.load_state(read_back(state))
        found = train(resumed, _EPOCHS, first=2)
    require_equal(
        found, expected, "a training that continues from its state must give the numbers of an uninterrupted one"
    )
    if digest(resumed.weights()) != digest(whole.weights()):
        raise ContractError("a training that continues from its state must give the weights of an uninterrupted one")


def check_weights(build: Build, split: str) -> None:
    """Check that weights are all that `evaluate` needs.

    Raises:
        ContractError: If the weights cannot be saved and read back, or the metrics differ.
    """
    trained, other = build(_SEED), build(_OTHER_SEED)
    train(trained, 1)
    weights = trained.weights()
    require_readable("weights()", weights)
    [expected] = evaluate_split(trained, split, [{}])
    other.load_weights(read_back(weights))
    [found] = evaluate_split(other, split, [{}])
    rule = f"evaluate on {split} must give the same metrics after load_weights"
    require_equal(_name_numbers(split, found), _name_numbers(split, expected), rule)


def check_grid(build: Build, grid: Sequence[InferenceParams]) -> None:
    """Check that `evaluate` gives every choice of inference parameters the metrics that it gives the choice alone.

    Raises:
        ContractError: If they differ.
    """
    trainable = build(_SEED)
    train(trainable, 1)
    together = evaluate_split(trainable, "validate", grid)
    for params, metrics in zip(grid, together, strict=True):
        [alone] = evaluate_split(trainable, "validate", [params])
        rule = (
            f"evaluate must give {dict(params)} among {len(grid)} choices the metrics that it gives this choice alone"
        )
        require_equal(_name_numbers("evaluate", metrics), _name_numbers("evaluate", alone), rule)


def check_evaluation(build: Build) -> None:
    """Check that an evaluation changes nothing in the training.

    Raises:
        ContractError: If a training without evaluations gives other numbers.
    """
    evaluated, plain = build(_SEED), build(_SEED)
    train(evaluated, 1)
    expected = train(evaluated, 1, first=2)
    train(plain, 2, evaluate=False)
    found = evaluate_named(plain, "epoch 2")
    expected = [number for number in expected if "evaluate" in number[0]]
    require_equal(found, expected, "an evaluation between epochs must not change the training")


def changed_global_states(build: Build) -> list[str]:
    """Return the global random generators whose state a training changes."""

    def read_states() -> dict[str, str]:
        return {
            "random": repr(random.getstate()),
            "numpy.random": repr(np.random.get_state(legacy=False)["state"]),  # noqa: NPY002  # the global generator
            "torch": digest(torch.get_rng_state()),
        }

    with other_random_state():
        before = read_states()
        train(build(_SEED), 1)
        after = read_states()
    return [name for name, state in before.items() if after[name] != state]


def inference_choices(inner: Sequence[InnerParameter]) -> list[dict[str, float]]:
    """Return choices of inference parameters for the checks: the Config's own, and each parameter at its bounds."""
    return [{}, *({p.name: float(bound)} for p in inner for bound in (p.low, p.high))]
