"""Datasets that trials ask for are made once, and a trial waits for nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from datasets.building import builder
from datasets.building.builder import Builder
from datasets.building.manifest import ShardEntry
from datasets.building.parts import Shard
from datasets.building.plan import WriteShard
from datasets.registry import prepare_dataset
from datasets.rooms.spec import RoomSpec
from runtime.errors import InputError
from runtime.storage import storage_at
from search.execution.dataset_provider import DatasetSupplier
from search.experiment import Experiment
from search.results import SearchFolder
from spaces.schema import Dimension, Value
from tests.search.support import space

NOISY: Mapping[str, Value] = {"dataset.train.snr_db": 20}
QUIET: Mapping[str, Value] = {"dataset.train.snr_db": 60}
OWN: Mapping[str, Value] = {"optimizer.lr": 1e-3}


class Hall:
    """Makes shards where it is told to, counts them, and may be held up or fail."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.threads: set[str] = set()
        self.go_on = threading.Event()
        self.go_on.set()
        self.fails = False

    def over(self, factory: Callable[[], WriteShard], shards: Sequence[Shard]) -> Iterator[ShardEntry]:
        assert self.go_on.wait(30)
        self.threads.add(threading.current_thread().name)
        if self.fails:
            raise InputError("dataset", "a rule", remedy="a remedy")
        for entry in builder.build_in_process(factory, shards):
            self.made.append(entry.name)
            yield entry


@pytest.fixture
def hall() -> Hall:
    return Hall()


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    spec = RoomSpec.model_validate({"train": 6, "validate": 4, "tests": {"S0": 4}, "excerpts": 8, "excerpt_s": 1})
    searched = space(dataset=spec, search=(Dimension("dataset.train.snr_db", "choice", choices=(20, 60)),))
    return Experiment(
        searched, prepare_dataset(spec, "tests"), SearchFolder(tmp_path, "toy"), storage_at(str(tmp_path / "data"))
    )


def wait_for(supply: DatasetSupplier, parameters: Mapping[str, Value]) -> None:
    assert supply._thread is not None
    supply._thread.join(30)
    assert supply.is_ready(parameters)


def test_a_dataset_is_made_once_however_often_it_is_asked_for(experiment: Experiment, hall: Hall) -> None:
    said: list[str] = []
    supply = DatasetSupplier(experiment, Builder(experiment.dataset_storage, over=hall.over), print_line=said.append)
    supply.ensure_dataset(experiment.dataset)
    assert supply.is_ready(OWN)
    assert len(hall.made) == 1 + 3  # music, and a shard a split
    hall.go_on.clear()
    assert [supply.is_ready(NOISY) for _ in range(5)] == [False] * 5
    assert supply.is_ready(OWN)  # whoever needs no other data goes on meanwhile
    hall.go_on.set()
    wait_for(supply, NOISY)
    assert all(supply.is_ready(NOISY) for _ in range(5))
    assert len(hall.made) == 4 + 1  # its training split alone
    assert hall.made[-1].startswith("train-")
    assert hall.threads == {"MainThread", "data"}
    assert experiment.dataset_for(NOISY).missing_bytes(experiment.dataset_storage) == {}
    assert [text.split(": ")[0] for text in said] == [f"data     {experiment.dataset_for(NOISY).fingerprint}"] * 2


def test_a_second_dataset_waits_for_the_first(experiment: Experiment, hall: Hall) -> None:
    supply = DatasetSupplier(experiment, Builder(experiment.dataset_storage, over=hall.over))
    supply.ensure_dataset(experiment.dataset)
    hall.go_on.clear()
    assert not supply.is_ready(NOISY)
    assert not supply.is_ready(QUIET)
    hall.go_on.set()
    wait_for(supply, NOISY)
    assert experiment.dataset_for(QUIET).missing_bytes(experiment.dataset_storage)
    assert not supply.is_ready(QUIET)
    wait_for(supply, QUIET)


def test_what_lies_there_from_before_is_not_made_again(experiment: Experiment, hall: Hall) -> None:
    for parameters in (OWN, NOISY):
        experiment.dataset_for(parameters).build(Builder(experiment.dataset_storage))
    supply = DatasetSupplier(experiment, Builder(experiment.dataset_storage, over=hall.over))
    supply.ensure_dataset(experiment.dataset)
    assert not supply.is_ready(NOISY)  # it has yet to be looked at
    wait_for(supply, NOISY)
    assert hall.made == []
    told: list[float] = []
    supply.report_seconds(experiment.dataset_for(NOISY), told.append)
    assert told == []


def test_the_time_a_dataset_took_is_told_once(experiment: Experiment, hall: Hall) -> None:
    supply = DatasetSupplier(experiment, Builder(experiment.dataset_storage, over=hall.over))
    supply.ensure_dataset(experiment.dataset)
    told: list[float] = []
    for _ in range(2):
        supply.report_seconds(experiment.dataset, told.append)
    supply.report_seconds(experiment.dataset_for(NOISY), told.append)
    assert len(told) == 1
    assert told[0] > 0


def test_what_goes_wrong_beside_the_trials_is_raised_where_they_are_started(experiment: Experiment, hall: Hall) -> None:
    supply = DatasetSupplier(
        experiment, Builder(experiment.dataset_storage), Builder(experiment.dataset_storage, over=hall.over)
    )
    supply.ensure_dataset(experiment.dataset)
    hall.fails = True
    assert not supply.is_ready(NOISY)
    assert supply._thread is not None
    supply._thread.join(30)
    for parameters in (NOISY, OWN):
        with pytest.raises(InputError, match="a rule"):
            supply.is_ready(parameters)


def test_what_goes_wrong_at_first_is_raised_at_once(experiment: Experiment, hall: Hall) -> None:
    hall.fails = True
    with pytest.raises(InputError, match="a rule"):
        DatasetSupplier(experiment, Builder(experiment.dataset_storage, over=hall.over)).ensure_dataset(
            experiment.dataset
        )
