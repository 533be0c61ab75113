"""Folders as users have them: hidden files, links, pipes, other formats, names of any bytes, repeated recordings."""

from __future__ import annotations

import os
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.audio import corpus, folders, sound_files
from datasets.audio.corpus import Corpus
from datasets.audio.summary import summarise_corpus
from runtime import hashing
from runtime.errors import InputError

RATE_HZ = 16_000


def write_noise(path: Path, seed: int, seconds: float = 3.0, **options: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, (round(seconds * RATE_HZ), 2))
    soundfile.write(os.fsencode(path), noise, RATE_HZ, **({"format": "WAV"} | options))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, genre in enumerate(("funk", "funk", "jazz", "jazz")):
        write_noise(tmp_path / "music" / genre / f"{number}.wav", number)
    return tmp_path / "music"


def read(folder: Path, *, skip_broken: bool = False) -> Corpus:
    return corpus.read_corpus(folder, ["funk", "jazz"], skip_broken=skip_broken)


def names(found: Corpus) -> list[str]:
    return [piece.path.relative_to(found.folder).as_posix() for piece in found.pieces]


USED = ["funk/0.wav", "funk/1.wav", "jazz/2.wav", "jazz/3.wav"]


def add_appledouble(folder: Path) -> None:
    (folder / "funk" / "._0.wav").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X        ")


def add_archive(folder: Path) -> None:
    (folder / "funk" / "__MACOSX").mkdir()
    (folder / "funk" / "__MACOSX" / "0.wav").write_bytes(b"no sound")


def add_trash(folder: Path) -> None:
    (folder / "funk" / ".Trash-0").mkdir()
    (folder / "funk" / ".Trash-0" / "0.wav").write_bytes(b"")


def add_pictures(folder: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "cover.JPG", "README"):
        (folder / "funk" / name).write_bytes(b"picture")
    (folder / "funk" / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "funk" / ".#0.wav").symlink_to("user@host.123")


def add_loops(folder: Path) -> None:
    (folder / "funk" / "again").symlink_to("..", target_is_directory=True)
    (folder / "funk" / "deep").mkdir()
    (folder / "funk" / "deep" / "self").symlink_to(".", target_is_directory=True)


@pytest.mark.parametrize("add", [add_appledouble, add_archive, add_trash, add_pictures])
def test_entries_that_are_no_sound_are_counted(folder: Path, add: Callable[[Path], None]) -> None:
    add(folder)
    found = read(folder)
    assert names(found) == USED
    assert found.ignored
    assert any("not read: " in line for line in summarise_corpus(found))


def test_a_folder_called_like_a_sound_file_is_a_folder(folder: Path) -> None:
    write_noise(folder / "funk" / "album.wav" / "inside.WAV", 9)
    assert names(read(folder)) == [*USED[:2], "funk/album.wav/inside.WAV", *USED[2:]]


def test_links_are_followed_to_files_and_folders(folder: Path, tmp_path: Path) -> None:
    write_noise(tmp_path / "disk" / "album" / "a.wav", 9)
    write_noise(tmp_path / "disk" / "b.wav", 10)
    (folder / "funk" / "album").symlink_to(tmp_path / "disk" / "album", target_is_directory=True)
    (folder / "funk" / "b.wav").symlink_to(tmp_path / "disk" / "b.wav")
    assert names(read(folder)) == [*USED[:2], "funk/album/a.wav", "funk/b.wav", *USED[2:]]


def test_links_to_a_folder_above_end_somewhere(folder: Path) -> None:
    add_loops(folder)
    assert sum(piece.repeats is None for piece in read(folder).pieces) == 4  # `again` leads to jazz, too
    (folder / "funk" / "again").unlink()
    found = read(folder)
    assert names(found) == USED
    assert found.ignored == {"links to a folder above": 1}


