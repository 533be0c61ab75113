"""Handwritten digits (scikit-learn's 1,797 images of 8 × 8 pixels), classified by a small network of NumPy.

A real training from outside of this field that takes a tenth of a second: a network with one hidden layer, trained by SGD on
600 images over 27 epochs with nine hyperparameters, one of them conditional. The objective is the accuracy on 400
images, the true value that of the same weights on the other 797. Each trial has a seed of its own. The simulated
duration of an epoch is computed from the number of steps and the width, so that replays do not depend on the machine.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.efficiency.problem import Point, Problem, Variable
from benchmarks.efficiency.tasks.base import Scale, Session, Step, Task

EPOCHS: Final = 27
_TRAIN: Final = 600
_VALIDATE: Final = 400
_STEP_S: Final = 1e-3
_STEP_S_PER_UNIT: Final = 2e-5

PROBLEM: Final = Problem(
    (
        Variable("lr", "log_uniform", 1e-3, 3.0),
        Variable("momentum", "uniform", 0.0, 0.99),
        Variable("hidden", "log_int", 4, 128),
        Variable("batch_size", "choice", choices=(16, 32, 64, 128)),
        Variable("weight_decay", "log_uniform", 1e-6, 0.1),
        Variable("activation", "choice", choices=("relu", "tanh")),
        Variable("dropout", "uniform", 0.0, 0.6),
        Variable("schedule", "choice", choices=("constant", "step", "cosine")),
        Variable("step_epoch", "int", 3, 24, when=(("schedule", ("step",)),)),
    ),
    EPOCHS,
    baseline={
        "lr": 0.01,
        "momentum": 0.9,
        "hidden": 32,
        "batch_size": 32,
        "weight_decay": 1e-4,
        "activation": "relu",
        "dropout": 0.0,
        "schedule": "constant",
    },
)

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Split:
    """Images, of shape (count, 64), and their digits, of shape (count,)."""

    images: Array
    digits: NDArray[np.int64]


@functools.cache
def load_splits() -> tuple[Split, Split, Split]:
    """Return the images for training, validation and test."""
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images = ((images[order] - images.mean()) / images.std()).astype(np.float32)
    digits = digits[order].astype(np.int64)
    bounds = (0, _TRAIN, _TRAIN + _VALIDATE, len(images))
    first, second, third = (Split(images[a:b], digits[a:b]) for a, b in itertools.pairwise(bounds))
    return first, second, third


class Network:
    """Network with one hidden layer, trained by SGD with momentum, weight decay and dropout of the hidden units.

    Args:
        parameters: Hyperparameters.
        generator: Random generator of weights, order and dropout.
    """

    def __init__(self, parameters: Point, generator: np.random.Generator) -> None:
        self._parameters = parameters
        self._generator = generator
        hidden = parameters["hidden"]
        self._weights = [
            generator.normal(0, math.sqrt(2 / 64), (64, hidden)).astype(np.float32),
            np.zeros(hidden, np.float32),
            generator.normal(0, math.sqrt(1 / hidden), (hidden, 10)).astype(np.float32),
            np.zeros(10, np.float32),
        ]
        self._velocities = [np.zeros_like(weight) for weight in self._weights]

    def train_epoch(self, split: Split, epoch: int) -> None:
        """Train on all images once, in random order.

        Args:
            split: Images.
            epoch: Number of the epoch, from 1, on which the learning rate depends.
        """
        size, rate = self._parameters["batch_size"], self._rate(epoch)
        order = self._generator.permutation(len(split.images))
        for begin in range(0, len(order), size):
            chosen = order[begin : begin + size]
            self._step(split.images[chosen], split.digits[chosen], rate)

    def _rate(self, epoch: int) -> float:
        rate: float = self._parameters["lr"]
        if self._parameters["schedule"] == "cosine":
            return rate * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / EPOCHS))
        if self._parameters["schedule"] == "step" and epoch >= self._parameters["step_epoch"]:
            return rate * 0.1
        return rate

    def _hidden(self, images: Array) -> tuple[Array, Array]:
        """Return the hidden activations and their derivatives."""
        sums = images @ self._weights[0] + self._weights[1]
        if self._parameters["activation"] == "relu":
            return np.maximum(sums, 0), (sums > 0).astype(np.float32)
        values = np.tanh(sums)
        return values, 1 - values**2

    def _step(self, images: Array, digits: NDArray[np.int64], rate: float) -> None:
        kept = np.float32(1 - self._parameters["dropout"])
        hidden, slope = self._hidden(images)
        mask = (self._generator.random(hidden.shape, np.float32) < kept).astype(np.float32) / kept
        hidden = hidden * mask
        scores = hidden @ self._weights[2] + self._weights[3]
        errors = np.exp(scores - scores.max(axis=1, keepdims=True))
        errors /= errors.sum(axis=1, keepdims=True)
        errors[np.arange(len(digits)), digits] -= 1
        errors /= len(digits)
        below = (errors @ self._weights[2].T) * slope * mask
        gradients = [images.T @ below, below.sum(axis=0), hidden.T @ errors, errors.sum(axis=0)]
        decay = np.float32(self._parameters["weight_decay"])
        for index, gradient in enumerate(gradients):
            self._velocities[index] *= np.float32(self._parameters["momentum"])
            self._velocities[index] -= np.float32(rate) * (gradient + decay * self._weights[index])
            self._weights[index] += self._velocities[index]

    def accuracy(self, split: Split) -> float:
        """Return the share of images whose digit is recognised."""
        hidden, _ = self._hidden(split.images)
        scores = hidden @ self._weights[2] + self._weights[3]
        return float((scores.argmax(axis=1) == split.digits).mean())

    def has_diverged(self) -> bool:
        """Return whether a weight is not finite."""
        return not all(np.isfinite(weight).all() for weight in self._weights)


class DigitsTask(Task):
    """Training of a small network on handwritten digits."""

    name = "digits"
    digest = "1"
    unit = "test accuracy"

    def open_session(self, seed: int) -> Session:
        """Return the trainings of a replay."""
        return _DigitsSession(seed)

    def scale(self) -> Scale:
        """Return the values that `measure_scale` has measured."""
        return SCALE


SCALE: Final = Scale(typical=0.8745, best=0.9790)


class _DigitsSession(Session):
    problem = PROBLEM

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def start(self, point: Point, trial: int) -> tuple[dict[str, Any], Iterator[Step]]:
        """Return the parameters and the epochs of a trial."""
        return dict(point), train(point, np.random.default_rng([self._seed, trial]))


def train(parameters: Point, generator: np.random.Generator) -> Iterator[Step]:
    """Yield the epochs of a training; the last one fails if the weights are not finite."""
    training, validation, test = load_splits()
    steps = math.ceil(_TRAIN / parameters["batch_size"])
    seconds = steps * (_STEP_S + _STEP_S_PER_UNIT * parameters["hidden"])
    with np.errstate(all="ignore"):
        network = Network(parameters, generator)
    for epoch in range(1, EPOCHS + 1):
        with np.errstate(all="ignore"):
            network.train_epoch(training, epoch)
            if network.has_diverged():
                yield Step(None, -math.inf, seconds)
                return
            yield Step(network.accuracy(validation), network.accuracy(test), seconds)


def measure_scale(configurations: int = 1500, finalists: int = 30, seeds: int = 10) -> Scale:
    """Return the median of random configurations, and the best mean over seeds of the best of them.

    Args:
        configurations: Number of random configurations.
        finalists: Number of those with the best validation that are trained on further seeds.
        seeds: Number of seeds.
    """
    generator = random.Random(0)
    results = []
    for number in range(configurations):
        point = PROBLEM.draw(generator)
        steps = list(train(point, np.random.default_rng([0, number])))
        last = steps[-1]
        results.append((-1.0 if last.value is None else last.value, 0.0 if last.value is None else last.true, point))
    best = sorted(results, key=lambda result: result[0], reverse=True)[:finalists]
    means = [
        np.mean([list(train(point, np.random.default_rng([1, seed])))[-1].true for seed in range(seeds)])
        for _, _, point in best
    ]
    return Scale(float(np.median([true for _, true, _ in results])), float(max(means)))
