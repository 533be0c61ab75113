"""States and weights are read back as a resumed trial would read them; what cannot be read is named."""

from __future__ import annotations

import collections
import enum
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.contract import ContractError
from trainables.saved_values import ReadBackCheck, require_readable

Pair = collections.namedtuple("Pair", "a b")  # as users write it
Colour = enum.Enum("Colour", "RED")
NETWORK = torch.nn.Linear(1, 1)
READABLE: dict[str, Any] = {
    "plain": [None, True, 1, 2**100, 0.5, 1j, "text", b"bytes", (1, 2), {1}],
    "tensors": [torch.zeros(2, requires_grad=True), NETWORK.weight, torch.Size([1]), torch.float32],
    "network": NETWORK.state_dict(),
    "optimizer": torch.optim.Adam(NETWORK.parameters()).state_dict(),
    "schedule": torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD(NETWORK.parameters()), 3).state_dict(),
    "random": random.getstate(),
    "torch random": torch.get_rng_state(),
    "NumPy random": np.random.default_rng(0).bit_generator.state,
    "counter": collections.Counter("abc"),
}
UNREADABLE: dict[str, tuple[Any, str, str]] = {
    "NumPy scalar": (np.float64(1), "numpy.float64", ".item()"),
    "NumPy array": (np.zeros(2), "numpy.ndarray of shape (2,)", ".tolist()"),
    "deque": (collections.deque([1]), "collections.deque", "list"),
    "defaultdict": (collections.defaultdict(list), "collections.defaultdict", "dict("),
    "defaultdict of a lambda": (collections.defaultdict(lambda: 0), "collections.defaultdict", "dict("),
    "named tuple": (Pair(1, 2), "Pair", "tuple("),
    "enumeration": (Colour.RED, "Colour", "value"),
    "path": (Path("x"), "Path", "str("),
    "lambda": (lambda: 0, "function", "tensors, numbers"),
    "generator": ((value for value in "ab"), "generator", "tensors, numbers"),
    "random generator": (np.random.default_rng(0), "numpy.random", "bit_generator.state"),
    "torch generator": (torch.Generator(), "Generator", "get_state()"),
    "module": (NETWORK, "Linear", "state_dict()"),
}


@pytest.mark.parametrize("kind", READABLE)
def test_tensors_plain_values_and_random_states_are_readable(kind: str) -> None:
    require_readable("state()", {"epoch": 1, kind: READABLE[kind]})


@pytest.mark.parametrize("kind", UNREADABLE)
def test_the_value_to_blame_is_named_with_its_place_and_what_to_store_instead(kind: str) -> None:
    value, described, remedy = UNREADABLE[kind]
    with pytest.raises(ContractError) as caught:
        require_readable("state()", {"epoch": 1, "deep": [0, {kind: value}]})
    assert str(caught.value).startswith(f"state()['deep'][1][{kind!r}] cannot be read back")
    assert described in str(caught.value)
    assert remedy in str(caught.value)


def test_a_key_may_be_to_blame() -> None:
    with pytest.raises(ContractError, match=r"a key of state\(\)\['counts'\] .* numpy.int64"):
        require_readable("state()", {"counts": {np.int64(3): 1}})


def test_values_are_read_back_once_and_again_with_a_new_type(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[object] = []
    save = torch.save

    def record(content: object, file: Any) -> None:
        saved.append(content)
        save(content, file)

    monkeypatch.setattr(torch, "save", record)
    check = ReadBackCheck()
    for state in ({"best": None}, {"best": None}, {"best": 1.0}, {"best": 2.0}):
        check.require_readable("state", state)
    assert saved == [{"best": None}, {"best": 1.0}]
    check.require_readable("weights", {"best": None})
    assert len(saved) == 3
