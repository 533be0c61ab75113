"""Small searches with saved models, for tests of commands that use them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from datasets.registry import prepare_dataset
from datasets.rooms.dataset import Dataset
from datasets.scenes.provider import SceneProvider
from runtime.storage import storage_at
from search.execution.trial import TrialRunner
from search.experiment import Experiment
from search.results import SearchFolder
from search.study.study import Study
from spaces.schema import Budget, Space, Value
from tests.contracts.cases import CASES, SCENES, scenes
from tests.search.support import space


@dataclass(frozen=True)
class SavedSearches:
    """Searches under one storage folder.

    Attributes:
        localizer: Search with two trials of one epoch.
        doanet: Search with one trial of one epoch.
        hnet: Search with one trial of one epoch.
    """

    localizer: Experiment
    doanet: Experiment
    hnet: Experiment


def train_searches(tiny: Dataset, storage: Path) -> SavedSearches:
    """Run the three searches without Ray."""
    localizer_space = _space(
        "localizer", dataset=tiny.spec, inner={"threshold": (0.2, 0.3)}, objectives=(("f1_1m", "maximize"),)
    )
    localizer = Experiment(
        localizer_space, prepare_dataset(tiny.spec, "tests"), SearchFolder(storage, "room"), tiny.store
    )
    scenes(Path(tiny.store.uri))  # built once for all tests
    doanet_space = _space("doanet", dataset=SCENES, inner={"threshold": (0.45, 0.5)}, objectives=(("lr", "maximize"),))
    store = storage_at(str(Path(tiny.store.uri) / "scenes"))
    doanet = Experiment(doanet_space, SceneProvider.from_spec(SCENES, "tests"), SearchFolder(storage, "scenes"), store)
    make_data = CASES["hnet"].data
    assert make_data is not None
    matrices = make_data(storage)
    hnet_space = _space("hnet", dataset=matrices, inner={}, objectives=(("exact", "maximize"),))
    hnet = Experiment(hnet_space, prepare_dataset(matrices, "tests"), SearchFolder(storage, "hnet"), tiny.store)
    for experiment, trials in ((localizer, 2), (doanet, 1), (hnet, 1)):
        _run_search(experiment, trials)
    return SavedSearches(localizer, doanet, hnet)


def _space(trainable: str, **changes: object) -> Space:
    fixed: dict[str, Value] = {
        name: value for name, value in CASES[trainable].base.items() if not callable(value) and name != "optimizer.lr"
    }
    rates = [d for d in space().search if d.name == "optimizer.lr"]
    changed = space(trainable=trainable, fixed=fixed, search=tuple(rates), start=(), baseline={"optimizer.lr": 1e-4})
    return replace(changed, name=trainable, budget=Budget(trials=2, epochs=1), **changes)  # type: ignore[arg-type]


def _run_search(experiment: Experiment, trials: int) -> None:
    """Train and record trials of one epoch as a launch does, but without Ray."""
    experiment.results.write_identity(experiment.space.identity())
    study = Study(experiment.results.journal_path, experiment.space)
    for number in range(trials):
        trial = study.next_trial()
        assert trial is not None
        study.record_epoch(number, TrialRunner(experiment, number, trial.parameters, 0, "cpu").next_epoch())
        study.end_trial(number, "finished", "")