@pytest.mark.parametrize("name", ["gone.wav", "gone.m4a", "album"])
def test_a_link_to_nothing_is_named(folder: Path, name: str) -> None:
    (folder / "funk" / name).symlink_to("../.git/annex/x.wav")
    with pytest.raises(InputError) as caught:
        read(folder)
    assert caught.value.place == str(folder / "funk" / name)
    assert (caught.value.rule, caught.value.value) == ("a link must lead to a file or a folder", "../.git/annex/x.wav")
    assert names(read(folder, skip_broken=True)) == USED


def test_a_link_to_itself_is_named(folder: Path) -> None:
    (folder / "funk" / "round.wav").symlink_to("round.wav")
    with pytest.raises(InputError, match=r"round\.wav"):
        read(folder)


@pytest.mark.parametrize(
    "name",
    [b"caf\xe9.wav", "ノイズ 🎺.wav".encode(), b"two\nlines.wav", b"#1 %20 'a' \"b\".wav", b"-x.wav", b"a:b.wav"],
)
def test_names_may_contain_any_bytes(folder: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(folder / "funk") + b"/" + name))
    write_noise(path, 9)
    found = read(folder)
    assert len(found.pieces) == 5
    assert sound_files.decode_sound(path, 0, 10).shape == (10, 2)
    hashing.hash_values(found.hash_files())
    path.write_bytes(b"no sound")
    with pytest.raises(InputError) as caught:
        read(folder)
    assert str(caught.value).encode("utf-8")  # prints anywhere
    assert len(str(caught.value).splitlines()) == 4


def test_a_genre_may_have_any_name(folder: Path) -> None:
    name = os.fsdecode(b"chans\xf3n & #1")
    write_noise(folder / name / "a.wav", 9)
    found = corpus.read_corpus(folder, [name])
    assert "\n".join(summarise_corpus(found)).encode("utf-8")
    assert folders.list_subfolders(folder)[0][0].name == name


def write_streamed(path: Path, riff: int, data: int) -> None:
    content = bytearray(write_noise(path, 9).read_bytes())
    content[4:8], content[40:44] = struct.pack("<I", riff), struct.pack("<I", data)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("riff", "data"),
    [(0xFFFF_FFFF, 0xFFFF_FFFF), (0, 0), (0x7FFF_F024, 0x7FFF_F000), (0x8000_0024, 0x8000_0000), (192_036, 0)],
    ids=["ffmpeg", "zero", "sox", "arecord", "data"],
)
def test_lengths_that_were_unknown_when_the_header_was_written_are_those_of_the_file(
    folder: Path, riff: int, data: int
) -> None:
    write_streamed(folder / "funk" / "pipe.wav", riff, data)
    whole = write_noise(folder / "whole.wav", 9)
    assert sound_files.read_header(folder / "funk" / "pipe.wav").frames == 3 * RATE_HZ
    piped, expected = (sound_files.decode_sound(p, 17, 20_000) for p in (folder / "funk" / "pipe.wav", whole))
    assert np.array_equal(piped, expected)
    assert len(read(folder).pieces) == 5


def test_a_wav_file_without_samples_but_with_tags_is_empty(folder: Path) -> None:
    path = folder / "funk" / "tags.wav"
    soundfile.write(path, np.zeros(0), RATE_HZ)
    content = path.read_bytes() + b"LIST\x04\0\0\0INFO"
    path.write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])
    with pytest.raises(InputError, match="must contain sound"):
        read(folder)


FORMATS = [
    ("a.wav", "WAVEX", "PCM_24"),
    ("a.wav", "WAV", "PCM_32"),
    ("a.wav", "WAV", "FLOAT"),
    ("a.rf64", "RF64", "PCM_16"),
    ("a.wav", "RF64", "PCM_16"),
    ("a.w64", "W64", "PCM_16"),
    ("a.aiff", "AIFF", "PCM_16"),
    ("a.au", "AU", "PCM_16"),
    ("a.caf", "CAF", "PCM_16"),
    ("a.flac", "FLAC", "PCM_16"),
    ("a.opus", "OGG", "OPUS"),
    ("a.mp3", "MP3", "MPEG_LAYER_III"),
    ("a.wav", "MP3", "MPEG_LAYER_III"),
    ("a.mp3", "WAV", "PCM_16"),
]


