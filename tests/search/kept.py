"""Small models as searches keep them, for tests of what is done with them afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from datasets import sources
from datasets.building.arrow import Dataset
from datasets.scenes.provider import SceneProvider
from runtime.storage import Store
from search.execution.trial import Job, TrialRun
from search.results import SearchFolder
from search.study.study import Study
from spaces.schema import Budget, Space, Value
from tests.contracts.cases import CASES, SCENES, scenes
from tests.search.support import space


@dataclass(frozen=True)
class Kept:
    """Searches under one storage folder.

    Attributes:
        localizer: Two trials of an epoch.
        doanet: A trial of an epoch.
        hnet: Likewise.
    """

    localizer: Job
    doanet: Job
    hnet: Job


def train(tiny: Dataset, storage: Path) -> Kept:
    """Train them, an epoch each."""
    room = _space("localizer", dataset=tiny.spec, inner={"threshold": (0.2, 0.3)}, objectives=(("f1_1m", "maximize"),))
    localizer = Job(room, SearchFolder(storage, "room"), sources.prepare_dataset(tiny.spec, "tests"), tiny.store)
    scenes(Path(tiny.store.uri))  # made once for all tests
    tracked = _space("doanet", dataset=SCENES, inner={"threshold": (0.45, 0.5)}, objectives=(("lr", "maximize"),))
    store = Store(str(Path(tiny.store.uri) / "scenes"))
    doanet = Job(tracked, SearchFolder(storage, "scenes"), SceneProvider.from_spec(SCENES, "tests"), store)
    drawn = CASES["hnet"].data
    assert drawn is not None
    matrices = drawn(storage)
    network = _space("hnet", dataset=matrices, inner={}, objectives=(("exact", "maximize"),))
    hnet = Job(network, SearchFolder(storage, "hnet"), sources.prepare_dataset(matrices, "tests"), tiny.store)
    for job, trials in ((localizer, 2), (doanet, 1), (hnet, 1)):
        _search(job, trials)
    return Kept(localizer, doanet, hnet)


def _space(trainable: str, **changes: object) -> Space:
    fixed: dict[str, Value] = {
        name: value for name, value in CASES[trainable].base.items() if not callable(value) and name != "optimizer.lr"
    }
    rates = [d for d in space().search if d.name == "optimizer.lr"]
    made = space(trainable=trainable, fixed=fixed, search=tuple(rates), start=(), baseline={"optimizer.lr": 1e-4})
    return replace(made, name=trainable, budget=Budget(trials=2, epochs=1), **changes)  # type: ignore[arg-type]


def _search(job: Job, trials: int) -> None:
    """What a launch does, without Ray: the study knows of every epoch."""
    job.folder.write_identity(job.space.identity())
    study = Study(job.folder.journal_path, job.space)
    for number in range(trials):
        trial = study.next_trial()
        assert trial is not None
        study.record_epoch(number, TrialRun(job, number, trial.parameters, 0, "cpu").next_epoch())
        study.end_trial(number, "finished", "")
