"""Everything that is a real number becomes a plain float; nothing else does."""

from __future__ import annotations

import enum
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from trainables.contract import ContractError
from trainables.returned_values import describe_value, merge_metrics, read_training_metrics, to_float


class Level(enum.IntEnum):
    LOW = 1


HALVES: dict[str, Any] = {
    "float": 0.5,
    "NumPy float32": np.float32(0.5),
    "NumPy float64": np.float64(0.5),
    "NumPy longdouble": np.longdouble(0.5),
    "NumPy 0-d": np.array(0.5),
    "NumPy one element": np.array([[0.5]]),
    "NumPy object": np.array(Fraction(1, 2), dtype=object),
    "tensor": torch.tensor(0.5),
    "tensor of one element": torch.tensor([[0.5]]),
    "tensor with gradient": torch.tensor(0.5, requires_grad=True) * 1,
    "parameter": torch.nn.Parameter(torch.tensor(0.5)),
    "bfloat16": torch.tensor(0.5, dtype=torch.bfloat16),
    "fraction": Fraction(1, 2),
    "decimal": Decimal("0.5"),
}


@pytest.mark.parametrize("kind", HALVES)
def test_a_number_of_any_type_becomes_a_plain_float(kind: str) -> None:
    converted = to_float(HALVES[kind])
    assert (type(converted), converted) == (float, 0.5)


@pytest.mark.parametrize("value", [1, True, np.int64(1), np.bool_(1), torch.tensor(True), Level.LOW])
def test_integers_and_truth_values_are_numbers(value: Any) -> None:
    assert (type(to_float(value)), to_float(value)) == (float, 1.0)


def test_what_is_undefined_or_large_stays_so() -> None:
    assert math.isnan(to_float(np.float32("nan")))
    assert math.isnan(to_float(np.ma.masked))
    assert to_float(torch.tensor(-math.inf)) == -math.inf
    assert to_float(2**70) == 2.0**70


class Unwilling:
    def __float__(self) -> float:
        raise RuntimeError("not today")


WRONG: dict[str, tuple[Any, str]] = {
    "text": ("0.9", "str '0.9'"),
    "NumPy text": (np.str_("0.9"), "numpy.str_ '0.9'"),
    "0-d text": (np.array("0.9"), "numpy.ndarray of shape ()"),
    "bytes": (b"0.9", "bytes"),
    "buffer": (memoryview(b"0.9"), "memoryview"),
    "none": (None, "None"),
    "list": ([0.9], "list"),
    "mapping": ({"mean": 0.9}, "dict"),
    "complex": (1j, "complex (1j)"),
    "NumPy complex": (np.complex64(1), "numpy.complex64"),
    "complex tensor": (torch.tensor(1j), "torch.Tensor of shape () and type torch.complex64"),
    "several": (np.array([1.0, 2.0]), "numpy.ndarray of shape (2,)"),
    "several in a tensor": (torch.zeros(2), "torch.Tensor of shape (2,)"),
    "no elements": (torch.zeros(0), "torch.Tensor of shape (0,)"),
    "too large": (10**400, "int (too large for a float)"),
    "date": (np.datetime64("2020-01-01"), "numpy.datetime64"),
    "duration": (np.timedelta64(3, "s"), "numpy.timedelta64"),
    "without memory": (torch.tensor(0.5, device="meta"), "torch.Tensor"),
    "raises": (Unwilling(), "tests.trainables.test_returned_values.Unwilling"),
    "function": (len, "builtin_function_or_method"),
    "set": ({0.9}, "set"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_anything_else_is_named_with_metric_and_type(kind: str) -> None:
    value, described = WRONG[kind]
    with pytest.raises(ContractError) as caught:
        read_training_metrics({"fine": 1.0, "score": value})
    assert f"'score' is {described}" in str(caught.value).replace("text: ", "")
    assert "'fine'" not in str(caught.value)


async def wait() -> None: ...


def test_a_method_that_did_not_run_is_named() -> None:
    with pytest.raises(ContractError, match="a generator, whose code has not run"):
        read_training_metrics(value for value in "ab")
    assert "a coroutine, whose code has not run" in describe_value(wait())


def test_names_become_plain_text() -> None:
    class Name(str, enum.Enum):  # noqa: UP042  # StrEnum has another str()
        SCORE = "score"

    [name] = read_training_metrics({Name.SCORE: 1.0})
    assert (type(name), name) == (str, "score")


def test_all_wrong_metrics_are_named_at_once() -> None:
    with pytest.raises(ContractError, match=r"'a' is None, 'b' is list"):
        read_training_metrics({"a": None, "b": []})


def test_a_training_metric_is_renamed_rather_than_hidden() -> None:
    assert merge_metrics({"loss": 1.0}, {"loss": 2.0}) == {"loss": 1.0, "train_loss": 2.0}
    assert merge_metrics({"loss": 1.0}, {"loss": 2.0, "train_loss": 3.0}) == {"loss": 1.0, "train_loss": 3.0}
