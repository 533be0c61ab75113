"""Registered models are loaded without this project, and registered once per model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from datasets.rooms.dataset import Dataset
from search.reporting.mlflow.champion import register_winner
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.models import CHAMPION, save_package
from search.reporting.mlflow.store import MlflowStore
from search.saved_models import read_model
from search.study.study import Study
from tests.e2e.services import free_port, mlflow_server
from tests.search.saved_searches import SavedSearches, train_searches
from trainables.doanet.trainable import Doanet
from trainables.hnet.trainable import Hnet
from trainables.localizer.trainable import Localizer
from trainables.registry import has_predictor
from trainables.served_model import load_served_model

pytestmark = pytest.mark.slow  # MLflow's database, and other processes

_LOAD = """
import importlib.metadata as metadata, json, re, sys
def plain(name): return re.sub("[-_.]+", "-", name).lower()
todo = [plain(re.match("[A-Za-z0-9_.-]+", line).group()) for line in open(sys.argv[3])]
required = set()
while todo:  # the requirements, and theirs
    name = todo.pop()
    if name not in required:
        required.add(name)
        try:
            needs = metadata.distribution(name).requires or []
        except metadata.PackageNotFoundError:  # for another system
            continue
        todo += [plain(re.match("[A-Za-z0-9_.-]+", need).group()) for need in needs if "extra ==" not in need]
carried = {"runtime", "datasets", "trainables"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in carried and top in owners and not any(plain(owner) in required for owner in owners[top]):
            raise ImportError(f"{top} is not among the requirements")
owners = metadata.packages_distributions()
sys.meta_path = [Absent(), *(finder for finder in sys.meta_path if "editable" not in str(finder).lower())]
import mlflow.pyfunc, numpy
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
import trainables
try:
    import search
except ImportError:
    search = None
samples = numpy.load(sys.argv[4])
rows = [model.predict(samples, params).to_dict("records") for params in (None, {"threshold": 1.0}, {"threshold": 0.0})]
print(json.dumps({"code": trainables.__file__, "search": search is not None, "rows": rows, "tags": model.metadata.metadata}))
"""


@pytest.fixture(scope="module")
def searches(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> SavedSearches:
    return train_searches(tiny, tmp_path_factory.mktemp("served"))


def draw_samples(model: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    sound = load_served_model(model).sound
    shape = (max(sound.least_samples, sound.rate_hz), sound.channels)
    return (0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


def test_what_predicts_from_recordings_can_be_registered() -> None:
    assert [has_predictor(kind) for kind in (Localizer, Doanet, Hnet)] == [True, True, False]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a tracking server through which artifacts pass, too."""
    with mlflow_server(tmp_path / "server", free_port()) as address:
        yield address


def register(store: MlflowStore, models: Sequence[Path]) -> MlflowClient:
    """Register models one after the other as champions of the search `room`."""
    logger = MlflowLogger(store, "room")
    run_id = logger.open_run(None, "winner", {}, {})
    assert run_id is not None
    for model in models:
        logger.register_model(run_id, "room", model, "Trial 0.", {"trial": "0", "mlflow_run": run_id})
    logger.close()
    assert logger.problems == []
    return MlflowClient(store.uri)


def load_elsewhere(store: MlflowStore, model: Path, folder: Path) -> Any:
    """Return what a process with nothing but the requirements of the model `room` loads and predicts."""
    save_package(model, folder / "packed")
    np.save(folder / "samples.npy", draw_samples(model))
    arguments = [
        store.uri,
        f"models:/room@{CHAMPION}",
        str(folder / "packed/requirements.txt"),
        str(folder / "samples.npy"),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", _LOAD, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_champion_is_loaded_where_this_project_is_not_and_registered_once(
    searches: SavedSearches, tmp_path: Path
) -> None:
    store = MlflowStore.from_uri(tmp_path, None)
    models = [searches.localizer.results.model_path(number) for number in (0, 1)]
    client = register(store, [models[0], models[0], models[1]])
    version = client.get_model_version_by_alias("room", CHAMPION)
    assert version.version == 2  # the same model is one version
    assert version.tags["mlflow_run"] == version.run_id
    answer = load_elsewhere(store, models[1], tmp_path)
    assert not answer["search"]
    assert "mlartifacts" in answer["code"]
    served, samples = load_served_model(models[1]), draw_samples(models[1])
    expected = served.predict(samples).to_dict("records")
    assert answer["rows"][0] == expected
    assert answer["rows"][1] == []  # parameters reach the model
    assert answer["rows"][2] == served.predict(samples, {"threshold": 0.0}).to_dict("records")


def test_a_doanet_is_loaded_from_a_tracking_server_with_times_angles_and_activity(
    searches: SavedSearches, tmp_path: Path, server: str
) -> None:
    model = searches.doanet.results.model_path(0)
    store = MlflowStore.from_uri(tmp_path, server)
    register(store, [model])
    rows = load_elsewhere(store, model, tmp_path)["rows"][2]
    assert set(rows[0]) == {"time_s", "track", "azimuth_deg", "elevation_deg", "activity"}
    frames = len(draw_samples(model)) // 2400
    assert {row["time_s"] for row in rows} == {round(frame * 0.1, 3) for frame in range(frames)}
    assert all(0 < row["activity"] <= 1 for row in rows)


def test_requirements_can_be_installed_from_an_index(searches: SavedSearches, tmp_path: Path) -> None:
    save_package(searches.localizer.results.model_path(0), tmp_path / "packed")
    lines = (tmp_path / "packed/requirements.txt").read_text().split()
    assert {"mlflow", "torch"} <= {line.partition("==")[0] for line in lines}
    assert not [line for line in lines if "+" in line or "==" not in line]  # a local version is in no index


def test_samples_of_another_array_are_refused(searches: SavedSearches) -> None:
    model = load_served_model(searches.localizer.results.model_path(0))
    with pytest.raises(ValueError, match=r"shape \(5000, 3\) instead of \(samples, 8\)"):
        model.predict(np.zeros((5000, 3), np.float32))
    with pytest.raises(ValueError, match="100 samples are fewer than"):
        model.predict(np.zeros((100, 8), np.float32))
    broken = np.zeros((5000, 8), np.float32)
    broken[123, 4] = np.nan
    with pytest.raises(ValueError, match="sample 123 is NaN or infinite"):
        model.predict(broken)


def test_inference_parameters_may_be_changed(searches: SavedSearches) -> None:
    path = searches.localizer.results.model_path(0)
    model, samples = load_served_model(path), draw_samples(path)
    assert len(model.predict(samples, {"threshold": 1.0})) == 0
    assert len(model.predict(samples, {"threshold": 0.0})) > 0
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\], and is 2"):
        model.predict(samples, {"threshold": 2.0})
    with pytest.raises(ValueError, match="treshold is no inference parameter of the model; it has threshold"):
        model.predict(samples, {"treshold": 0.5})
    assert read_model(path).inference_params["threshold"] > 0


