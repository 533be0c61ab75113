"""Datasets that trials request are built once, and a trial waits for nothing else."""

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


class Executor:
    """Executor that builds shards in this process, counts them, and may be held up or fail."""

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
def executor() -> Executor:
    return Executor()


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    spec = RoomSpec.model_validate({"train": 6, "validate": 4, "tests": {"S0": 4}, "excerpts": 8, "excerpt_s": 1})
    searched = space(dataset=spec, search=(Dimension("dataset.train.snr_db", "choice", choices=(20, 60)),))
    return Experiment(
        searched, prepare_dataset(spec, "tests"), SearchFolder(tmp_path, "toy"), storage_at(str(tmp_path / "data"))
    )


def wait_for(supplier: DatasetSupplier, parameters: Mapping[str, Value]) -> None:
    assert supplier._thread is not None
    supplier._thread.join(30)
    assert supplier.is_ready(parameters)


def test_a_dataset_is_made_once_however_often_it_is_asked_for(experiment: Experiment, executor: Executor) -> None:
    printed: list[str] = []
    supplier = DatasetSupplier(
        experiment, Builder(experiment.dataset_storage, over=executor.over), print_line=printed.append
    )
    supplier.ensure_dataset(experiment.dataset)
    assert supplier.is_ready(OWN)
    assert len(executor.made) == 1 + 3  # music, and a shard a split
    executor.go_on.clear()
    assert [supplier.is_ready(NOISY) for _ in range(5)] == [False] * 5
    assert supplier.is_ready(OWN)  # trials that need no other data continue
    executor.go_on.set()
    wait_for(supplier, NOISY)
    assert all(supplier.is_ready(NOISY) for _ in range(5))
    assert len(executor.made) == 4 + 1  # its training split alone
    assert executor.made[-1].startswith("train-")
    assert executor.threads == {"MainThread", "data"}
    assert experiment.dataset_for(NOISY).missing_bytes(experiment.dataset_storage) == {}
    assert [text.split(": ")[0] for text in printed] == [f"data     {experiment.dataset_for(NOISY).fingerprint}"] * 2


def test_a_second_dataset_waits_for_the_first(experiment: Experiment, executor: Executor) -> None:
    supplier = DatasetSupplier(experiment, Builder(experiment.dataset_storage, over=executor.over))
    supplier.ensure_dataset(experiment.dataset)
    executor.go_on.clear()
    assert not supplier.is_ready(NOISY)
    assert not supplier.is_ready(QUIET)
    executor.go_on.set()
    wait_for(supplier, NOISY)
    assert experiment.dataset_for(QUIET).missing_bytes(experiment.dataset_storage)
    assert not supplier.is_ready(QUIET)
    wait_for(supplier, QUIET)


def test_what_lies_there_from_before_is_not_made_again(experiment: Experiment, executor: Executor) -> None:
    for parameters in (OWN, NOISY):
        experiment.dataset_for(parameters).build(Builder(experiment.dataset_storage))
    supplier = DatasetSupplier(experiment, Builder(experiment.dataset_storage, over=executor.over))
    supplier.ensure_dataset(experiment.dataset)
    assert not supplier.is_ready(NOISY)  # it has yet to be looked at
    wait_for(supplier, NOISY)
    assert executor.made == []
    reported: list[float] = []
    supplier.report_seconds(experiment.dataset_for(NOISY), reported.append)
    assert reported == []


def test_the_time_a_dataset_took_is_told_once(experiment: Experiment, executor: Executor) -> None:
    supplier = DatasetSupplier(experiment, Builder(experiment.dataset_storage, over=executor.over))
    supplier.ensure_dataset(experiment.dataset)
    reported: list[float] = []
    for _ in range(2):
        supplier.report_seconds(experiment.dataset, reported.append)
    supplier.report_seconds(experiment.dataset_for(NOISY), reported.append)
    assert len(reported) == 1
    assert reported[0] > 0


def test_what_goes_wrong_beside_the_trials_is_raised_where_they_are_started(
    experiment: Experiment, executor: Executor
) -> None:
    supplier = DatasetSupplier(
        experiment, Builder(experiment.dataset_storage), Builder(experiment.dataset_storage, over=executor.over)
    )
    supplier.ensure_dataset(experiment.dataset)
    executor.fails = True
    assert not supplier.is_ready(NOISY)
    assert supplier._thread is not None
    supplier._thread.join(30)
    for parameters in (NOISY, OWN):
        with pytest.raises(InputError, match="a rule"):
            supplier.is_ready(parameters)


def test_what_goes_wrong_at_first_is_raised_at_once(experiment: Experiment, executor: Executor) -> None:
    executor.fails = True
    with pytest.raises(InputError, match="a rule"):
        DatasetSupplier(experiment, Builder(experiment.dataset_storage, over=executor.over)).ensure_dataset(
            experiment.dataset
        )
