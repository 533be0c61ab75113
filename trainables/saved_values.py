"""States and weights of a trainable, read back before a search relies on them.

Checkpoints are read with `torch.load(…, weights_only=True)`, so that a file of unknown origin cannot run code. It refuses most
types that `torch.save` accepts, which would otherwise be found out when an interrupted trial continues.
"""

from __future__ import annotations

import collections
import enum
import io
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final

import numpy as np
import torch

from trainables.contract import ContractError
from trainables.returned_values import describe_value

_CONTAINERS: Final = (dict, collections.OrderedDict, list, tuple, set)
"""Containers that can be read back if their elements can."""
_REMEDIES: Final[tuple[tuple[tuple[type, ...], str], ...]] = (
    ((np.generic,), "convert it with .item()"),
    ((np.ndarray,), "convert it with .tolist() or torch.from_numpy"),
    ((np.random.Generator, np.random.BitGenerator), "store generator.bit_generator.state and restore that"),
    ((torch.Generator,), "store generator.get_state() and restore that"),
    ((torch.nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler), "store its state_dict()"),
    ((collections.deque, frozenset, range), "convert it to a list"),
    ((Mapping,), "convert it with dict(…)"),
    ((tuple,), "convert it with tuple(…)"),
    ((enum.Enum,), "store its value"),
    ((PurePath,), "convert it with str(…)"),
)
"""What to store instead, by type."""
_ANY_REMEDY: Final = "store tensors, numbers, text, None, and dicts, lists, tuples and sets of them"


class ReadBackCheck:
    """Check that the states and weights of one training can be read back.

    Values are saved and loaded in memory the first time, and again whenever they contain a type for the first time.
    """

    def __init__(self) -> None:
        self._readable_types: dict[str, set[type]] = {}

    def require_readable(self, method: str, returned: object) -> dict[str, Any]:
        """Return a state or weights, checked to be readable from a file.

        Args:
            method: Method that returned them, `state` or `weights`.
            returned: Returned value.

        Raises:
            ContractError: If it is no mapping, or contains a value that cannot be read back; the message names the value.
        """
        if not isinstance(returned, Mapping):
            raise ContractError(f"{method} returned {describe_value(returned)}, but must return a mapping")
        content = returned if isinstance(returned, dict) else dict(returned)
        types = set(_list_types(content))
        if not types <= self._readable_types.get(method, set()):
            require_readable(f"{method}()", content)
            self._readable_types[method] = self._readable_types.get(method, set()) | types
        return content


def require_readable(name: str, content: object) -> None:
    """Check that a value can be saved and read back with `weights_only`.

    Raises:
        ContractError: If it cannot; the message names the first value to blame, its type and what to store instead.
    """
    if not _is_readable(content):
        path, value = _find_unreadable(name, content)
        remedy = next((text for kinds, text in _REMEDIES if isinstance(value, kinds)), _ANY_REMEDY)
        raise ContractError(f"{path} cannot be read back from a checkpoint: it is {describe_value(value)}; {remedy}")


def read_back(content: object) -> Any:
    """Return a value after a way through a file that may hold nothing but tensors and plain values."""
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=True)  # a GPU may have no room for a copy


def _is_readable(value: object) -> bool:
    try:
        read_back(value)
    except Exception:  # noqa: BLE001  # pickling a foreign type may raise any exception
        return False
    return True


def _find_unreadable(path: str, value: object) -> tuple[str, object]:
    """Return the path and value of the innermost element that cannot be read back."""
    if type(value) in _CONTAINERS:
        for place, element in _list_elements(value):
            if not _is_readable(element):
                return _find_unreadable(f"{path}{place}" if place else f"a key of {path}", element)
    return path, value


def _list_elements(container: Any) -> Iterator[tuple[str, object]]:
    """Yield the elements of a container with their index in brackets; keys have none."""
    if isinstance(container, dict):
        for key, element in container.items():
            yield "", key
            yield f"[{key!r}]", element
    else:
        yield from ((f"[{index}]", element) for index, element in enumerate(container))


def _list_types(value: Any) -> Iterator[type]:
    yield type(value)
    if isinstance(value, dict):
        for key, element in value.items():
            yield type(key)
            yield from _list_types(element)
    elif isinstance(value, list | tuple | set):
        for element in value:
            yield from _list_types(element)
