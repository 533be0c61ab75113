"""One error for several problems, so that a user corrects all of them before the next attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runtime.errors import InputError

_SHOWN: Final = 20
"""Number of problems that are listed."""


def raise_problems(place: str, problems: Sequence[InputError], *, option: str | None = None) -> None:
    """Raise one error for all problems; return if there are none.

    Args:
        place: Folder or file with the problems.
        problems: Problems in the order of the report; a single one is raised as it is, with the option.
        option: Remedy for all problems together, in addition to their own.

    Raises:
        InputError: If there is a problem.
    """
    if not problems:
        return
    if len(problems) == 1:
        [only] = problems
        remedy = "; or ".join(filter(None, [only.remedy, option]))
        raise InputError(only.place, only.rule, value=only.value, remedy=remedy) from only
    lines = [_describe(problem) for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"… and {len(problems) - _SHOWN:,} more")
    rule = f"{len(problems):,} problems must be corrected" + "".join(f"\n    {line}" for line in lines)
    remedies = list(dict.fromkeys(problem.remedy for problem in problems))
    raise InputError(place, rule, remedy="; or ".join(filter(None, ["; ".join(remedies[:3]), option])))


def _describe(problem: InputError) -> str:
    value = "" if problem.value is None else f", not {problem.value!r}"
    return f"{problem.place}: {problem.rule}{value}"
