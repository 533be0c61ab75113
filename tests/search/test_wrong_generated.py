"""Generated wrong space files and command lines are answered with place, rule and remedy, and change nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from search.launch import main
from tests.search.test_launch import snapshot
from tests.search.wrong_generated import GENERATED, SPACES, GeneratedCase
from tests.search.wrong_inputs import ROOT, pydantic_phrases

PHRASES = pydantic_phrases()


def check_answer(case: GeneratedCase, status: int, printed: str) -> None:
    assert status == 2, printed
    first, _, rest = printed.partition("\n")
    assert first.startswith("error: ")
    assert case.place in first
    assert "  rule:   " in rest
    assert "  remedy: " in rest
    assert "Traceback" not in printed
    assert not [phrase for phrase in PHRASES if phrase in printed.lower()]


@pytest.mark.parametrize("case", GENERATED, ids=lambda case: case.name)
def test_generated_mistakes_are_answered_and_change_nothing(
    case: GeneratedCase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = case.command(tmp_path)
    before = snapshot(tmp_path)
    status = main(command)
    printed = capsys.readouterr()
    assert printed.out == ""
    check_answer(case, status, printed.err)
    assert snapshot(tmp_path) == before


def test_there_are_two_hundred_of_them_in_every_space() -> None:
    assert len(GENERATED) >= 200
    assert {case.name.partition(":")[0] for case in GENERATED} == {path.stem for path in SPACES}
    assert len({case.name for case in GENERATED}) == len(GENERATED)


@pytest.mark.parametrize("case", GENERATED[::60], ids=lambda case: case.name)
def test_a_sample_is_answered_by_the_command(case: GeneratedCase, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "search.launch", *case.command(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    check_answer(case, done.returncode, done.stderr)
