"""Saved models applied to recordings by the command: outputs, agreement with evaluation, and error messages."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from matplotlib import image
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from datasets.acoustics.directions import unit_vectors
from datasets.rooms.dataset import Dataset
from datasets.tau2020.labels import read_labels
from runtime.storage import storage_at
from search import saved_models
from search.execution.scoring import load_trial_model
from search.predict import main
from tests.contracts.cases import one_after_the_other, scenes
from tests.datasets import bucket
from tests.search.saved_searches import SavedSearches, train_searches
from tests.search.wrong_inputs import ROOT
from trainables.doanet.predictor import DoanetPredictor

NOISE = np.random.default_rng(0).normal(0, 0.05, (8_000, 8))


@pytest.fixture(scope="module")
def saved(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> SavedSearches:
    return train_searches(tiny, tmp_path_factory.mktemp("saved"))


def read_table(path: Path) -> NDArray[np.float64]:
    """Read the rows of a table with a header."""
    assert path.read_text().splitlines()[0] == "frame,time_s,source,x_m,y_m,score,track"
    return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)


def test_positions_agree_with_the_evaluation_of_the_same_sound(
    saved: SavedSearches, tiny: Dataset, tmp_path: Path
) -> None:
    split = tiny.open_split("S0")
    batch = split.read_batch(np.arange(len(split)))
    soundfile.write(tmp_path / "s0.wav", one_after_the_other(batch.waves), 16_000, "FLOAT")
    folder = saved.localizer.results
    assert main([str(folder.model_path(1)), str(tmp_path / "s0.wav"), "--set", "threshold=0.15"]) == 0
    rows = read_table(tmp_path / "s0.predicted.csv")
    matched, truths = 0, int(batch.counts.sum())
    for frame, positions in enumerate(batch.positions_m.double().numpy()):
        truth, predicted = positions[~np.isnan(positions).any(1)], rows[rows[:, 0] == frame][:, 3:5]
        near = np.linalg.norm(truth[:, None] - predicted, axis=-1) < 1.0
        matched += int((maximum_bipartite_matching(csr_array(near)) >= 0).sum()) if near.size else 0
    model, params = load_trial_model(saved.localizer, 1, "cpu")
    report = model.evaluate("S0", [{**params, "threshold": 0.15}])[0]
    assert 0 < matched < len(rows)
    assert report["recall_1m"] == pytest.approx(matched / truths)
    assert report["precision_1m"] == pytest.approx(matched / len(rows))


def test_trajectories_agree_with_the_evaluation_of_the_same_sound(
    saved: SavedSearches, tiny: Dataset, tmp_path: Path
) -> None:
    data = scenes(Path(tiny.store.uri))
    [wav] = sorted((data.root / "foa_dev").glob("fold1_*.wav"))
    model, _ = load_trial_model(saved.doanet, 0, "cpu")
    settings = [{"threshold": float(t)} for t in np.linspace(0.3, 0.7, 81)]
    reports = model.evaluate("test", settings)
    # The threshold with the most onsets of outputs is the hardest to count correctly.
    busiest = max(range(len(settings)), key=lambda n: reports[n]["ids_authors"])
    threshold, report = settings[busiest]["threshold"], reports[busiest]
    assert report["ids_authors"] > 1
    words = [str(saved.doanet.results.trial_path(0)), str(wav), "--to", str(tmp_path / "new"), "--set"]
    assert main([*words, f"threshold={threshold}"]) == 0
    rows = read_labels(tmp_path / "new" / f"{wav.stem}.predicted.csv")
    truth = read_labels(data.root / "metadata_dev" / f"{wav.stem}.csv")
    sound = torch.from_numpy(soundfile.read(wav, dtype="float32")[0].T.copy())[None]
    predictor = saved_models.read_model(saved.doanet.results.model_path(0)).load_predictor("cpu")
    assert isinstance(predictor, DoanetPredictor)
    is_active = predictor.predict_trajectories(sound, {"threshold": threshold}).sounding[0]
    assert np.array_equal(np.bincount(rows[:, 0], minlength=600), is_active.sum(1))
    events = np.bincount(truth[:, 0], minlength=600)
    pairs = np.minimum(is_active.sum(1), events).sum()
    assert report["ids_authors"] == (is_active[1:] & ~is_active[:-1]).sum()
    assert report["lr"] == pytest.approx(100 * pairs / events.sum())
    assert report["lp"] == pytest.approx(100 * pairs / is_active.sum())
    assert report["le"] == pytest.approx(best_angles_deg(rows, truth) / pairs, abs=0.5)  # labels are whole degrees
    assert set(rows[:, 1]) == {0}


def best_angles_deg(rows: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Return the sum over frames of the smallest angles between pairs, of at most two on each side."""
    total = 0.0
    for frame in range(600):
        predicted, true = (unit_vectors(*side[side[:, 0] == frame][:, 3:].T) for side in (rows, truth))
        if not (len(predicted) and len(true)):
            continue
        angle = np.degrees(np.arccos(np.clip(predicted @ true.T, -1, 1)))
        straight, crossed = np.trace(angle), np.trace(angle[::-1])
        total += angle.min() if 1 in angle.shape else min(straight, crossed)
    return float(total)


