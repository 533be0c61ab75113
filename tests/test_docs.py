"""The documentation agrees with the code: paths, commands, the generated reference, and the site."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from docs import generate_reference

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
FOLDERS = ("runtime", "datasets", "trainables", "spaces", "search", "benchmarks", "deploy", "examples", "docs", "tests")
_PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`")
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
_INCLUDE = re.compile(r'^--8<-- "(examples/[\w./-]+)"$')
_MODULE = re.compile(r"python -m ((?:search|datasets|benchmarks|docs|examples)[\w.]*)")


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_paths_and_links_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [path for path in _PATH.findall(text) if not (ROOT / path).exists()]
    missing += [
        link for link in _LINK.findall(text) if not link.startswith("mailto") and not (page.parent / link).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_commands_exist(page: Path) -> None:
    modules = set(_MODULE.findall(page.read_text(encoding="utf-8")))
    assert [name for name in modules if importlib.util.find_spec(name.rstrip(".")) is None] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "tutorial").glob("*.md")), ids=label)
def test_included_files_exist_and_the_formatter_leaves_the_markers(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    includes = [line for line in lines if line.startswith("--8")]
    files = [match[1] for line in includes if (match := _INCLUDE.match(line))]
    assert len(files) == len(includes), includes
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_the_reference_is_up_to_date() -> None:
    page = generate_reference.build_page()
    assert generate_reference.PAGE.read_text(encoding="utf-8") == page, "run python -m docs.generate_reference"


def test_every_field_of_the_reference_has_a_meaning() -> None:
    rows = [line for line in generate_reference.build_page().splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.endswith("|  |")] == []


def test_a_default_that_depends_on_a_field_is_given_for_each_value() -> None:
    assert "| `grid.cells` | integer | `81` (tg), `81` (hm), `6` (rg) |" in generate_reference.build_page()


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "decisions").glob("*.md")), ids=label)
def test_a_decision_has_number_status_and_date(page: Path) -> None:
    number = int(page.name[:3])
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(f"# {number}. ")
    assert re.fullmatch(r"Status: \w+ · Date: \d{4}-\d\d-\d\d", lines[2])


def test_the_tutorial_gives_the_length_of_its_examples() -> None:
    rows = re.findall(
        r"^\| `(examples/\S+)` \| .* \| (\d+) \|$", (ROOT / "docs/tutorial/own-data.md").read_text(), re.M
    )
    assert len(rows) == 4
    assert {path: len((ROOT / path).read_text().splitlines()) for path, _ in rows} == {path: int(n) for path, n in rows}


def test_the_citation_names_both_papers() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert [paper["authors"][0]["family-names"] for paper in citation["references"]] == ["Le Moing", "Adavanne"]


def test_the_readme_shows_how_to_use_it_on_the_first_screen() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert lines.index("## Use") < 30
    assert sum(line.startswith("| ") for line in lines) <= 1 + 8  # the header and eight rows


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "optimizer.lr" in (tmp_path / "reference.html").read_text(encoding="utf-8")
    assert "expit" in (tmp_path / "tutorial" / "trainable.html").read_text(encoding="utf-8")  # the code of an example
