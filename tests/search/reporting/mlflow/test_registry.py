"""The champion of a tracking server is loaded from it, and served by its alias, without this project."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

import search.ui
from datasets.rooms.dataset import Dataset
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.models import CHAMPION
from search.reporting.mlflow.store import MlflowStore
from search.saved_models import read_model
from tests.e2e.services import free_port, mlflow_server, running
from tests.search.saved_searches import train_searches
from trainables.prediction import Recording

pytestmark = pytest.mark.slow  # a tracking server, and a server of a model


def draw_wave(dataset: Dataset) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return three rendered mixtures one after the other, shape (samples, channels)."""
    waves = dataset.open_split("validate").read_batch(np.arange(3)).waves.numpy()  # (mixtures, arrays, mics, samples)
    return np.ascontiguousarray(waves.transpose(0, 3, 1, 2).reshape(-1, waves.shape[1] * waves.shape[2]))


def predict_directly(
    model: Path, wave: np.ndarray[Any, np.dtype[np.float32]], changed: Mapping[str, float]
) -> list[dict[str, float]]:
    """Return the rows that `search.predict` writes."""
    saved = read_model(model)
    recording = Recording("mixtures", len(wave), lambda first, count: wave[first : first + count])
    prediction = saved.load_predictor("cpu").predict(recording, {**saved.inference_params, **changed})
    return [dict(zip(prediction.columns, row, strict=True)) for row in prediction.rows]


@contextmanager
def served_champion(tracking_uri: str, name: str, folder: Path) -> Iterator[str]:
    """Serve a champion with MLflow's command in another folder; yield the address for predictions."""
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONSAFEPATH": "1",
    }
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{name}@{CHAMPION}"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    with running(command, folder / "serve.log", signal.SIGKILL, cwd=folder, env=environment):
        yield f"http://127.0.0.1:{port}/invocations"


def ask(address: str, content: Mapping[str, object]) -> Any:
    """Return the answer of a server that may still be starting."""
    request = urllib.request.Request(address, json.dumps(content).encode(), {"Content-Type": "application/json"})
    end = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        except urllib.error.URLError:
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.5)


def test_a_champion_on_a_tracking_server_is_served_by_its_alias(
    tiny: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = train_searches(tiny, tmp_path / "runs").localizer.results
    first, second = (results.model_path(number) for number in (0, 1))
    wave, changed = draw_wave(tiny), {"threshold": 0.0}
    (tmp_path / "elsewhere").mkdir()
    with mlflow_server(tmp_path / "mlflow", free_port()) as uri:
        logger = MlflowLogger(MlflowStore.from_uri(tmp_path / "runs", uri), "room")
        run_id = logger.open_run(None, "winner", {}, {"role": "search"})
        assert run_id is not None
        for model in (first, second, second):
            logger.register_model(run_id, "room", model, "Winner.")
        logger.close()
        assert logger.problems == []
        client = MlflowClient(uri)
        assert {int(version.version) for version in client.search_model_versions("name = 'room'")} == {1, 2}
        champion = client.get_model_version_by_alias("room", CHAMPION)
        assert (int(champion.version), champion.run_id) == (2, run_id)
        for version, model in ((1, first), (2, second)):  # of one run, as of a winner that was trained on
            source = client.get_model_version("room", str(version)).source
            assert source is not None
            kept = client.download_artifacts(run_id, f"{source.rpartition('/')[2]}/data/model.pt", str(tmp_path))
            assert Path(kept).read_bytes() == model.read_bytes()
        assert search.ui.main(["room", "--tracking-uri", uri]) == 0
        assert f"room\n  {uri}/#/experiments/" in capsys.readouterr().out
        assert search.ui.main(["rooms", "--tracking-uri", uri]) == 2
        assert "did you mean 'room'" in capsys.readouterr().err
        with served_champion(uri, "room", tmp_path / "elsewhere") as address:
            answer = ask(address, {"inputs": wave.tolist(), "params": changed})
            with pytest.raises(AssertionError, match="3"):  # channels
                ask(address, {"inputs": wave[:, :3].tolist()})
    expected = predict_directly(second, wave, changed)
    assert {row["frame"] for row in answer["predictions"]} == {0, 1, 2}
    for row, other in zip(answer["predictions"], expected, strict=True):
        assert row == pytest.approx(other)