def test_the_folder_of_a_search_selects_its_winner_also_after_a_move(saved: SavedSearches, tmp_path: Path) -> None:
    trials = [saved.localizer.results.root_path / "trials" / name for name in ("0000", "0001")]
    scores = [
        load_trial_model(saved.localizer, n, "cpu")[0].evaluate("validate", [{"threshold": 0.2}, {"threshold": 0.3}])
        for n in (0, 1)
    ]
    best = max((0, 1), key=lambda n: max(report["f1_1m"] for report in scores[n]))
    moved = shutil.copytree(saved.localizer.results.root_path, tmp_path / "elsewhere")
    assert saved_models.find_model(saved.localizer.results.root_path) == trials[best] / "model.pt"
    assert saved_models.find_model(moved) == moved / "trials" / trials[best].name / "model.pt"
    assert saved_models.find_model(trials[0]) == trials[0] / "model.pt"


def test_a_model_in_a_bucket_gives_the_same_predictions(
    saved: SavedSearches, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound(seconds=1.0)(tmp_path)
    recording = str(tmp_path / "good.wav")
    model = saved.localizer.results.root_path / "trials" / "0001" / "model.pt"
    with bucket.serving() as server:
        server.buckets.add("results")
        storage_at(server.uri("results")).write_file("trials/0001/model.pt", model.read_bytes())
        for name in ("trials/0001", "trials/0001/model.pt"):
            assert main([server.uri(f"results/{name}"), recording, "--to", str(tmp_path / "there")]) == 0
        assert main([str(model), recording, "--to", str(tmp_path / "here")]) == 0
        assert main([server.uri("results/trials/0002"), recording]) == 2
    assert "a trial's folder" in capsys.readouterr().err
    tables = [(tmp_path / where / "good.predicted.csv").read_text() for where in ("here", "there")]
    assert tables[0] == tables[1]


def test_without_options_the_best_inference_params_on_validation_apply(
    saved: SavedSearches, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "noise.wav", NOISE, 16_000)
    _, params = load_trial_model(saved.localizer, 0, "cpu")
    words = [str(saved.localizer.results.model_path(0)), str(tmp_path / "noise.wav")]
    main(words)
    chosen = (tmp_path / "noise.predicted.csv").read_bytes()
    assert f"params   threshold {params['threshold']:g}\n" in capsys.readouterr().out
    main([*words, "--set", f"threshold={params['threshold']}"])
    assert (tmp_path / "noise.predicted.csv").read_bytes() == chosen
    main([*words, "--set", "threshold=1"])
    assert (tmp_path / "noise.predicted.csv").read_text() == "frame,time_s,source,x_m,y_m,score,track\n"
    assert chosen.count(b"\n") > 1


def test_each_recording_gets_a_table_and_a_plot(saved: SavedSearches, tmp_path: Path) -> None:
    for name in ("one", "two"):
        soundfile.write(tmp_path / f"{name}.flac", NOISE, 16_000)
    (tmp_path / "one.predicted.csv").write_text("an earlier table")
    (tmp_path / "one.csv").write_text("labels")
    assert main([str(saved.localizer.results.root_path), *(str(tmp_path / f"{n}.flac") for n in ("one", "two"))]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"one.flac", "two.flac", "one.csv"} | {
        f"{name}.predicted.{suffix}" for name in ("one", "two") for suffix in ("csv", "png")
    }
    assert (tmp_path / "one.csv").read_text() == "labels"
    assert np.array_equal(read_table(tmp_path / "one.predicted.csv"), read_table(tmp_path / "two.predicted.csv"))
    figure = image.imread(io.BytesIO((tmp_path / "one.predicted.png").read_bytes()), format="png")
    assert min(figure.shape[:2]) > 300


@dataclass(frozen=True)
class Case:
    """A wrong command line.

    Attributes:
        name: Description of the mistake.
        expected: Words of the error message.
        prepare: Function that makes a file of the test's folder invalid; the folder holds good.wav and the localizer's model.pt.
        model: Argument for the model.
        recordings: Arguments for the recordings.
        options: Further arguments.
    """

    name: str
    expected: tuple[str, ...]
    prepare: Callable[[Path], object] = lambda _: None
    model: str = "{tmp}/model.pt"
    recordings: tuple[str, ...] = ("{tmp}/good.wav",)
    options: tuple[str, ...] = ()


def sound(seconds: float = 1.0, channels: int = 8, rate_hz: int = 16_000) -> Callable[[Path], object]:
    """Return a function that replaces the good recording by noise of this format."""
    noise = np.random.default_rng(1).normal(0, 0.05, (round(seconds * rate_hz), channels))
    return lambda folder: soundfile.write(folder / "good.wav", noise, rate_hz)


def write_nan_at_the_end(folder: Path) -> None:
    noise = NOISE.copy()
    noise[-700, 3] = np.nan
    soundfile.write(folder / "good.wav", noise, 16_000, "FLOAT")


def truncate(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:9_000])


