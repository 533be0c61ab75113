"""One error for several problems, so that a user corrects all of them before the next attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runtime.errors import InputError

_SHOWN: Final = 20
"""Number of problems that are listed."""


def raise_problems(place: str, problems: Sequence[InputError]) -> None:
    """Raise one error for all problems; return if there are none.

    Args:
        place: Folder or file with the problems.
        problems: Problems in the order of the report; a single one is raised as it is.

    Raises:
        InputError: If there is a problem.
    """
    if len(problems) == 1:
        raise problems[0]
    if not problems:
        return
    lines = [_describe(problem) for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"… and {len(problems) - _SHOWN:,} more")
    rule = f"{len(problems):,} problems must be corrected" + "".join(f"\n    {line}" for line in lines)
    remedies = list(dict.fromkeys(problem.remedy for problem in problems))
    raise InputError(place, rule, remedy="; ".join(remedies[:3]))


def _describe(problem: InputError) -> str:
    value = "" if problem.value is None else f", not {problem.value!r}"
    return f"{problem.place}: {problem.rule}{value}"
