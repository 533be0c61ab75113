"""Rows of a table of results: configurations that are all trained in full on the same seeds, beside published values.

A file with `rows` becomes a search without proposals: its first row is the baseline, each other one a starting point, and each
further seed a confirmation of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import Field, ValidationError

from datasets.building.spec import Frozen
from runtime.errors import InputError

_KEYS: Final = ("rows", "seeds", "table")
_REPLACED: Final = ("search", "baseline", "start", "warm_start", "sampler", "stopping", "confirm", "vary_seeds")
"""Keys of a search that follow from the rows."""


class Row(Frozen):
    """Configuration of a table."""

    set: dict[str, Any] = Field(
        default_factory=dict, description="values of Config fields and of `dataset.train`, by dotted name"
    )
    paper: dict[str, float] = Field(
        default_factory=dict, description="published values by test split and metric, e.g. `S0.f1_1m`"
    )


class TableText(Frozen):
    """Texts and columns of a table."""

    source: str = Field("", description="origin of the published values, as the heading of their columns")
    protocol: tuple[str, ...] = Field(
        (), description="what differs from the protocol of that publication, as sentences"
    )
    columns: tuple[str, ...] = Field(
        (), description="test splits and metrics, e.g. `S0.f1_1m`; by default those of `paper`, or else the objectives"
    )
    differences: tuple[tuple[str, str], ...] = Field(
        (), description="pairs of rows whose difference is reported; by default each row and the first one"
    )


class TableFile(Frozen):
    """Keys of a space file that describe a table."""

    rows: dict[str, Row] = Field(min_length=1, description="configurations by name")
    seeds: int | tuple[int, ...] = Field(3, description="number of trainings of each row, or their seeds")
    table: TableText = Field(default_factory=TableText)


def expand_rows(data: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the content of a file as that of a search; content without rows is returned as it is.

    Args:
        data: Content of the file, with its profile and overrides.
        path: Path of the file, for errors.

    Raises:
        InputError: If the keys of the table are invalid, or the file has keys that follow from the rows.
    """
    if "rows" not in data:
        for name in _KEYS:
            if name in data:
                raise InputError(
                    f"{path}: {name}", f"`{name}` is a key of a table", remedy=f"add rows, or remove {name}"
                )
        return dict(data)
    table = _read_table(data, path)
    written = _flatten(data.get("fixed") or {})
    _require_effect(table.rows, written, path)
    points, fixed = _list_points(table.rows, written)
    dimensions = {
        name: {"choice": _distinct([point[name] for point in points if name in point])}
        for name in dict.fromkeys(name for point in points for name in point)
    }
    budget = data.get("budget")
    more = _count_seeds(table) - 1
    return {
        **{name: value for name, value in data.items() if name not in _REPLACED},
        "fixed": fixed,
        "search": dimensions,
        "baseline": points[0],
        "start": points[1:],
        "stopping": {"rule": "none"},
        "budget": budget | {"trials": len(points)} if isinstance(budget, dict) else budget,
        **({"confirm": {"top": 1, "seeds": more}} if more else {}),
        **({} if isinstance(table.seeds, int) else {"seed": table.seeds[0]}),
    }


def _read_table(data: Mapping[str, Any], path: str) -> TableFile:
    for name in _REPLACED:
        if name in data:
            raise InputError(
                f"{path}: {name}",
                f"a file with `rows` has no `{name}`: each row is trained in full, on each of the seeds",
                remedy=f"remove {name}, or the rows",
            )
    if isinstance(data.get("budget"), dict) and "trials" in data["budget"]:
        rule = "a file with `rows` has no number of trials: it is that of the rows"
        raise InputError(f"{path}: budget.trials", rule, value=data["budget"]["trials"], remedy="remove it")
    try:
        table = TableFile.model_validate({key: data[key] for key in _KEYS if key in data})
    except ValidationError as error:
        from datasets.config_file import explain_validation  # needs PyYAML, which training alone does not

        raise explain_validation(error, TableFile, lambda key: f"{path}: {key}") from error
    _check_seeds(table.seeds, data, path)
    _check_names(table, path)
    return table


