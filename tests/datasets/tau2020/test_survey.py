"""Folders of recordings as the published data sets have them, and their mistakes, all listed at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.config_file import read_specs
from datasets.tau2020.mixing import augment_folder
from datasets.tau2020.provider import FolderProvider
from datasets.tau2020.spec import GROUPS, FolderSpec
from runtime.errors import InputError

NAMES_2020 = [f"fold{fold}_room1_mix001_ov1" for fold in range(1, 7)]
NAMES_2021 = [f"fold{fold}_room1_mix001" for fold in range(1, 7)]
NAMES_STARSS = [f"fold3_room{room}_mix001" for room in (2, 4, 12)] + ["fold4_room8_mix001"]


def put(
    root: Path,
    names: Iterable[str],
    rows: str = "0,1,0,10,2\n",
    *,
    folder: str = "",
    suffix: str = ".wav",
    samples: int = 2_400,
) -> None:
    """Write recordings of noise with equal labels."""
    sound = np.random.default_rng(0).normal(0, 0.05, (samples, 4))
    for name in names:
        for kind in ("foa_dev", "metadata_dev"):
            (root / kind / folder).mkdir(parents=True, exist_ok=True)
        written = "FLAC" if suffix.lower() == ".flac" else "WAV"
        soundfile.write(str(root / "foa_dev" / folder / (name + suffix)), sound, 24_000, format=written)
        (root / "metadata_dev" / folder / f"{name}.csv").write_text(rows, encoding="utf-8")


def opened(root: Path, **spec: object) -> FolderProvider:
    return FolderProvider.from_spec(FolderSpec.model_validate({"folder": str(root), **spec}), "dataset.folder")


@pytest.mark.parametrize("suffix", [".wav", ".WAV", ".flac"])
@pytest.mark.parametrize("folder", ["", "dev-train-sony"])
def test_suffixes_and_sub_folders_make_no_difference(tmp_path: Path, suffix: str, folder: str) -> None:
    put(tmp_path, NAMES_2020, suffix=suffix, folder=folder)
    provider = opened(tmp_path)
    assert provider.counts == {"train": 4, "validate": 1, "test": 1}
    data = provider.open_dataset(None, tmp_path)  # type: ignore[arg-type]
    recordings = data.open_recordings("foa")
    (name,) = data.recording_names(recordings, "test")
    assert recordings.read_audio(name)[:, :2_400].any()
    assert recordings.read_labels(name).tolist() == [[0, 1, 0, 10, 2]]


@pytest.mark.parametrize(
    ("names", "folds"),
    [
        (NAMES_2020, {"train": [3, 4, 5, 6], "validate": [2], "test": [1]}),
        (NAMES_2021, {"train": [1, 2, 3, 4], "validate": [5], "test": [6]}),
    ],
)
def test_the_folds_follow_the_names_and_the_plan_says_which(
    tmp_path: Path, names: list[str], folds: dict[str, list[int]]
) -> None:
    put(tmp_path, names)
    provider = opened(tmp_path)
    data = provider.open_dataset(None, tmp_path)  # type: ignore[arg-type]
    recordings = data.open_recordings("foa")
    assert {s: [n.fold for n in data.recording_names(recordings, s)] for s in folds} == folds
    assert f"validate fold {folds['validate'][0]}" in provider.describe_notes()[0]


def test_starss_is_validated_in_rooms_that_training_does_not_have(tmp_path: Path) -> None:
    put(tmp_path, NAMES_STARSS, "0,1,1,-98,-16,154\n")
    provider = opened(tmp_path)
    data = provider.open_dataset(None, tmp_path)  # type: ignore[arg-type]
    recordings = data.open_recordings("foa")
    rooms = {s: [n.room for n in data.recording_names(recordings, s)] for s in GROUPS}
    assert rooms == {"train": [2, 12], "validate": [4], "test": [8]}
    assert "room 4" in provider.describe_notes()[0]
    assert "the distance in the labels is not used" in provider.describe_notes()


def test_starss_needs_two_rooms_for_training_and_validation(tmp_path: Path) -> None:
    put(tmp_path, ["fold3_room3_mix001", "fold3_room3_mix002", "fold4_room8_mix001"])
    with pytest.raises(InputError, match="two rooms or more") as caught:
        opened(tmp_path)
    assert "other rooms to fold 3" in caught.value.remedy


def test_folds_that_are_listed_take_precedence(tmp_path: Path) -> None:
    put(tmp_path, NAMES_2021[:3])
    with pytest.raises(InputError, match="known convention"):
        opened(tmp_path)
    provider = opened(tmp_path, folds={"train": [1], "validate": [2], "test": [3]})
    assert provider.counts == {"train": 1, "validate": 1, "test": 1}


def test_folds_are_part_of_the_description_only_where_they_are_listed() -> None:
    assert FolderSpec().model_dump(mode="json", by_alias=True) == {"kind": "tau2020", "folder": "data/tau2020"}
    listed = {"train": [1], "validate": [2], "test": [3]}
    spec = FolderSpec.model_validate({"folds": listed})
    assert spec.model_dump(mode="json", by_alias=True)["folds"] == listed
    assert FolderSpec.model_validate(spec.model_dump(mode="json", by_alias=True)) == spec


def test_a_fold_of_two_splits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("{kind: tau2020, folds: {train: [1, 2], validate: [2], test: [3]}}", encoding="utf-8")
    with pytest.raises(InputError, match="no fold may belong to two splits") as caught:
        read_specs(path, has_gpu=False)
    assert caught.value.place == f"{path}: dataset.folds"


@pytest.mark.parametrize(
    "mess",
    [
        lambda root: (root / "foa_dev/._fold1_room1_mix001_ov1.wav").write_bytes(b"\0\5\26\7"),
        lambda root: (root / "foa_dev/.DS_Store").write_bytes(b"x"),
        lambda root: (root / "foa_dev/README.md").write_text("read me"),
        lambda root: (root / "foa_dev/fold9_room1_mix001_ov1.wav").mkdir(),
        lambda root: (root / "foa_dev/again").symlink_to(root / "foa_dev"),
        lambda root: put(root / "foa_dev/__MACOSX", NAMES_2020),
        lambda root: put(root / "eval", ["mix001"]),
    ],
)
def test_foreign_files_are_left_out(tmp_path: Path, mess: Callable[[Path], object]) -> None:
    put(tmp_path, NAMES_2020)
    before = opened(tmp_path).digest
    mess(tmp_path)
    assert opened(tmp_path).digest == before


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    put(tmp_path, NAMES_2020)
    (tmp_path / "metadata_dev" / f"{NAMES_2020[0]}.csv").unlink()
    (tmp_path / "foa_dev" / f"{NAMES_2020[1]}.wav").unlink()
    (tmp_path / "foa_dev" / "take one.wav").write_bytes(b"RIFF")
    (tmp_path / "foa_dev" / f"{NAMES_2020[2]}.wav").write_bytes(b"RIFF")
    (tmp_path / "foa_dev" / "fold7_room1_mix001_ov1.wav").symlink_to("nowhere.wav")
    (tmp_path / "metadata_dev" / "fold7_room1_mix001_ov1.csv").write_text("", encoding="utf-8")
    soundfile.write(tmp_path / "foa_dev" / f"{NAMES_2020[3]}.wav", np.zeros((100, 2)), 24_000)
    (tmp_path / "metadata_dev" / f"{NAMES_2020[4]}.csv").write_text("0,1,0,999,2\n", encoding="utf-8")
    (tmp_path / "metadata_dev" / f"{NAMES_2020[5]}.csv").write_text("500,1,0,99,2\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        opened(tmp_path)
    text = str(caught.value)
    assert "8 problems" in text
    assert [name for name in [*NAMES_2020, "take one", "fold7_room1_mix001_ov1"] if name not in text] == []
    assert "frame 500" in text  # the sound has 100 ms


def test_a_recording_that_is_there_twice_is_named(tmp_path: Path) -> None:
    put(tmp_path, NAMES_2020)
    put(tmp_path, NAMES_2020[:1], suffix=".WAV")
    with pytest.raises(InputError, match="no two files belong to one recording"):
        opened(tmp_path)


def test_all_recordings_with_too_many_events_are_named(tmp_path: Path) -> None:
    put(tmp_path, NAMES_2020, "0,1,0,10,2\n0,1,1,20,2\n0,1,2,30,2\n")
    provider = opened(tmp_path)
    provider.require_split("foa", 3)
    with pytest.raises(InputError) as caught:
        provider.require_split("foa", 2)
    assert [name for name in NAMES_2020 if name not in str(caught.value)] == []


def test_what_is_not_used_of_long_recordings_is_in_the_plan(tmp_path: Path) -> None:
    put(tmp_path, NAMES_2020[1:])
    put(tmp_path, NAMES_2020[:1], "0,1,0,10,2\n650,1,0,10,2\n", samples=24_000 * 66)
    notes = opened(tmp_path).describe_notes()
    assert notes[1] == "1 recordings are longer than 60 s; the rest of them, 0.1 min in total, is not used"


def test_recordings_whose_names_do_not_say_it_are_mixed_where_their_labels_have_no_overlap(tmp_path: Path) -> None:
    put(tmp_path, NAMES_2021)
    put(tmp_path, ["fold1_room1_mix002", "fold5_room1_mix002"])
    put(tmp_path, ["fold1_room1_mix003"], "0,1,0,10,2\n0,1,1,20,2\n")
    assert augment_folder(tmp_path) == 1
    assert (tmp_path / "foa_dev" / "fold1_room1_aug001002.wav").is_file()
    assert opened(tmp_path).counts["train"] == 6