def test_a_model_that_cannot_be_registered_is_a_problem_and_no_failure(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"not a model")
    logger = MlflowLogger(MlflowStore.from_uri(tmp_path, None), "broken")
    run_id = logger.open_run(None, "winner", {}, {})
    assert run_id is not None
    logger.register_model(run_id, "broken", tmp_path / "model.pt", "")
    logger.close()
    assert len(logger.problems) == 1


def test_a_winner_is_registered_with_its_scores_if_it_has_a_predictor(searches: SavedSearches, tmp_path: Path) -> None:
    store = MlflowStore.from_uri(tmp_path, None)
    logger = MlflowLogger(store, "winners")
    for experiment in (searches.localizer, searches.hnet):
        study = Study(experiment.results.journal_path, experiment.space)
        run_id = logger.open_run(None, "winner", {}, {})
        assert run_id is not None
        study.set_run_id(0, run_id)
        register_winner(experiment, study.get_trial(0), logger)
    logger.close()
    assert logger.problems == []
    client = MlflowClient(store.uri)
    version = client.get_model_version_by_alias("room", CHAMPION)
    assert version.tags.items() >= {"search": "room", "trial": "0", "trainable": "localizer"}.items()
    assert float(version.tags["validation.f1_1m"]) >= 0
    assert version.run_id in version.description
    assert [model.name for model in client.search_registered_models()] == ["room"]
