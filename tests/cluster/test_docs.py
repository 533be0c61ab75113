"""Command lines of docs/cluster.md that can be checked without a cluster."""

from __future__ import annotations

import re
import shlex

import pytest
from ray.scripts.scripts import cli

from search import launch
from tests.cluster.lab import ROOT

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")


def launches() -> list[list[str]]:
    """Return the arguments of every search on the page."""
    commands = re.findall(r"python -m search\.launch((?:\s+(?!')[^\s']+)+)", PAGE)
    return [shlex.split(words) for words in commands]


@pytest.mark.parametrize("words", launches(), ids=" ".join)
def test_launch_accepts_the_searches(words: list[str]) -> None:
    assert launch.build_parser().parse_args(words).space.name == "rg_rep.yaml"


def test_the_page_has_searches() -> None:
    assert len(launches()) == 2


def test_ray_has_the_commands_of_the_page() -> None:
    commands = set(
        re.findall(r"(?:^|[ `=])ray (up|down|exec|attach|submit|dashboard|job|status|get-auth-token)\b", PAGE)
    )
    assert commands == {"up", "down", "exec", "attach", "submit", "dashboard", "job", "status", "get-auth-token"}
    assert commands <= set(cli.commands)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?:deploy|search|spaces)/[\w.]+\.\w+", PAGE))))
def test_the_files_named_on_the_page_exist(path: str) -> None:
    assert (ROOT / path).is_file()
