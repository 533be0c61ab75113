"""What the command says about recordings: tracks, what is unlike the training data, and conversions on request."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from scipy import signal

from datasets.rooms.dataset import Dataset
from search.predict import main
from tests.contracts.cases import one_after_the_other, scenes
from tests.search.saved_searches import SavedSearches, train_searches
from tests.search.test_predict import read_table


@pytest.fixture(scope="module")
def saved(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> SavedSearches:
    return train_searches(tiny, tmp_path_factory.mktemp("saved"))


def write_s0(path: Path, tiny: Dataset, change: Callable[[NDArray[np.float32]], NDArray[np.floating]]) -> None:
    """Write the samples of a test split one after the other, after a change."""
    split = tiny.open_split("S0")
    waves = one_after_the_other(split.read_batch(np.arange(len(split))).waves)
    soundfile.write(path, change(waves), 16_000, "FLOAT")


LOW_PASS = signal.butter(8, 2000, fs=16_000, output="sos")
CHANGES: dict[str, tuple[Callable[[NDArray[np.float32]], NDArray[np.floating]], tuple[str, ...]]] = {
    "matching": (lambda waves: waves, ()),
    "quiet": (lambda waves: 1e-3 * waves, ("quiet:",)),
    "low-passed": (lambda waves: signal.sosfilt(LOW_PASS, waves, axis=0), ("band-limited:",)),
    "noisy": (lambda waves: waves + np.random.default_rng(0).normal(0, 0.3, waves.shape), ("noisy:", "reverberation,")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_recording_unlike_the_training_data_gives_warnings(
    name: str, saved: SavedSearches, tiny: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, expected = CHANGES[name]
    write_s0(tmp_path / "s0.wav", tiny, change)
    model = shutil.copy(saved.localizer.results.model_path(0), tmp_path / "model.pt")
    assert main([str(model), str(tmp_path / "s0.wav")]) == 0
    warnings = [line for line in capsys.readouterr().out.splitlines() if "warning: " in line]
    assert bool(warnings) == bool(expected)
    for word in expected:
        assert any(f"unlike the training data, {word} " in line for line in warnings)
    content = torch.load(model, weights_only=True)
    content.pop("sound")
    torch.save(content, model)  # a model of an earlier version
    assert main([str(model), str(tmp_path / "s0.wav")]) == 0
    assert "warning: " not in capsys.readouterr().out


def test_trajectories_of_training_recordings_give_no_warnings_but_white_noise_does(
    saved: SavedSearches, tiny: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = scenes(Path(tiny.store.uri))
    wav = min((data.root / "foa_dev").glob("fold3_*.wav"))
    words = [str(saved.doanet.results.trial_path(0)), "--to", str(tmp_path)]
    assert main([*words, str(wav)]) == 0
    assert "warning: " not in capsys.readouterr().out
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, (240_000, 4)), 24_000)
    assert main([*words, str(tmp_path / "noise.wav")]) == 0
    assert "unlike the training data, noisy: " in capsys.readouterr().out


def test_tracks_are_summarised_as_in_the_table(
    saved: SavedSearches, tiny: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = one_after_the_other(tiny.open_split("S0").read_batch(np.arange(1)).waves)
    soundfile.write(tmp_path / "long.wav", np.tile(sample, (10, 1)), 16_000, "FLOAT")
    words = [str(saved.localizer.results.model_path(0)), str(tmp_path / "long.wav"), "--set", "threshold=0.2"]
    assert main(words) == 0
    rows = read_table(tmp_path / "long.predicted.csv")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  track ")]
    assert [line.split()[1] for line in lines] == [str(number) for number in range(min(10, int(rows[:, 6].max()) + 1))]
    x_m, y_m = rows[rows[:, 6] == 0][0, 3:5]
    assert f"x {x_m:.2f} m, y {y_m:.2f} m, spread 0.00 m, active 1.6 s from 0.0 to 1.6 s" in lines[0]


def test_channels_are_reordered_and_rates_changed_only_when_told(
    saved: SavedSearches, tiny: Dataset, tmp_path: Path
) -> None:
    model = str(saved.localizer.results.model_path(0))
    write_s0(tmp_path / "straight.wav", tiny, lambda waves: waves)
    order = [3, 1, 2, 0, 7, 6, 5, 4]
    write_s0(tmp_path / "mixed.wav", tiny, lambda waves: np.hstack([waves[:, np.argsort(order)], waves[:, :1]]))
    write_s0(tmp_path / "fast.wav", tiny, lambda waves: signal.resample_poly(waves, 3, 1))
    soundfile.write(tmp_path / "fast.wav", soundfile.read(tmp_path / "fast.wav")[0], 48_000, "FLOAT")
    assert main([model, str(tmp_path / "straight.wav"), "--set", "threshold=0.2"]) == 0
    expected = read_table(tmp_path / "straight.predicted.csv")
    words = ["--set", "threshold=0.2", "--channels", ",".join(map(str, order))]
    assert main([model, str(tmp_path / "mixed.wav"), *words]) == 0
    assert np.array_equal(read_table(tmp_path / "mixed.predicted.csv"), expected)
    assert main([model, str(tmp_path / "mixed.wav")]) == 2
    assert main([model, str(tmp_path / "fast.wav"), "--set", "threshold=0.2"]) == 2
    assert main([model, str(tmp_path / "fast.wav"), "--set", "threshold=0.2", "--resample"]) == 0
    resampled = read_table(tmp_path / "fast.predicted.csv")
    # The filter attenuates the highest frequencies: scores near the threshold may change.
    assert len(resampled) == pytest.approx(len(expected), rel=0.1)
    assert resampled[:, 0].max() == expected[:, 0].max()
