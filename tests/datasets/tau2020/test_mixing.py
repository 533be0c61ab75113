"""Mixtures: which pairs, what is heard, what is labelled, and that an interrupted run is gone on with."""

from __future__ import annotations

import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.tau2020 import mixing
from datasets.tau2020.layout import Format, Recording, RecordingFolder, RecordingName, write_recording
from runtime.errors import InputError


def named(stem: str) -> RecordingName:
    return RecordingName.from_stem(stem)


def group(fold: int, room: int, count: int) -> list[RecordingName]:
    return [named(f"fold{fold}_room{room}_mix{number:03d}_ov1") for number in range(1, count + 1)]


def steps(samples: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(2**15), 2**15, (4, samples)).astype(np.int16)


def put(root: Path, stem: str, seed: int, rows: list[list[int]], formats: tuple[str, ...] = ("foa", "mic")) -> None:
    sounds = {fmt: (steps(48, seed + 100 * (fmt == "mic")) / 2**15).astype(np.float32) for fmt in formats}
    write_recording(root, named(stem), rows=np.array(rows), **sounds)  # type: ignore[arg-type]


def heard(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16", frames=48)[0].T.astype(int)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, "fold3_room1_mix001_ov1", 1, [[0, 4, 0, 10, 0], [2, 4, 1, 10, 0]])
    put(tmp_path, "fold3_room1_mix002_ov1", 2, [[0, 7, 0, -90, 5], [1, 7, 0, -90, 5], [2, 7, 0, -90, 5]])
    put(tmp_path, "fold3_room1_mix003_ov2", 3, [[0, 7, 0, 0, 0]])
    put(tmp_path, "fold1_room1_mix001_ov1", 4, [[0, 7, 0, 0, 0]])
    put(tmp_path, "fold1_room1_mix002_ov1", 5, [[0, 7, 0, 0, 0]])
    return tmp_path


def test_a_small_group_gives_every_pair_and_a_large_one_the_first_four_a_recording() -> None:
    small, large = group(4, 1, 5), group(4, 2, 25)
    pairs = mixing.plan_mixtures([*reversed(large), *small])
    assert pairs[:10] == list(combinations(small, 2))
    assert len(pairs) == 10 + 100  # 5 × 4 / 2 = 10 < 20, and 4 × 25 of 300
    assert pairs[10] == (large[0], large[1])
    # 24 + 23 + 22 + 21 pairs begin with the first four recordings, and the fifth adds 10.
    assert pairs[-1] == (large[4], large[14])


def test_fewer_mixtures_are_the_first_of_more() -> None:
    names = group(4, 1, 5) + group(4, 2, 25)
    assert mixing.plan_mixtures(names, 0) == []
    assert len(mixing.plan_mixtures(names, 1)) == 5 + 25
    assert set(mixing.plan_mixtures(names, 1)) < set(mixing.plan_mixtures(names, 2)) < set(mixing.plan_mixtures(names))


def test_only_training_recordings_without_overlap_are_mixed_and_only_within_a_room() -> None:
    others = ["fold1_room1_mix001_ov1", "fold2_room1_mix001_ov1", "fold7_room1_mix001_ov1", "mix001", "mix002"]
    kin = ["fold3_room1_mix001_ov1", "fold3_room2_mix001_ov1", "fold4_room1_mix001_ov1", "fold6_room1_mix002_ov1"]
    kin += ["fold3_room1_mix002_ov2", "fold3_room1_mix003_ov2", "fold3_room1_aug004005_ov1"]
    assert mixing.plan_mixtures(map(named, others + kin)) == []
    assert mixing.plan_mixtures(map(named, [*kin, "fold6_room1_mix009_ov1"])) == [
        (named("fold6_room1_mix002_ov1"), named("fold6_room1_mix009_ov1"))
    ]


def test_every_mixture_has_a_name_of_its_own() -> None:
    pairs = mixing.plan_mixtures(group(3, 1, 25) + group(3, 2, 25) + group(6, 10, 50))
    names = {mixing.mixture_name(pair).file_stem for pair in pairs}
    assert len(names) == len(pairs) == 100 + 100 + 200
    assert "fold6_room10_aug001050_ov1" in names


def test_two_waves_are_averaged_and_their_labels_joined() -> None:
    first = Recording(named("mix1"), np.full((4, 3), 0.5, np.float32), np.array([[1, 5, 2, 0, 0], [3, 5, 2, 0, 0]]))
    second = Recording(named("mix2"), np.full((4, 5), -1, np.float32), np.array([[0, 6, 0, 90, 0], [3, 6, 1, 90, 0]]))
    mixed = mixing.mix_audio(first, second, named("mix3"))
    np.testing.assert_array_equal(mixed.audio, np.tile([-0.25, -0.25, -0.25, -0.5, -0.5], (4, 1)))
    assert mixed.rows.tolist() == [[0, 6, 3, 90, 0], [1, 5, 2, 0, 0], [3, 5, 2, 0, 0], [3, 6, 4, 90, 0]]
    assert second.rows[:, 2].tolist() == [0, 1]


def test_silence_can_be_mixed() -> None:
    silent = Recording(named("mix1"), np.zeros((4, 2), np.float32), np.empty((0, 5), np.int64))
    sounding = Recording(named("mix2"), np.ones((4, 2), np.float32), np.array([[0, 1, 0, 0, 0]]))
    assert mixing.mix_audio(silent, sounding, named("mix3")).rows.tolist() == [[0, 1, 0, 0, 0]]


def test_mixtures_lie_beside_the_recordings_in_both_formats(root: Path) -> None:
    assert mixing.augment_folder(root) == 1
    name = named("fold3_room1_aug001002_ov1")
    fmt: Format
    for fmt, offset in (("foa", 0), ("mic", 100)):
        mixture = heard(root / f"{fmt}_dev" / f"{name.file_stem}.wav")
        mean = (steps(48, 1 + offset).astype(int) + steps(48, 2 + offset).astype(int)) / 2
        assert np.abs(mixture - mean).max() <= 0.5
        assert RecordingFolder(root, fmt).read_labels(name)[:, :4].tolist() == [
            [0, 4, 0, 10],
            [0, 7, 2, -90],
            [1, 7, 2, -90],
            [2, 4, 1, 10],
            [2, 7, 2, -90],
        ]
    assert len(RecordingFolder(root).list_names()) == 6


def test_a_single_format_is_enough_and_the_other_can_follow(tmp_path: Path) -> None:
    stems = ["fold5_room1_mix001_ov1", "fold5_room1_mix002_ov1"]
    for seed, stem in enumerate(stems):
        put(tmp_path, stem, seed, [[0, 0, 0, 0, 0]], ("foa",))
    mixing.augment_folder(tmp_path)
    assert not (tmp_path / "mic_dev").exists()
    for seed, stem in enumerate(stems):
        put(tmp_path, stem, seed, [[0, 0, 0, 0, 0]], ("mic",))
    mixing.augment_folder(tmp_path)
    assert named("fold5_room1_aug001002_ov1") in RecordingFolder(tmp_path, "mic").list_names()


def test_an_interrupted_run_is_gone_on_with(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        put(tmp_path, f"fold3_room1_mix00{number}_ov1", number, [[0, 0, 0, 0, 0]])
    calls: list[tuple[int, int]] = []

    def stop_after_two(done: int, total: int) -> None:
        calls.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mixing.augment_folder(tmp_path, "dev", stop_after_two)
    assert calls == [(1, 3), (2, 3)]
    whole = tmp_path / "foa_dev" / "fold3_room1_aug001002_ov1.wav"
    half = tmp_path / "foa_dev" / "fold3_room1_aug001003_ov1.wav"
    (tmp_path / "metadata_dev" / f"{half.stem}.csv").unlink()
    half.write_bytes(b"broken off")
    before = whole.stat().st_mtime_ns, whole.read_bytes()
    assert mixing.augment_folder(tmp_path) == 3
    assert (whole.stat().st_mtime_ns, whole.read_bytes()) == before
    assert sum(name.augmented for name in RecordingFolder(tmp_path).list_names()) == 3


def test_a_full_disk_is_answered_before_anything_is_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(InputError, match=r"the disk needs 23\.0 MB free"):  # two files of 60 s × 24 kHz × 4 × 2 bytes
        mixing.augment_folder(root)
    assert not list(root.rglob("*aug*"))


def test_the_command_mixes_and_reports(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mixing.main([str(root)]) == 0
    assert f"mixtures in {root}: 1" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nowhere"], [], ["nowhere", "--prat", "dev"]])
def test_the_command_answers_mistakes_without_a_traceback(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert mixing.main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")
