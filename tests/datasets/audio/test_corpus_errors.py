"""What is wrong with a music folder is said in one error: the place, the rule, the value, the remedy."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.registry import prepare_dataset
from datasets.rooms.spec import RoomSpec
from runtime.errors import InputError, suggest_name
from tests.datasets.audio.test_corpus import gather

RATE_HZ = 16_000
PLACE = "space.yaml: dataset.music"


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.3, 0.3, round(seconds * RATE_HZ))


def put(path: Path, seconds: float = 12.0, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(seconds, zlib.crc32(str(path).encode())), RATE_HZ, subtype=subtype)
    return path


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path / "funk" / "whole.wav")
    put(tmp_path / "jazz" / "whole.wav")
    return tmp_path


def read_all(spec: RoomSpec) -> None:
    prepare_dataset(spec, PLACE)
    gather(spec, PLACE)


def complaint(folder: Path, **changes: object) -> InputError:
    """The error that reading and decoding all music of a folder ends in."""
    spec = RoomSpec.model_validate({"music": str(folder), "excerpt_s": 1, "excerpts": 20} | changes)
    with pytest.raises(InputError) as caught:
        read_all(spec)
    return caught.value


def test_the_folder_these_tests_spoil_is_good(folder: Path) -> None:
    spec = RoomSpec(music=str(folder), excerpt_s=1, excerpts=20)
    assert len(gather(spec, PLACE).waves) == 6 + 12  # funk serves four splits, with gaps of 2 s between them


@pytest.mark.parametrize("name", ["absent", "funk/whole.wav"])
def test_a_missing_folder(folder: Path, name: str) -> None:
    error = complaint(folder / name)
    assert (error.place, error.value) == (PLACE, str(folder / name))
    assert "must exist" in error.rule
    assert "one sub-folder per genre" in error.remedy


def test_a_folder_without_genres(tmp_path: Path) -> None:
    put(tmp_path / "loose.wav")
    error = complaint(tmp_path)
    assert error.place == PLACE
    assert "sub-folder per genre" in error.rule
    assert "folder of its own" in error.remedy


@pytest.mark.parametrize("changes", [{"genres": ("funk", "polka")}, {"held_out": "polka"}])
def test_a_missing_genre(folder: Path, changes: dict[str, object]) -> None:
    error = complaint(folder, **changes)
    assert error.place == PLACE
    assert "'polka'" in error.rule
    assert error.value == ["funk", "jazz"]
    assert "dataset.genres" in error.remedy


def test_too_little_music(tmp_path: Path) -> None:
    put(tmp_path / "funk" / "short.wav", seconds=3.9)
    put(tmp_path / "jazz" / "whole.wav")
    error = complaint(tmp_path)
    assert error.place == str(tmp_path / "funk")
    assert "at least 4 excerpts of 1 s" in error.rule  # train, validate, S0 and S1 hear funk
    assert error.value == "3 excerpts in 1 recordings"
    assert "longer recordings" in error.remedy


def test_a_genre_without_a_sound_file(tmp_path: Path) -> None:
    put(tmp_path / "jazz" / "whole.wav")
    (tmp_path / "funk").mkdir()
    assert complaint(tmp_path).value == "0 excerpts in 0 recordings"


def write_empty(path: Path) -> None:
    path.write_bytes(b"")


def write_garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(40_000))


def write_text(path: Path) -> None:
    path.write_text("this is no sound\n" * 100)


def write_header_alone(path: Path) -> None:
    soundfile.write(path, np.zeros(0), RATE_HZ)


def write_truncated(path: Path) -> None:
    cut(put(path))


def write_nan(path: Path) -> None:
    sound = noise(6.0)
    sound[RATE_HZ * 3 + 7] = np.nan
    soundfile.write(path, sound, RATE_HZ, subtype="FLOAT")


def write_infinity(path: Path) -> None:
    sound = noise(6.0)
    sound[11] = np.inf
    soundfile.write(path, sound, RATE_HZ, subtype="FLOAT")


@pytest.mark.parametrize(
    ("name", "corrupt", "rule", "remedy"),
    [
        ("a.wav", write_empty, "must not be empty", "remove or replace"),
        ("a.mp3", write_empty, "must not be empty", "remove or replace"),
        ("a.wav", write_garbage, "must be readable", "re-encode"),
        ("a.flac", write_garbage, "must be readable", "re-encode"),
        ("a.ogg", write_text, "must be readable", "re-encode"),
        ("a.mp3", write_text, "must be readable", "re-encode"),
        ("a.wav", write_header_alone, "must contain sound", "remove or replace"),
        ("a.flac", write_truncated, "must be readable", "re-encode"),
        ("a.mp3", write_truncated, "as long as its header says", "truncated"),
        ("a.wav", write_nan, "finite numbers", "repair"),
        ("a.wav", write_infinity, "finite numbers", "repair"),
    ],
)
@pytest.mark.parametrize("genre", ["funk", "jazz"])
def test_a_corrupt_file_is_named(
    folder: Path, genre: str, name: str, corrupt: Callable[[Path], None], rule: str, remedy: str
) -> None:
    corrupt(folder / genre / name)
    error = complaint(folder)
    assert error.place == str(folder / genre / name)
    assert rule in error.rule
    assert remedy in error.remedy


def test_a_truncated_wav_is_named_like_any_other_truncated_file(folder: Path) -> None:
    write_truncated(folder / "funk" / "a.wav")
    error = complaint(folder)
    assert error.place == str(folder / "funk" / "a.wav")
    assert "as long as its header says" in error.rule


def test_a_complaint_reads_as_place_rule_value_and_remedy(tmp_path: Path) -> None:
    lines = str(complaint(tmp_path / "absent")).splitlines()
    assert lines[0] == PLACE
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["rule", "got", "remedy"]


def test_a_complaint_survives_the_way_between_processes(tmp_path: Path) -> None:
    error = complaint(tmp_path / "absent")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert (again.place, again.rule, again.value, again.remedy) == (error.place, error.rule, error.value, error.remedy)


@pytest.mark.parametrize(
    ("name", "answer"), [("jaz", "did you mean 'jazz'?"), ("polka", "known names: classical, funk, jazz")]
)
def test_a_near_miss_is_answered_with_what_was_meant(name: str, answer: str) -> None:
    assert suggest_name(name, ["jazz", "classical", "funk"]) == answer
