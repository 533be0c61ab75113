"""The error that bad input raises, and that of a storage which is out of reach."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something a person gave is wrong.

    Commands print it without a traceback and exit with status 2.

    Args:
        place: File and key, command-line option or audio file.
        rule: What has to hold.
        value: What was received, if showing it helps.
        remedy: What to do about it.
    """

    def __init__(self, place: str, rule: str, *, value: object = None, remedy: str) -> None:
        super().__init__(place, rule, value, remedy)
        self.place = place
        self.rule = rule
        self.value = value
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [self.place, f"  rule:   {self.rule}"]
        if self.value is not None:
            lines.append(f"  got:    {self.value!r}")
        lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the pickling that carries an error between processes."""
        return (_rebuild_error, (type(self), self.place, self.rule, self.value, self.remedy))


class StorageError(InputError):
    """What is kept cannot be written or read at the moment: a full disk, a bucket out of reach. Nothing else is wrong."""


def _rebuild_error(kind: type[InputError], place: str, rule: str, value: object, remedy: str) -> InputError:
    return kind(place, rule, value=value, remedy=remedy)


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Say which of the known names was probably meant, or list them all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known names: " + ", ".join(names)
