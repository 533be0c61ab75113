"""Networks are exported as files that compute what the model computes, or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from datasets.rooms.dataset import Dataset
from search import package
from search.prediction import network_files, speed
from search.prediction.formats import FORMATS
from search.saved_models import read_model
from tests.search.saved_searches import SavedSearches, train_searches
from trainables.localizer.config import LocalizerConfig
from trainables.localizer.predictor import LocalizerPredictor
from trainables.localizer.trainable import Localizer
from trainables.prediction import ExportableNetwork

pytestmark = pytest.mark.slow  # the tracing and compiling of networks

_LOAD = """
import json, sys, torch
files = {"soundsweep.json": ""}
module = torch.export.load(sys.argv[1], extra_files=files).module()
outputs = module(torch.load(sys.argv[2]))
torch.save(outputs, sys.argv[3])
print(json.dumps([json.loads(files["soundsweep.json"])["trainable"], "trainables" in sys.modules]))
"""


@pytest.fixture(scope="module")
def searches(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> SavedSearches:
    return train_searches(tiny, tmp_path_factory.mktemp("packaged"))


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_WARM_UPS", 1)
    monkeypatch.setattr(speed, "_MOST", 5)


@pytest.mark.parametrize("file_format", list(FORMATS))
@pytest.mark.parametrize("name", ["localizer", "doanet"])
def test_a_file_agrees_with_its_model(
    searches: SavedSearches, name: str, file_format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = getattr(searches, name).results.root_path
    path = tmp_path / FORMATS[file_format]
    assert package.main([str(folder), "--format", file_format, "-o", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "agrees   largest difference" in shown
    assert "allowed 1e-05 + 0.0001 of the value; batches of 1, 2 and" in shown
    assert "real-time factor" in shown
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("file_format", list(FORMATS))
def test_phase_differences_are_part_of_the_file(
    searches: SavedSearches, tiny: Dataset, file_format: str, tmp_path: Path
) -> None:
    small = {"width": 8, "tail_width": 8, "decoder_width": 16}
    config = LocalizerConfig.model_validate(
        {"representation": "rg", "encoder": "single", "features": {"kind": "ipd", "gain": "rms"}, "network": small}
    )
    weights = Localizer(config, tiny, device="cpu", seed=0, epochs=1).weights()
    network = LocalizerPredictor.from_weights(config, weights, torch.device("cpu")).export_network()
    saved = read_model(searches.localizer.results.model_path(0))
    run = network_files.write_network(saved, network, file_format, tmp_path / FORMATS[file_format])
    assert network_files.compare_outputs(network, run)[1]


def test_a_program_is_loaded_without_this_project_and_finds_what_the_predictor_finds(
    searches: SavedSearches, tmp_path: Path
) -> None:
    model = searches.localizer.results.model_path(0)
    path = tmp_path / "network.pt2"
    assert package.main([str(model), "-o", str(path)]) == 0
    network = read_model(model).load_predictor("cpu").export_network()
    assert network is not None
    inputs = 0.1 * torch.randn(5, *network.examples.shape[1:])
    torch.save(inputs, tmp_path / "in.pt")
    command = [sys.executable, "-I", "-c", _LOAD, *map(str, (path, tmp_path / "in.pt", tmp_path / "out.pt"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == ["localizer", False]
    with torch.inference_mode():
        torch.testing.assert_close(torch.load(tmp_path / "out.pt"), network.module(inputs), rtol=1e-4, atol=1e-5)


def test_a_file_that_disagrees_is_not_written(
    searches: SavedSearches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load = network_files.TorchScript.load

    def load_wrongly(self: network_files.TorchScript, path: Path) -> network_files.RunNetwork:
        run = load(self, path)
        return lambda inputs: tuple(output + 0.01 for output in run(inputs))

    monkeypatch.setattr(network_files.TorchScript, "load", load_wrongly)
    path, model = tmp_path / "network.ts", searches.localizer.results.model_path(0)
    assert package.main([str(model), "--format", "torchscript", "-o", str(path)]) == 2
    assert "outputs of the file must agree with the model's" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_differences_of_shape_and_value_are_found() -> None:
    network = ExportableNetwork(torch.nn.Identity(), torch.ones(4, 3), 1.0, "x", ("x",))
    assert network_files.compare_outputs(network, lambda inputs: (inputs,)) == (0.0, True)
    difference, agrees = network_files.compare_outputs(network, lambda inputs: (inputs * 1.01,))
    assert not agrees
    assert difference == pytest.approx(0.01, rel=1e-3)
    assert not network_files.compare_outputs(network, lambda inputs: (inputs[:, :1],))[1]


def test_a_missing_package_is_named(
    searches: SavedSearches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    model = str(searches.localizer.results.model_path(0))
    assert package.main([model, "--format", "onnx", "-o", str(tmp_path / "network.onnx")]) == 2
    assert "pip install -c constraints.txt -e '.[onnx]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_predictor_and_an_existing_file_are_refused(
    searches: SavedSearches, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert package.main([str(searches.hnet.results.model_path(0)), "-o", str(tmp_path / "a.pt2")]) == 2
    assert "must have a predictor" in capsys.readouterr().err
    (tmp_path / "a.pt2").write_text("mine")
    assert package.main([str(searches.localizer.results.model_path(0)), "-o", str(tmp_path / "a.pt2")]) == 2
    assert (tmp_path / "a.pt2").read_text() == "mine"


def test_speed_is_the_median_with_its_deciles() -> None:
    times = iter([0.0, *(value for i in range(5) for value in (i, i + 0.001 * (i + 1)))])
    assert speed.measure_speed(lambda: None, lambda: next(times)).median_s == pytest.approx(0.003)