@pytest.mark.parametrize(("name", "form", "subtype"), FORMATS)
def test_the_content_decides_the_format(folder: Path, name: str, form: str, subtype: str) -> None:
    path = write_noise(folder / "funk" / name, 9, format=form, subtype=subtype)
    assert path in [piece.path for piece in read(folder).pieces]


@pytest.mark.parametrize(("name", "form", "subtype"), [case for case in FORMATS if case[1] not in ("OGG", "MP3")])
def test_truncation_is_found_in_every_format_that_tells_its_length(
    folder: Path, name: str, form: str, subtype: str
) -> None:
    path = write_noise(folder / "funk" / name, 9, format=form, subtype=subtype)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError) as caught:
        read(folder)
    assert caught.value.place == str(path)


def test_a_truncated_mp3_file_is_named_before_the_build(folder: Path) -> None:
    path = write_noise(folder / "funk" / "a.mp3", 9, format="MP3", subtype="MPEG_LAYER_III")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="as long as its header says"):
        read(folder)


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("seconds", [1 / RATE_HZ, 0.01, 3])
def test_short_files_and_any_number_of_channels_are_read(folder: Path, channels: int, seconds: float) -> None:
    noise = np.random.default_rng(9).normal(0, 0.1, (round(seconds * RATE_HZ), channels))
    soundfile.write(folder / "funk" / "a.flac", noise, RATE_HZ)
    assert len(read(folder).pieces) == 5


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_empty(path: Path) -> None:
    path.touch()


def make_silent(path: Path) -> None:
    soundfile.write(path, np.zeros(5 * RATE_HZ), RATE_HZ)


def make_nan(path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * RATE_HZ)
    noise[12_345] = np.nan
    soundfile.write(path, noise, RATE_HZ, subtype="FLOAT")


def make_text(path: Path) -> None:
    path.write_text("an HTML page that a download left here")


BROKEN = [make_pipe, make_socket, make_device, make_empty, make_silent, make_nan, make_text]


@pytest.mark.parametrize("make", BROKEN, ids=lambda make: make.__name__)
def test_a_file_that_cannot_be_used_is_named_and_can_be_left_out(folder: Path, make: Callable[[Path], None]) -> None:
    make(folder / "funk" / "x.wav")
    with pytest.raises(InputError) as caught:
        read(folder)
    assert caught.value.place == str(folder / "funk" / "x.wav")
    assert "--skip-broken" in caught.value.remedy
    left = read(folder, skip_broken=True)
    assert names(left) == USED
    assert any(line.strip().startswith("funk/x.wav: ") for line in summarise_corpus(left))


def test_formats_that_cannot_be_decoded_are_named(folder: Path) -> None:
    (folder / "funk" / "x.M4A").write_bytes(b"\0\0\0 ftypM4A ")
    with pytest.raises(InputError, match="libsndfile decodes"):
        read(folder)


def test_all_that_is_wrong_is_listed_at_once(folder: Path) -> None:
    for number, make in enumerate(BROKEN):
        make(folder / ("funk", "jazz")[number % 2] / f"x{number}.wav")
    (folder / "jazz" / "gone.wav").symlink_to("nowhere")
    shutil.copy(folder / "funk" / "0.wav", folder / "jazz" / "same.wav")
    with pytest.raises(InputError) as caught:
        read(folder)
    text = str(caught.value)
    assert all(f"x{number}.wav" in text for number in range(len(BROKEN)))
    assert "gone.wav" in text
    assert "same.wav" in text
    assert names(read(folder, skip_broken=True)) == USED


def test_a_long_list_ends_in_a_count(folder: Path) -> None:
    for number in range(33):
        (folder / "funk" / f"x{number:02d}.wav").touch()
    with pytest.raises(InputError) as caught:
        read(folder)
    assert "x19.wav" in str(caught.value)
    assert "x20.wav" not in str(caught.value)
    assert "13 more" in str(caught.value)