def _check_seeds(seeds: int | Sequence[int], data: Mapping[str, Any], path: str) -> None:
    place, rule = f"{path}: seeds", "seeds must be a number from 1 to 100, or a list of different seeds from 0"
    if isinstance(seeds, int):
        if not 1 <= seeds <= 100:
            raise InputError(place, rule, value=seeds, remedy="write  seeds: 3")
        return
    if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**31 for seed in seeds):
        raise InputError(place, rule, value=list(seeds), remedy="write  seeds: [0, 1, 2]")
    if "seed" in data:
        raise InputError(
            f"{path}: seed", "a file with a list of seeds has no other seed", value=data["seed"], remedy="remove seed"
        )


def _check_names(table: TableFile, path: str) -> None:
    """Require that pairs name rows, and columns a split and a metric."""
    for number, pair in enumerate(table.table.differences):
        unknown = [name for name in pair if name not in table.rows]
        if unknown or pair[0] == pair[1]:
            raise InputError(
                f"{path}: table.differences.{number}",
                "a difference is that of two rows",
                value=list(pair),
                remedy=f"write two of: {', '.join(table.rows)}",
            )
    named = {f"rows.{row}.paper.{name}": name for row, each in table.rows.items() for name in each.paper}
    for key, name in ({f"table.columns.{n}": name for n, name in enumerate(table.table.columns)} | named).items():
        if not all(name.partition(".")[::2]):
            rule = "a column must name a test split and a metric"
            raise InputError(f"{path}: {key}", rule, value=name, remedy="write  SPLIT.METRIC, e.g. S0.f1_1m")


def _require_effect(rows: Mapping[str, Row], fixed: Mapping[str, Any], path: str) -> None:
    """Require that no fixed value is replaced in all rows, such as one that --set gives."""
    for name, value in fixed.items():
        if all(name in _flatten(row.set) for row in rows.values()):
            raise InputError(
                f"{path}: fixed.{name}",
                "a fixed value must have an effect, and each of the rows sets this field itself",
                value=value,
                remedy=f"change  rows.{next(iter(rows))}.set.{name}  and that of the other rows",
            )


def _list_points(rows: Mapping[str, Row], fixed: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the values of each row, and the fixed values that no row changes."""
    named = list(dict.fromkeys(name for row in rows.values() for name in _flatten(row.set)))
    shared = {name: fixed[name] for name in named if name in fixed}
    points = [shared | _flatten(row.set) for row in rows.values()]
    return points, {name: value for name, value in fixed.items() if name not in named}


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in values.items():
        result |= _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return result


def _distinct(values: Sequence[Any]) -> list[Any]:
    return [value for number, value in enumerate(values) if not any(_is_same(value, v) for v in values[:number])]


def _is_same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _count_seeds(table: TableFile) -> int:
    return table.seeds if isinstance(table.seeds, int) else len(table.seeds)


def locate_in_rows(error: InputError, data: Mapping[str, Any], path: str) -> InputError:
    """Return an error about a point or a dimension with its place among the rows of the file.

    Args:
        error: Error about the content of `expand_rows`.
        data: Content of the file.
        path: Path of the file.
    """
    if "rows" not in data or not error.place.startswith(f"{path}: "):
        return error
    rows = {name: _flatten(row.get("set") or {}) for name, row in data["rows"].items()}
    key = error.place.removeprefix(f"{path}: ")
    place = _find_row(key, rows)
    if place is None:
        return error
    return InputError(f"{path}: {place}", error.rule, value=error.value, remedy=error.remedy)


def _find_row(key: str, rows: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the place of a key of the search among the rows; None for other keys."""
    names = [*rows]
    point = re.match(r"(?:baseline|start\.(\d+))(?=[.,]|$)", key)
    if point is not None:
        number = 0 if point[1] is None else int(point[1]) + 1
        return f"rows.{names[number]}.set{key[point.end() :]}"
    if not key.startswith("search."):
        return None
    name = key.removeprefix("search.")
    return next((f"rows.{row}.set.{name}" for row, values in rows.items() if name in values), None)


def require_different_rows(names: Sequence[str], points: Sequence[Mapping[str, Any]], path: str) -> None:
    """Require that no two rows have the same values, defaults included.

    Args:
        names: Names of the rows.
        points: Their values.
        path: Path of the file, for errors.

    Raises:
        InputError: If two rows are the same.
    """
    for number, point in enumerate(points):
        for earlier in range(number):
            if dict(points[earlier]) == dict(point):
                raise InputError(
                    f"{path}: rows.{names[number]}",
                    f"rows must differ, and this one is the same as {names[earlier]}",
                    remedy="remove one of them, or change its values",
                )
