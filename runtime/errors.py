"""Errors for wrong input and for storage that does not respond, and suggestions for unknown names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping


class InputError(Exception):
    """Error in the input of a user.

    Commands print it without a traceback and exit with status 2.

    Args:
        place: File and key, command-line option or audio file.
        rule: Condition that the input violates.
        value: Value that was received, if showing it helps.
        remedy: Change that corrects the input.
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
        """Support pickling, so that the error passes from worker processes to the driver."""
        return (_rebuild_error, (type(self), self.place, self.rule, self.value, self.remedy))


class StorageError(InputError):
    """Failure to read or write storage, such as a full disk or an unreachable bucket; the input itself is valid."""


def _rebuild_error(kind: type[InputError], place: str, rule: str, value: object, remedy: str) -> InputError:
    return kind(place, rule, value=value, remedy=remedy)


def unknown_name_error(place: str, name: str, known: Mapping[str, str]) -> InputError:
    """Return the error for a name that is not among the known ones.

    Args:
        place: Location of the name.
        name: Unknown name; it may be dotted.
        known: Descriptions of the known names; they may be empty.
    """
    return InputError(place, "the name must be known", value=name, remedy=suggest_field(name, known))


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Return a hint that contains the most similar known name, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known names: " + ", ".join(names) if names else "remove it; no name is possible here"


def suggest_field(name: str, meanings: Mapping[str, str]) -> str:
    """Return a hint for a dotted name, from the spelling and the descriptions of the known ones.

    If the group, all but the last component, exists, only its fields are suggested.
    """
    group, _, last = name.rpartition(".")
    fields = {field: meaning for field, meaning in meanings.items() if field.rpartition(".")[0] == group}
    if group and fields:
        match = _match_field(last, fields)
        return f"did you mean {match!r}?" if match else _list_fields(group, fields)
    inside = {field: meaning for field, meaning in meanings.items() if field.startswith(f"{name}.")}
    if inside:
        return _list_fields(name, inside)
    if difflib.get_close_matches(name, meanings, n=1, cutoff=0.6):
        return suggest_name(name, meanings)
    match = _match_field(last, meanings)
    return f"did you mean {match!r}?" if match else suggest_name(name, meanings)


def _match_field(last: str, meanings: Mapping[str, str]) -> str | None:
    """Return the field with a similar last component, or whose description contains the words of the name."""
    by_component = {field.rpartition(".")[2]: field for field in meanings}
    similar = difflib.get_close_matches(last, by_component, n=1, cutoff=0.8)
    words = re.findall(r"[a-z]+", last.lower())
    described = [field for field, meaning in meanings.items() if words and _contains_words(meaning, words)]
    if not similar and described:
        phrase = " ".join(words)
        return max(described, key=lambda field: difflib.SequenceMatcher(None, phrase, meanings[field].lower()).ratio())
    similar = similar or difflib.get_close_matches(last, by_component, n=1, cutoff=0.6)
    return by_component[similar[0]] if similar else None


def _contains_words(meaning: str, words: Iterable[str]) -> bool:
    return set(words) <= set(re.findall(r"[a-z]+", meaning.lower()))


def _list_fields(group: str, meanings: Mapping[str, str]) -> str:
    """Return a list of the fields of a group, one per line."""
    width = max(map(len, meanings))
    lines = [f"{field:{width}}  {meaning}".rstrip() for field, meaning in meanings.items()]
    return f"name a field of {group}:" + "".join(f"\n            {line}" for line in lines)