def test_an_unreadable_folder_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = folder / "funk" / "locked"
    locked.mkdir()
    scandir = os.scandir

    def deny(path: Path) -> object:  # root passes every permission check
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(InputError) as caught:
        read(folder)
    assert (caught.value.place, caught.value.value) == (str(locked), "Permission denied")


def test_a_file_that_is_still_being_written_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def append(path: Path) -> str:
        if path.name == "0.wav":
            path.write_bytes(path.read_bytes() + b"more")
        return "hash"

    monkeypatch.setattr(hashing, "hash_file", append)
    with pytest.raises(InputError, match="must not change while it is read"):
        read(folder)


def test_a_file_that_vanishes_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = folders.list_sounds(folder / "funk")
    (folder / "funk" / "0.wav").unlink()
    monkeypatch.setattr(folders, "list_sounds", lambda _: listed)
    with pytest.raises(InputError, match="No such file"):
        corpus.read_corpus(folder, ["funk"])


def copy_bytes(path: Path, copy: Path) -> None:
    shutil.copy(path, copy)


def copy_link(path: Path, copy: Path) -> None:
    copy.symlink_to(path)


def copy_hard_link(path: Path, copy: Path) -> None:
    copy.hardlink_to(path)


def copy_flac(path: Path, copy: Path) -> None:
    soundfile.write(copy, *soundfile.read(path), format="FLAC")


def copy_tagged(path: Path, copy: Path) -> None:
    content = path.read_bytes() + b"LIST\x0c\0\0\0INFOIART\0\0\0\0"
    copy.write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])


def copy_deeper(path: Path, copy: Path) -> None:
    soundfile.write(copy, *soundfile.read(path), subtype="PCM_24", format="WAV")


COPIES = [copy_bytes, copy_link, copy_hard_link, copy_flac, copy_tagged, copy_deeper]


@pytest.mark.parametrize("copy", COPIES, ids=lambda copy: copy.__name__)
def test_a_recording_in_two_genres_is_named(folder: Path, copy: Callable[[Path, Path], None]) -> None:
    copy(folder / "funk" / "0.wav", folder / "jazz" / "same.wav")
    with pytest.raises(InputError) as caught:
        read(folder)
    assert caught.value.place == str(folder / "jazz" / "same.wav")
    assert caught.value.value == "the same sound as funk/0.wav"
    assert names(read(folder, skip_broken=True)) == USED


@pytest.mark.parametrize("copy", COPIES, ids=lambda copy: copy.__name__)
def test_a_second_copy_in_a_genre_is_used_once(folder: Path, copy: Callable[[Path, Path], None]) -> None:
    copy(folder / "funk" / "0.wav", folder / "funk" / "same.wav")
    found = read(folder)
    assert {piece.path.name: piece.repeats for piece in found.pieces if piece.repeats} == {
        "same.wav": folder / "funk" / "0.wav"
    }
    assert "  funk/same.wav: repeats funk/0.wav" in summarise_corpus(found)
    assert names(read(folder, skip_broken=True)) == USED


def test_recordings_of_overlapping_genres_are_used_in_one_of_them(folder: Path) -> None:
    shutil.rmtree(folder / "jazz")
    shutil.copytree(folder / "funk", folder / "jazz")
    found = read(folder)
    used = [piece for piece in found.pieces if piece.repeats is None]
    assert len(found.pieces) == 4
    assert sorted(piece.genre for piece in used) == ["funk", "jazz"]
    assert len({piece.sha256 for piece in used}) == 2


def test_equal_lengths_alone_repeat_nothing(folder: Path) -> None:
    assert len({piece.frames for piece in read(folder).pieces}) == 1
    assert all(piece.repeats is None for piece in read(folder).pieces)


def test_the_summary_counts_files_and_minutes(folder: Path) -> None:
    write_noise(folder / "funk" / "short.wav", 9, 0.5)
    assert summarise_corpus(read(folder), notes={"jazz": "held out"}, least_s=1.0) == [
        f"{folder}: 5 files, 0.2 min in 2 folders",
        "funk: 3 files, 0.1 min",
        "jazz: 2 files, 0.1 min, held out",
        "too short for an excerpt of 1 s: 1 file",
    ]
