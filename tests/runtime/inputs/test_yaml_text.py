"""Strict YAML: doubled keys, ambiguous values, encodings, and documents that would exhaust memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.errors import InputError
from runtime.inputs.yaml_text import MAX_BYTES, find_comment, parse_yaml, read_text

BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "place", "lines"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml: a", (1, 3)),
        ("a:\n  b: 1\n  c: 2\n  b: 3", "f.yaml: a.b", (2, 4)),
        ("a:\n- {x: 1,\n   x: 2}", "f.yaml: a.x", (2, 3)),
        ("1: a\n'1': b", "f.yaml: 1", (1, 2)),
        ("a: &x {c: 1}\nb:\n  <<: *x\n  <<: *x", "f.yaml: b.<<", (3, 4)),
    ],
)
def test_a_doubled_key_is_refused_with_both_lines(text: str, place: str, lines: tuple[int, int]) -> None:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "f.yaml")
    assert caught.value.place == f"{place}, line {lines[1]}"
    assert f"line {lines[0]} and in line {lines[1]}" in caught.value.rule


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no: 1\non: 2\n3: 4\n~: 5\n2024-01-01: 6", {"no": 1, "on": 2, "3": 4, "~": 5, "2024-01-01": 6}),
        ("[2024-11-25, 2001-12-14t21:59:43.10-05:00, 1:30, 12:30:45.5]", None),
        ("[1e-3, 1E5, .5e3, 1.e3, -2e+1, 1.5]", [0.001, 100000.0, 500.0, 1000.0, -20.0, 1.5]),
        ("[1_000, 0x10, 0b11, -7, 0, 1_0.5]", [1000, 16, 3, -7, 0, 10.5]),
        ("['1e3', \"5\", 1-2]", ["1e3", "5", "1-2"]),
        ("[yes, no, on, off, true, y]", [True, False, True, False, True, "y"]),
        ("a: &x {c: 1, d: 2}\nb: {<<: *x, d: 3}", {"a": {"c": 1, "d": 2}, "b": {"c": 1, "d": 3}}),
        ("\ufeffa: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("# nothing", None),
    ],
)
def test_values_are_read_without_surprises(text: str, value: Any) -> None:
    if text.startswith("[2024"):
        value = text[1:-1].split(", ")
    assert parse_yaml(text, "f.yaml") == value


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 010", "a, line 1", "write 10"),
        ("a:\n  b: [1, -007]", "a.b, line 2", "write -7"),
        ("a: 1e400", "a, line 1", "finite"),
        ("a:\n\tb: 1", "line 2", "indent with spaces"),
        ("a: 1\n---\nb: 2", "line 2", "one document"),
        ("a: &a [*a]", "f.yaml", "at most 50 levels"),
        ("[" * 5000, "f.yaml", "at most 50 levels"),
        (BOMB, "f.yaml", "aliases of aliases"),
        ("? [a, b]\n: 1", "line 1", "a key must be text"),
        ("a: !!python/object:os.system x", "a, line 1", "remove the tag"),
        ("a: !!timestamp 2024-01-01", "a, line 1", "remove the tag"),
        ("a: !!int word", "f.yaml", "usual form"),
        ("a: " + "9" * 6000, "f.yaml", "usual form"),
        ("a: *b", "line 1", "undefined alias"),
        ("a: \x01", "f.yaml", "special characters"),
    ],
)
def test_what_is_ambiguous_or_dangerous_is_refused(text: str, place: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "f.yaml")
    assert place in caught.value.place
    assert words in str(caught.value)


@pytest.mark.parametrize("written", ["2024-11-25", "2024", "1e3", "0x10", "010", "1_000", "on", "1:30"])
def test_plain_values_are_text_where_text_is_expected(written: str) -> None:
    assert parse_yaml(f"name: {written}", "f", is_text=lambda path: path == ("name",)) == {"name": written}


def test_a_comment_after_a_value_is_found() -> None:
    assert find_comment("Music #1") == "#1"
    assert find_comment("[1, 2] # two") == "# two"
    assert find_comment("# all") == "# all"
    assert not any(map(find_comment, ["a#b", "'Music #1'", "", "{a: 1}", "[1"]))


def test_text_in_utf_16_is_read_and_other_encodings_are_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_bytes("name: café".encode("utf-16"))
    assert read_text(path, "file") == "name: café"
    path.write_bytes("a: 1\nname: café".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8") as caught:
        read_text(path, "file")
    assert caught.value.place == f"{path}, line 2"


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{MAX_BYTES:,}"):
        read_text(Path("/dev/zero"), "file")
