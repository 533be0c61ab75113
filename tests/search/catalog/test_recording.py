"""The space of a search is read from its record, also from that of an earlier version."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from search.catalog.reading import SearchRecord, read_record
from search.catalog.recording import read_space
from search.launch import build_parser, prepare_experiment
from search.launching.export import write_launched_space
from search.record import main
from tests.search.catalog.planted import plant_search
from tests.search.plain_search import write
from tests.search.support import SPACE


def read(storage: Path, name: str) -> SearchRecord:
    return read_record(argparse.Namespace(storage=str(storage), study=None, cache=None), name)


def test_the_space_of_an_earlier_version_is_that_of_its_identity(tmp_path: Path) -> None:
    plant_search(tmp_path)
    space = read_space(read(tmp_path, "toy"))
    assert space.identity() == SPACE.identity() | {"stopping": space.stopping.identity()}
    assert (space.name, space.budget.trials) == ("toy", SPACE.budget.trials)


def test_a_launched_space_is_read_again_as_it_was_with_its_options(tmp_path: Path) -> None:
    path = write(tmp_path, profiles={"short": {"budget": {"epochs": 3}}})
    arguments = [str(path), "--profile", "short", "--set", "y=0.75", "--name", "renamed", "--trials", "7"]
    experiment = prepare_experiment(build_parser().parse_args([*arguments, "--storage", str(tmp_path)]))
    experiment.results.write_identity(experiment.space.identity(), tmp_path)
    write_launched_space(experiment)
    space = read_space(read(tmp_path, "renamed"))
    assert space.identity() == experiment.space.identity()
    assert space.fixed["y"] == 0.75
    assert (space.budget.trials, space.budget.epochs, space.stopping) == (7, 3, experiment.space.stopping)
    assert str(tmp_path) in experiment.results.space_path.read_text()


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [(["nothing"], "the search must exist"), (["empty"], "the search must have a trial")],
)
def test_mistakes_are_refused_with_their_rule(
    arguments: list[str], rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = plant_search(tmp_path, "empty")
    folder.journal_path.unlink()
    assert main([*arguments, "--storage", str(tmp_path)]) == 2
    assert rule in capsys.readouterr().err
