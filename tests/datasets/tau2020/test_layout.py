"""Recordings on disk: what is written is read again, and what is wrong with a folder is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.tau2020.layout import Format, RecordingFolder, RecordingName, write_recording
from runtime.errors import InputError

RATE_HZ = 24_000
ROWS = np.array([[0, 1, 0, 30, 10], [3, 2, 0, -170, -5]])
NAMES = [RecordingName.from_stem(f"fold{fold}_room{room}_mix001_ov1") for fold, room in ((1, 10), (1, 2), (3, 1))]


def noise(samples: int = 2_400, seed: int = 0) -> np.ndarray:
    """Four channels on the steps of 16 bit."""
    steps = np.random.default_rng(seed).integers(-(2**15), 2**15, (4, samples))
    return (steps / 2**15).astype(np.float32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, name in enumerate(NAMES):
        write_recording(tmp_path, name, foa=noise(seed=seed), mic=noise(seed=seed + 10), rows=ROWS)
    return tmp_path


@pytest.mark.parametrize(
    ("stem", "fields"),
    [
        ("fold1_room1_mix001_ov1", (1, 1, "001", 1, False)),
        ("fold6_room10_mix100_ov2", (6, 10, "100", 2, False)),
        ("fold3_room2_aug001025_ov1", (3, 2, "001025", 1, True)),
        ("mix190", (0, 0, "190", 0, False)),
        ("fold1_room1_mix001", (1, 1, "001", 0, False)),  # TAU-NIGENS 2021
        ("fold4_room23_mix012", (4, 23, "012", 0, False)),  # STARSS22 and STARSS23
    ],
)
def test_a_name_is_read_and_written(stem: str, fields: tuple[int, int, str, int, bool]) -> None:
    name = RecordingName.from_stem(stem)
    assert (name.fold, name.room, name.mix, name.overlap, name.augmented) == fields
    assert name.file_stem == stem


@pytest.mark.parametrize(
    "stem",
    [
        "",
        "fold1_room1_mix001_ov",
        "fold01_room1_mix001_ov1",
        "fold1_room1_mix001_ov1_2",
        "fold1_roomA_mix1_ov1",
        "aug1",
    ],
)
def test_any_other_name_is_refused(stem: str) -> None:
    with pytest.raises(InputError) as caught:
        RecordingName.from_stem(stem, "here")
    assert (caught.value.place, caught.value.value) == ("here", stem)


def test_what_was_written_is_read_again_sample_by_sample(root: Path) -> None:
    first: int
    fmt: Format
    for fmt, first in (("foa", 0), ("mic", 10)):
        recordings = RecordingFolder(root, fmt)
        for seed, name in enumerate(NAMES, first):
            audio = recordings.read_audio(name)
            assert (audio.shape, audio.dtype) == ((4, 1_440_000), np.float32)
            np.testing.assert_array_equal(audio[:, :2_400], noise(seed=seed))
            assert not audio[:, 2_400:].any()
            np.testing.assert_array_equal(recordings.read_labels(name), ROWS)


def test_the_files_are_those_of_the_data_set(root: Path) -> None:
    header = soundfile.info(root / "mic_dev" / "fold1_room10_mix001_ov1.wav")
    assert (header.channels, header.samplerate, header.subtype, header.format) == (4, RATE_HZ, "PCM_16", "WAV")
    assert sorted(path.name for path in (root / "metadata_dev").iterdir()) == sorted(
        f"{name.file_stem}.csv" for name in NAMES
    )


def test_recordings_are_listed_in_order_and_by_fold(root: Path) -> None:
    recordings = RecordingFolder(root)
    assert [name.room for name in recordings.list_names(folds=[1])] == [2, 10]
    assert recordings.list_names(folds=(3,)) == (NAMES[2],)
    assert recordings.list_names() == tuple(sorted(NAMES))


def test_longer_recordings_are_cut_at_60_s(tmp_path: Path) -> None:
    audio = np.zeros((4, 1_440_010), np.float32)
    audio[:, 1_439_999] = 0.5
    write_recording(tmp_path, NAMES[0], foa=audio, rows=ROWS)
    read = RecordingFolder(tmp_path).read_audio(NAMES[0])
    assert read.shape == (4, 1_440_000)
    assert (read[:, -1] == 0.5).all()


def test_the_evaluation_part_is_read_under_its_own_names(tmp_path: Path) -> None:
    name = RecordingName.from_stem("mix007")
    write_recording(tmp_path, name, mic=noise(), rows=ROWS, part="eval")
    assert RecordingFolder(tmp_path, "mic", "eval").list_names() == (name,)


def test_augmented_recordings_can_be_left_out_unseen(root: Path) -> None:
    name = RecordingName.from_stem("fold3_room1_aug001002_ov1")
    write_recording(root, name, foa=noise(), rows=ROWS)
    assert name in RecordingFolder(root).list_names()
    (root / "metadata_dev" / f"{name.file_stem}.csv").unlink()
    assert name not in RecordingFolder(root, augmented=False).list_names()
    with pytest.raises(InputError, match="has labels"):
        RecordingFolder(root)


def test_hidden_files_are_none_of_the_recordings(root: Path) -> None:
    (root / "foa_dev" / "._fold1_room2_mix001_ov1.wav").write_bytes(b"a Mac was here")
    assert len(RecordingFolder(root).list_names()) == 3


@pytest.mark.parametrize(
    ("audio", "rule"),
    [
        (np.full((4, 10), 1.01, np.float32), "within -1 and 1"),
        (np.full((4, 10), np.nan, np.float32), "within -1 and 1"),
        (np.zeros((2, 10), np.float32), "shape"),
        (np.zeros(10, np.float32), "shape"),
    ],
)
def test_what_would_be_clipped_is_not_written(tmp_path: Path, audio: np.ndarray, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        write_recording(tmp_path, NAMES[0], foa=audio, rows=ROWS)
    assert not list(tmp_path.rglob("*.*"))


def test_samples_are_rounded_to_the_nearest_step(tmp_path: Path) -> None:
    audio = np.random.default_rng(0).uniform(-0.9, 0.9, (4, 5_000)).astype(np.float32)
    write_recording(tmp_path, NAMES[0], foa=audio, rows=ROWS)
    error = (RecordingFolder(tmp_path).read_audio(NAMES[0])[:, :5_000] - audio) * 2**15
    assert np.abs(error).max() <= 0.501
    assert abs(error.mean()) < 0.02  # 1/√12 over √20 000 is 0.002


def test_full_scale_is_written_as_the_last_step(tmp_path: Path) -> None:
    write_recording(tmp_path, NAMES[0], foa=np.ones((4, 3), np.float32), rows=ROWS)
    assert (RecordingFolder(tmp_path).read_audio(NAMES[0])[:, :3] == 32_767 / 32_768).all()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def sound(samples: np.ndarray, rate_hz: int = RATE_HZ, subtype: str = "PCM_16") -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, samples.T, rate_hz, subtype=subtype)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (cut, "as long as its header says"),
        (lambda path: path.write_bytes(b""), "readable"),
        (lambda path: path.write_text("this is no sound" * 99), "readable"),
        (sound(noise()[:2]), "4 channels"),
        (sound(noise(), 48_000), "24000 samples per second"),
    ],
)
def test_a_spoilt_sound_file_is_named_at_opening(root: Path, spoil: Callable[[Path], None], rule: str) -> None:
    path = root / "foa_dev" / "fold1_room2_mix001_ov1.wav"
    spoil(path)
    with pytest.raises(InputError) as caught:
        RecordingFolder(root)
    assert caught.value.place == str(path)
    assert rule in caught.value.rule
    RecordingFolder(root, "mic")


def test_a_file_that_is_spoilt_later_is_named_when_it_is_read(root: Path) -> None:
    recordings = RecordingFolder(root)
    path = root / "foa_dev" / "fold1_room2_mix001_ov1.wav"
    path.unlink()
    with pytest.raises(InputError, match="readable"):
        recordings.read_audio(NAMES[1])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_named(root: Path, value: float) -> None:
    samples = noise()
    samples[2, 77] = value
    path = root / "foa_dev" / "fold1_room2_mix001_ov1.wav"
    sound(samples, subtype="FLOAT")(path)
    with pytest.raises(InputError) as caught:
        RecordingFolder(root).read_audio(NAMES[1])
    assert caught.value.place == str(path)
    assert "finite" in caught.value.rule


@pytest.mark.parametrize(
    ("here", "missing"), [("foa_dev/{}.wav", "metadata_dev/{}.csv"), ("metadata_dev/{}.csv", "foa_dev/{}.wav")]
)
def test_a_file_without_its_other_half_is_named(root: Path, here: str, missing: str) -> None:
    stem = "fold1_room10_mix001_ov1"
    (root / missing.format(stem)).unlink()
    with pytest.raises(InputError) as caught:
        RecordingFolder(root)
    assert caught.value.place == str(root / here.format(stem))
    assert str(root / missing.format(stem)) in str(caught.value.value)


def test_a_stray_file_is_named(root: Path) -> None:
    stray = root / "foa_dev" / "notes.wav"
    stray.write_bytes(b"")
    with pytest.raises(InputError) as caught:
        RecordingFolder(root)
    assert caught.value.place == str(stray)


@pytest.mark.parametrize("folder", ["foa_dev", "metadata_dev"])
def test_a_missing_folder_is_named(root: Path, folder: str) -> None:
    (root / folder).rename(root / "elsewhere")
    with pytest.raises(InputError) as caught:
        RecordingFolder(root)
    assert caught.value.place == str(root / folder)