def with_content(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    """Return a function that changes the content of the model file."""

    def prepare(folder: Path) -> None:
        content = torch.load(folder / "model.pt", weights_only=True)
        change(content)
        torch.save(content, folder / "model.pt")

    return prepare


def with_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    return with_content(lambda content: change(content["weights"]))  # type: ignore[arg-type]


def write_search(folder: Path, journal: bytes | None) -> None:
    (folder / "toy").mkdir()
    (folder / "toy" / "space.json").write_text('{"objectives": [["f1_1m", "maximize"]]}')
    if journal is not None:
        (folder / "toy" / "study.journal").write_bytes(journal)


BROKEN_JOURNAL = b'17\n{"op_code": 0, "worker_id": "a", "study_name": "toy", "directions": [2]}\n'

BAD = [
    Case("no such model", ("nowhere.pt", "must exist"), model="{tmp}/nowhere.pt"),
    Case("an empty model", ("model.pt", "saved by a search"), lambda f: (f / "model.pt").write_bytes(b"")),
    Case("a text as the model", ("model.pt", "saved by a search"), lambda f: (f / "model.pt").write_text("network")),
    Case("noise as the model", ("model.pt",), lambda f: (f / "model.pt").write_bytes(os.urandom(5000))),
    Case("a recording as the model", ("good.wav", "saved by a search"), model="{tmp}/good.wav"),
    Case("a model cut short", ("model.pt", "saved by a search"), truncate("model.pt")),
    Case("a model without a Config", ("model.pt", "'config'"), with_content(lambda c: c.pop("config"))),
    Case(
        "a checkpoint", ("model.pt", "'trainable'"), lambda f: torch.save({"state": {}, "epochs": []}, f / "model.pt")
    ),
    Case("a list as the model", ("model.pt", "saved by a search"), lambda f: torch.save([1, 2], f / "model.pt")),
    Case(
        "an unknown trainable",
        ("model.pt: trainable", "no_such_package"),
        with_content(lambda c: c.update(trainable="no_such_package.x:Y")),
    ),
    Case(
        "a Config of another version",
        ("model.pt: config.depth", "version"),
        with_content(lambda c: c["config"].update(depth=3)),  # type: ignore[attr-defined]
    ),
    Case(
        "weights of another Config",
        ("model.pt", "corrupt"),
        with_content(lambda c: c["config"]["network"].update(width=8)),  # type: ignore[index]
    ),
    Case("a weight missing", ("model.pt", "corrupt"), with_weights(lambda w: w.popitem())),
    Case("a model without its room", ("room.size_m", "search again"), with_weights(lambda w: w.pop("room.size_m"))),
    Case("an empty folder as the model", ("hold a model", "model.pt"), lambda f: (f / "x").mkdir(), "{tmp}/x"),
    Case("a search with its study elsewhere", ("toy", "database"), lambda f: write_search(f, None), "{tmp}/toy"),
    Case(
        "a search that is being created", ("toy", "trial with a result"), lambda f: write_search(f, b"{\n"), "{tmp}/toy"
    ),
    Case(
        "broken records",
        ("study.journal: line 1", "op_code"),
        lambda f: write_search(f, BROKEN_JOURNAL),
        "{tmp}/toy",
    ),
    Case("a model without audio input", ("hnet.pt", "must have a predictor"), model="{tmp}/hnet.pt"),
    Case("no such recording", ("missing.wav", "existing file"), recordings=("{tmp}/missing.wav",)),
    Case("a folder as a recording", ("a folder", "wav"), recordings=("{tmp}",)),
    Case("an empty recording", ("good.wav", "empty"), lambda f: (f / "good.wav").write_bytes(b"")),
    Case("no sound in it", ("good.wav", "contain sound"), sound(seconds=0)),
    Case("a text as the recording", ("good.wav", "readable"), lambda f: (f / "good.wav").write_text("la la la")),
    Case("a recording cut short", ("good.wav", "as long as its header"), truncate("good.wav")),
    Case("NaN in it", ("good.wav", "finite"), write_nan_at_the_end),
    Case("another number of channels", ("good.wav", "8 channels", "4 microphones of each of 2"), sound(channels=4)),
    Case("one channel", ("good.wav", "'1 channel'"), sound(channels=1)),
    Case("another sample rate", ("good.wav", "16000", "44100 Hz", "--resample"), sound(rate_hz=44_100)),
    Case("too many channels", ("good.wav", "'10 channels'", "--channels 0,1,2,3,4,5,6,7"), sound(channels=10)),
    Case("too few channels chosen", ("--channels 1,0", "8 channels"), options=("--channels", "1,0")),
    Case("a channel that is not there", ("--channels", "channels 0 to 7"), options=("--channels", "1,2,3,4,5,6,7,8")),
    Case("a channel twice", ("--channels", "distinct"), options=("--channels", "0,1,2,3,4,5,6,6")),
    Case("words as channels", ("--channels", "3,1,2,0"), options=("--channels", "left,right")),
    Case("no channels", ("--channels", "distinct"), options=("--channels", "")),
    Case(
        "shorter than a window after resampling",
        ("good.wav", "160 ms"),
        sound(seconds=0.159, rate_hz=48_000),
        options=("--resample",),
    ),
    Case("shorter than a window", ("good.wav", "160 ms", "'100 ms'"), sound(seconds=0.1)),
    Case(
        "FOA of another rate",
        ("good.wav", "24000", "16000 Hz"),
        sound(channels=4),
        model="{tmp}/doanet.pt",
    ),
    Case("FOA needs four", ("good.wav", "4 channels", "W, Y, Z, X"), model="{tmp}/doanet.pt"),
    Case(
        "shorter than a frame",
        ("good.wav", "100 ms", "'90 ms'"),
        sound(0.09, 4, 24_000),
        model="{tmp}/doanet.pt",
    ),
    Case(
        "the second of two is wrong",
        ("other.wav", "8 channels"),
        lambda f: soundfile.write(f / "other.wav", NOISE[:, :2], 16_000),
        recordings=("{tmp}/good.wav", "{tmp}/other.wav"),
    ),
    Case("one twice", ("good.wav", "no two recordings"), recordings=("{tmp}/good.wav", "{tmp}/good.wav")),
    Case("no recording at all", ("recording", "see --help"), recordings=()),
    Case("an unknown parameter", ("--set treshold", "'threshold'"), options=("--set", "treshold=0.4")),
    Case("a field of the Config as a parameter", ("--set network.width",), options=("--set", "network.width=8")),
    Case("a parameter out of range", ("--set threshold", "[0, 1]"), options=("--set", "threshold=1.5")),
    Case("a word as a parameter", ("--set threshold", "[0, 1]"), options=("--set", "threshold=high")),
    Case("NaN as a parameter", ("--set threshold", "[0, 1]"), options=("--set", "threshold=.nan")),
    Case("a parameter without a value", ("--set", "dotted.name=value"), options=("--set", "threshold")),
    Case("an absent device", ("--device", "cuda:99"), options=("--device", "cuda:99")),
    Case("an unknown device", ("--device", "abacus"), options=("--device", "abacus")),
    Case("a file as the folder", ("good.wav", "--to"), options=("--to", "{tmp}/good.wav")),
    Case("a folder that cannot be written", ("/proc", "--to"), options=("--to", "/proc/predictions")),
    Case("a bucket", ("--to", "local folder"), options=("--to", "s3://bucket/predictions")),
    Case("a misspelt option", ("--too", "'--to'"), options=("--too", "x")),
]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_wrong_input_gives_an_error_and_writes_nothing(
    case: Case, saved: SavedSearches, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound()(tmp_path)
    for name, experiment in (("model", saved.localizer), ("doanet", saved.doanet), ("hnet", saved.hnet)):
        shutil.copy(experiment.results.model_path(0), tmp_path / f"{name}.pt")
    case.prepare(tmp_path)
    before = snapshot(tmp_path)
    words = [word.replace("{tmp}", str(tmp_path)) for word in (case.model, *case.recordings, *case.options)]
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert "rule:" in printed.err
    assert "remedy:" in printed.err
    for word in case.expected:
        assert word in printed.err
    assert snapshot(tmp_path) == before


def test_the_inputs_of_these_cases_are_valid_before_the_change(saved: SavedSearches, tmp_path: Path) -> None:
    sound()(tmp_path)
    assert main([str(saved.localizer.results.model_path(0)), str(tmp_path / "good.wav")]) == 0
    sound(0.1, 4, 24_000)(tmp_path)
    assert main([str(saved.doanet.results.model_path(0)), str(tmp_path / "good.wav")]) == 0


def test_as_a_command_it_exits_with_2_and_no_traceback(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "search.predict", str(tmp_path / "model.pt"), "x.wav"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
