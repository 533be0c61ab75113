"""Recorded noise: samples contain sections of the file, each split its own part; files that cannot be used are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy import signal

from datasets.acoustics.arrays import SAMPLE_RATE_HZ
from datasets.rooms.dataset import build_dataset
from datasets.rooms.plan import RoomPlan
from datasets.rooms.recorded_noise import sibling_place
from datasets.rooms.spec import RoomSpec
from runtime.errors import InputError

SECONDS = 12
CHANNELS = 8
SIZES = {"train": 6, "validate": 5, "tests": {"S0": 4}, "excerpts": 8, "excerpt_s": 1, "snr_db": 10}
SHARES = {"train": (0.0, 0.6), "validate": (0.6, 0.8), "S0": (0.8, 1.0)}


def write_noise(path: Path, seed: int = 0, **changes: Any) -> NDArray[np.float64]:
    """Write noise whose level differs between channels; return it, shape (frames, channels)."""
    values = {"rate": SAMPLE_RATE_HZ, "seconds": SECONDS, "channels": CHANNELS} | changes
    frames = int(values["rate"] * values["seconds"])
    noise = 0.1 * np.random.default_rng(seed).standard_normal((frames, values["channels"]))
    noise *= np.linspace(0.5, 1.5, values["channels"])
    soundfile.write(path, noise, values["rate"], subtype="FLOAT")
    return noise


def plan(folder: Path, **changes: Any) -> RoomPlan:
    values = SIZES | {"noise": "recorded", "noise_file": str(folder / "noise.wav")} | changes
    return RoomPlan.from_spec(RoomSpec.model_validate(values), "space.yaml: dataset.music")


def folders(made: RoomPlan) -> dict[str, str]:
    return {part.split: part.folder for part in made.list_parts() if part.split is not None}


def waves_of(made: RoomPlan, root: Path) -> dict[str, NDArray[np.float64]]:
    dataset = build_dataset(made, root)
    opened = {name: dataset.open_split(name) for name in SHARES}
    return {name: split.read_batch(np.arange(len(split))).waves.double().numpy() for name, split in opened.items()}


def test_the_noise_of_a_sample_is_a_section_from_the_part_of_its_split(tmp_path: Path) -> None:
    recorded = write_noise(tmp_path / "noise.wav")
    noisy = waves_of(plan(tmp_path), tmp_path / "noisy")
    clean = waves_of(plan(tmp_path, noise="white", snr_db=None), tmp_path / "clean")
    for split, (low, high) in SHARES.items():
        begin, end = (int(share * len(recorded)) for share in (low, high))
        for added in (noisy[split] - clean[split]).reshape(-1, CHANNELS, noisy[split].shape[-1]):
            loudest = signal.correlate(recorded[begin:end, -1], added[-1], "valid")
            start = begin + int(np.argmax(loudest))
            section = recorded[start : start + added.shape[-1]].T
            for channel, expected in zip(added, section, strict=True):
                assert np.corrcoef(channel, expected)[0, 1] > 0.999  # 16 bits of the stored samples
            gains = np.sqrt(np.square(added).mean(-1) / np.square(section).mean(-1))
            assert gains == pytest.approx(gains.mean(), rel=0.01)  # levels between microphones are kept


def test_the_level_is_that_of_the_recording_on_average(tmp_path: Path) -> None:
    write_noise(tmp_path / "noise.wav")
    noisy = waves_of(plan(tmp_path), tmp_path / "noisy")["train"]
    clean = waves_of(plan(tmp_path, noise="white", snr_db=None), tmp_path / "clean")["train"]
    ratio = np.square(clean).mean((1, 2, 3)) / np.square(noisy - clean).mean((1, 2, 3))
    assert 10 * np.log10(ratio) == pytest.approx(10.0, abs=0.5)


def test_the_identity_is_the_content_of_the_file_for_the_splits_that_use_it(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    write_noise(tmp_path / "noise.wav")
    write_noise(tmp_path / "other" / "noise.wav")
    changes: dict[str, Any] = {"train": {"samples": 6, "noise": "white"}}
    before = folders(plan(tmp_path, **changes))
    assert folders(plan(tmp_path / "other", **changes)) == before
    write_noise(tmp_path / "noise.wav", seed=1)
    after = folders(plan(tmp_path, **changes))
    assert {name for name in before if before[name] != after[name]} == {"validate", "S0"}
    white = plan(tmp_path, **changes)
    assert folders(white.with_spec(white.spec.with_changes({"train.noise": "recorded"})))["train"] != after["train"]


def test_a_dataset_whose_variants_may_use_the_file_is_another_one_with_another_file(tmp_path: Path) -> None:
    write_noise(tmp_path / "noise.wav")
    before = plan(tmp_path, noise="white")
    write_noise(tmp_path / "noise.wav", seed=1)
    after = plan(tmp_path, noise="white")
    assert before.fingerprint != after.fingerprint
    assert folders(before) == folders(after)  # nothing is rendered again


def test_an_offset_is_no_noise(tmp_path: Path) -> None:
    recorded = write_noise(tmp_path / "noise.wav")
    soundfile.write(tmp_path / "noise.wav", recorded + 0.3, SAMPLE_RATE_HZ, subtype="FLOAT")
    clean = waves_of(plan(tmp_path, noise="white", snr_db=None), tmp_path / "clean")["train"]
    added = waves_of(plan(tmp_path), tmp_path / "noisy")["train"] - clean
    ratio = np.square(clean).mean((1, 2, 3)) / added.var(-1).mean((1, 2))
    assert 10 * np.log10(ratio) == pytest.approx(10.0, abs=0.5)


@pytest.mark.parametrize(
    ("changes", "rule", "value"),
    [
        ({"channels": 4}, "a channel per microphone, 8", "4 channels"),
        ({"rate": 8000}, "sample rate of at least 16000 Hz", "8000 Hz"),
        ({"seconds": 2}, "must last 10 s at least", "2.0 s"),
    ],
)
def test_a_recording_that_cannot_be_used_is_refused(
    changes: dict[str, Any], rule: str, value: str, tmp_path: Path
) -> None:
    write_noise(tmp_path / "noise.wav", **changes)
    with pytest.raises(InputError, match=rule) as raised:
        plan(tmp_path)
    assert raised.value.place == "space.yaml: dataset.noise_file"
    assert value in str(raised.value)


@pytest.mark.parametrize("level", [0.0, 0.2])
def test_a_dead_microphone_is_refused_with_its_place_and_the_split(tmp_path: Path, level: float) -> None:
    noise = write_noise(tmp_path / "noise.wav")
    noise[int(0.8 * len(noise)) :, 5] = level  # an offset is no sound
    soundfile.write(tmp_path / "noise.wav", noise, SAMPLE_RATE_HZ, subtype="FLOAT")
    with pytest.raises(InputError, match="must have heard something") as raised:
        plan(tmp_path)
    assert "microphone 1 of array 1, in the part for tests" in str(raised.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must exist"):
        plan(tmp_path)


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("my.space.yaml: dataset.train.music", "my.space.yaml: dataset.train.bank"),
        ("dataset.music", "dataset.bank"),
        ("--audio", "dataset.bank"),
    ],
)
def test_the_place_of_another_field_is_in_the_same_dataset(location: str, place: str) -> None:
    assert sibling_place(location, "bank") == place
