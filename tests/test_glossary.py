"""Identifiers that the glossary lists as retired are not used again."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["runtime", "datasets", "trainables", "spaces", "search", "benchmarks", "deploy", "examples", "docs"]
PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")


def identifiers_of_columns(*columns: int) -> set[str]:
    """Code spans of some columns of the table under "Retired identifiers"."""
    rows = [
        line.split("|") for line in PAGE.partition("## Retired identifiers")[2].splitlines() if line.startswith("| `")
    ]
    return {name for row in rows for column in columns for name in re.findall(r"`([^`]+)`", row[column])}


def retired_identifiers() -> set[str]:
    return identifiers_of_columns(1, 3)


def identifiers(path: Path) -> Iterator[tuple[str, int]]:
    """Names of the module, its folder, its classes, functions, parameters and import aliases, with their lines."""
    yield from ((path.stem, 1), (path.parent.name, 1))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname, 1


def test_the_list_is_read() -> None:
    assert {"Tracker", "blueprint", "TrialRun", "without_secrets"} <= retired_identifiers()
    assert "MlflowLogger" not in retired_identifiers()


def test_a_retired_identifier_is_found(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("class _Tracker:\n    def suggest(self, picture): ...\n")
    assert {"_Tracker", "picture"} <= {name for name, _ in identifiers(path)}


def test_their_replacements_exist() -> None:
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    code = " ".join(f"{path.stem} {path.read_text(encoding='utf-8')}" for path in paths)
    assert [name for name in identifiers_of_columns(2, 4) if not re.search(rf"\b_?{name}\b", code)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_retired_identifier_is_used(package: str) -> None:
    retired = retired_identifiers()
    used = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for name, line in identifiers(path)
        if name.lstrip("_") in retired
    ]
    assert used == []
