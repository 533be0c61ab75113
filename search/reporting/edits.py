"""Edits of a space in words, for the plan of a launch, `search.show` and MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from spaces.points import describe_dimension, describe_values
from spaces.recorded import read_dimension
from spaces.schema import Dimension
from spaces.values import to_text

SEARCH: Final = "search."
FIXED: Final = "fixed."
START: Final = "start"


def describe_changes(edit: Mapping[str, Any]) -> dict[str, str]:
    """Return what an edit changes: its former and its new value in words, by key.

    A value that becomes or was fixed is described with its dimension, and has no entry of its own.

    Args:
        edit: Edit as plain values.
    """
    changes: Mapping[str, Any] = edit["changes"]
    texts: dict[str, str] = {}
    for key, (before, now) in changes.items():
        if key.startswith(SEARCH):
            name = key.removeprefix(SEARCH)
            texts[name] = _describe_dimension_change(name, edit)
        elif key == START:
            texts[key] = f"{len(edit['starts'])} more to be evaluated"
        elif f"{SEARCH}{key.removeprefix(FIXED)}" not in changes:
            texts[key] = f"{to_text(before)} → {to_text(now)}"
    return texts


def _describe_dimension_change(name: str, edit: Mapping[str, Any]) -> str:
    before, now = edit["changes"][f"{SEARCH}{name}"]
    if before is None:
        former = f"{to_text(edit['earlier'][name])} in all trials" if name in edit["earlier"] else "not searched"
        return f"{former} → {_describe_range(read_dimension(name, now))}"
    if now is None:
        fixed = edit["changes"].get(f"{FIXED}{name}", (None, None))[1]
        new = "not searched" if fixed is None else f"{to_text(fixed)} in all trials"
        return f"{_describe_range(read_dimension(name, before))} → {new}"
    one, other = read_dimension(name, before), read_dimension(name, now)
    texts = [_describe_range(one), _describe_range(other)]
    if texts[0] == texts[1] or (one.kind, one.step) != (other.kind, other.step):
        texts = [describe_dimension(one), describe_dimension(other)]
    return " → ".join(texts)


def _describe_range(dimension: Dimension) -> str:
    """Return the choices or the bounds of a dimension, as short as possible."""
    if dimension.kind == "choice":
        return describe_values(dimension)
    return f"{dimension.low:g} … {dimension.high:g}"


def list_edits(edits: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line per edit: the number of its first trial, its time, and its changes."""
    return [
        f"from trial {edit['trial']} on ({edit['time']}): "
        + "; ".join(f"{key}: {text}" for key, text in describe_changes(edit).items())
        for edit in edits
    ]
