"""Compressed files whose length libsndfile only estimates, or whose end it reports too early when it seeks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.audio import corpus, sound_files
from runtime.errors import InputError

RATE_HZ = 44_100


def write_mp3(path: Path, *, seconds: float = 6.0, tag_bytes: int = 0, keeps_length: bool = False) -> Path:
    """Write noise as MP3 like iTunes: a tag, then frames, without the first one, which contains the number of the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE_HZ))
    options = {"subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT", "compression_level": 0.5}
    soundfile.write(path, noise, RATE_HZ, format="MP3", **options)
    content = path.read_bytes()
    second = content.index(content[:2], 4)
    assert b"Info" in content[:second] or b"Xing" in content[:second]
    size = bytes(tag_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    tag = b"ID3\x03\0\0" + size + bytes(tag_bytes) if tag_bytes else b""
    path.write_bytes(tag + content[0 if keeps_length else second :])
    return path


def decoded_frames(path: Path) -> int:
    with soundfile.SoundFile(path) as file:
        return len(file.read())


@pytest.mark.parametrize("tag_bytes", [8_000, 300_000])
def test_a_picture_in_an_mp3_file_does_not_count_as_sound(tmp_path: Path, tag_bytes: int) -> None:
    path = write_mp3(tmp_path / "funk" / "a.mp3", tag_bytes=tag_bytes)
    frames = decoded_frames(path)
    with soundfile.SoundFile(path) as file:
        assert file.frames > frames  # libsndfile's estimate
    (piece,) = corpus.read_corpus(tmp_path, ["funk"]).pieces
    assert piece.frames == frames == sound_files.read_header(path).frames
    assert len(sound_files.decode_sound(path, 0, frames)) == frames


def test_mp3_files_that_differ_in_their_tags_are_one_recording(tmp_path: Path) -> None:
    first = write_mp3(tmp_path / "funk" / "a.mp3", tag_bytes=8_000)
    write_mp3(tmp_path / "funk" / "b.mp3", tag_bytes=300_000)
    assert [piece.repeats for piece in corpus.read_corpus(tmp_path, ["funk"]).pieces] == [None, first]


def test_a_truncated_mp3_file_with_its_length_is_named_behind_a_tag(tmp_path: Path) -> None:
    path = write_mp3(tmp_path / "funk" / "a.mp3", tag_bytes=8_000, keeps_length=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="as long as its header says"):
        corpus.read_corpus(tmp_path, ["funk"])


@pytest.mark.parametrize("seconds", [3, 6, 20])
def test_an_ogg_file_that_ends_in_silence_is_complete(tmp_path: Path, seconds: int) -> None:
    path = tmp_path / "funk" / "a.ogg"
    path.parent.mkdir()
    sound = np.random.default_rng(seconds).normal(0, 0.1, seconds * RATE_HZ)
    sound[len(sound) // 3 :] = 0
    soundfile.write(path, sound, RATE_HZ, format="OGG", subtype="VORBIS")
    (piece,) = corpus.read_corpus(tmp_path, ["funk"]).pieces
    assert piece.frames == len(sound)
    for first in range(0, len(sound) - 2000, 5000):
        assert len(sound_files.read_section(path, first, 2000)) == 2000


def test_a_section_that_libsndfile_misses_is_decoded_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ogg"
    sound = np.random.default_rng(0).normal(0, 0.1, RATE_HZ)
    soundfile.write(path, sound, RATE_HZ, format="OGG", subtype="VORBIS")
    expected = sound_files.decode_sound(path, 0, RATE_HZ)[-5000:]
    exact = soundfile.SoundFile.seek

    def seek(file: soundfile.SoundFile, frames: int, whence: int = soundfile.SEEK_SET) -> int:
        return exact(file, frames + 700 * (frames == RATE_HZ - 5000 and whence == soundfile.SEEK_SET), whence)

    monkeypatch.setattr(soundfile.SoundFile, "seek", seek)
    np.testing.assert_array_equal(sound_files.decode_sound(path, RATE_HZ - 5000, 5000), expected)
