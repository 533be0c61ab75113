"""Registered models are loaded and served without this project, and registered once per model."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from datasets.rooms.dataset import Dataset
from search.reporting.mlflow_logger import MlflowLogger
from search.reporting.mlflow_models import CHAMPION, save_package
from search.reporting.mlflow_store import MlflowStore
from search.saved_models import read_model
from tests.search.saved_searches import SavedSearches, train_searches
from trainables.doanet.trainable import Doanet
from trainables.hnet.trainable import Hnet
from trainables.localizer.trainable import Localizer
from trainables.registry import has_predictor
from trainables.served_model import load_served_model

pytestmark = pytest.mark.slow  # MLflow's database, and other processes

_LOAD = """
import json, sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in str(finder).lower()]  # this project's installation
import mlflow.pyfunc, numpy
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
import trainables
try:
    import search
except ImportError:
    search = None
table = model.predict(numpy.load(sys.argv[3]))
print(json.dumps({"code": trainables.__file__, "search": search is not None, "rows": table.to_dict("records")}))
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


def test_the_champion_is_loaded_where_this_project_is_not_and_registered_once(
    searches: SavedSearches, tmp_path: Path
) -> None:
    store = MlflowStore.from_uri(tmp_path, None)
    models = [searches.localizer.results.model_path(number) for number in (0, 1)]
    logger = MlflowLogger(store, "room")
    run_id = logger.open_run(None, "winner", {}, {})
    assert run_id is not None
    for model in (models[0], models[0], models[1]):
        logger.register_model(run_id, "room", model, "Trial 0.")
    logger.close()
    assert logger.problems == []
    client = MlflowClient(store.uri)
    assert client.get_model_version_by_alias("room", CHAMPION).version == 2  # the same model is one version
    np.save(tmp_path / "samples.npy", draw_samples(models[1]))
    arguments = [store.uri, f"models:/room@{CHAMPION}", str(tmp_path / "samples.npy")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", _LOAD, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    assert not answer["search"]
    assert "mlartifacts" in answer["code"]
    expected = load_served_model(models[1]).predict(draw_samples(models[1])).to_dict("records")
    assert answer["rows"] == expected
    assert expected


def test_a_served_doanet_answers_over_http_as_the_model_does(searches: SavedSearches, tmp_path: Path) -> None:
    model = searches.doanet.results.model_path(0)
    save_package(model, tmp_path / "packed")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(tmp_path / "packed")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen(
        [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        samples = draw_samples(model)
        answer = ask(f"http://127.0.0.1:{port}/invocations", {"inputs": samples.tolist()})
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    expected = load_served_model(model).predict(samples).to_dict("records")
    assert len(answer["predictions"]) == len(expected)
    for row, other in zip(answer["predictions"], expected, strict=True):
        assert row == pytest.approx(other)


def ask(address: str, content: dict[str, Any]) -> Any:
    """Return the answer of a server that may still be starting."""
    request = urllib.request.Request(address, json.dumps(content).encode(), {"Content-Type": "application/json"})
    for _ in range(120):
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError):
                raise AssertionError(error.read().decode()) from error
            time.sleep(0.5)
    raise AssertionError("the server does not answer")


def test_samples_of_another_array_are_refused(searches: SavedSearches) -> None:
    model = load_served_model(searches.localizer.results.model_path(0))
    with pytest.raises(ValueError, match=r"shape \(5000, 3\) instead of \(samples, 8\)"):
        model.predict(np.zeros((5000, 3), np.float32))
    with pytest.raises(ValueError, match="100 samples are fewer than"):
        model.predict(np.zeros((100, 8), np.float32))


def test_inference_parameters_may_be_changed(searches: SavedSearches) -> None:
    path = searches.localizer.results.model_path(0)
    model, samples = load_served_model(path), draw_samples(path)
    assert len(model.predict(samples, {"threshold": 1.0})) == 0
    assert len(model.predict(samples, {"threshold": 0.0})) > 0
    assert read_model(path).inference_params["threshold"] > 0


def test_a_model_that_cannot_be_registered_is_a_problem_and_no_failure(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"not a model")
    logger = MlflowLogger(MlflowStore.from_uri(tmp_path, None), "broken")
    run_id = logger.open_run(None, "winner", {}, {})
    assert run_id is not None
    logger.register_model(run_id, "broken", tmp_path / "model.pt", "")
    logger.close()
    assert len(logger.problems) == 1
