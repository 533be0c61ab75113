"""Sound files and the procedural band become excerpts of 16 kHz; tones tell which is which."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from datasets.audio import music_synth
from datasets.rooms.music import MusicExcerpts, assemble_excerpts, list_excerpts, load_excerpt
from datasets.rooms.music_folder import scan_corpus
from datasets.rooms.spec import PROCEDURAL_GENRES, RoomSpec

SECOND = 16_000
HZ = 0.5


def tone(frequency_hz: float, seconds: float, rate_hz: int, channels: int = 1) -> NDArray[np.float64]:
    wave = 0.3 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    return np.repeat(wave[:, None], channels, axis=1)


def write(path: Path, sound: NDArray[np.float64], rate_hz: int, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate_hz, subtype=subtype)
    return path


def spec_of(folder: Path, **changes: Any) -> RoomSpec:
    """A description that takes every second of the music; `test_splits` has those that divide recordings."""
    return RoomSpec.model_validate(
        {"music": str(folder), "excerpt_s": 1, "excerpts": 40, "held_out": "jazz", "train": 8, "validate": 4}
        | {"split_by": "excerpts"}
        | changes
    )


def gather(spec: RoomSpec, place: str = "here") -> MusicExcerpts:
    """All music of a spec in memory, the way a build goes: choose excerpts, hear each, share them out."""
    pieces = None if spec.music_folder() is None else scan_corpus(spec, place).pieces
    chosen = list_excerpts(spec, pieces)
    waves, levels = zip(*(load_excerpt(spec, excerpt) for excerpt in chosen), strict=True)
    return assemble_excerpts(spec, chosen, waves, levels)


def waves_of(spec: RoomSpec) -> NDArray[np.float32]:
    """Its excerpts side by side, shape (excerpts, samples)."""
    return np.stack(gather(spec).waves)


def pitch_hz(wave: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 8 * len(wave)))
    return float(np.argmax(spectrum)) * SECOND / (8 * len(wave))


@pytest.fixture
def three_genres(tmp_path: Path) -> Path:
    """Genres that can be told by ear: 500 Hz is funk, 300 Hz is rock, 800 Hz is jazz."""
    for genre, frequency in (("funk", 500), ("rock", 300), ("jazz", 800)):
        for number in range(2):
            write(tmp_path / genre / f"{number}.wav", tone(frequency + 0.01 * number, 10.5, SECOND), SECOND)
    return tmp_path


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".WAV"])
@pytest.mark.parametrize(("rate_hz", "channels"), [(44_100, 2), (16_000, 1), (48_000, 1), (22_050, 2)])
def test_a_tone_keeps_its_pitch_whatever_the_file(tmp_path: Path, suffix: str, rate_hz: int, channels: int) -> None:
    write(tmp_path / "funk" / f"a{suffix}", tone(440, 4.2, rate_hz, channels), rate_hz)
    heard = waves_of(spec_of(tmp_path, tests=["S0"]))
    assert heard.shape == (4, SECOND)
    assert heard.dtype == np.float32
    assert [pitch_hz(wave) for wave in heard] == pytest.approx([440] * 4, abs=HZ)


def test_many_channels_and_odd_rates_are_read(tmp_path: Path) -> None:
    write(tmp_path / "funk" / "a.wav", tone(440, 4.2, 11_025, 6), 11_025, "FLOAT")
    assert pitch_hz(waves_of(spec_of(tmp_path, tests=["S0"]))[1]) == pytest.approx(440, abs=HZ)


def test_what_lies_above_8_khz_does_not_fold_back(tmp_path: Path) -> None:
    sound = tone(440, 4.0, 44_100) + tone(10_000, 4.0, 44_100)  # would come back at 6 kHz
    write(tmp_path / "funk" / "a.wav", sound, 44_100)
    spectrum = np.abs(np.fft.rfft(waves_of(spec_of(tmp_path, tests=["S0"]))[1] * np.hanning(SECOND)))
    assert 20 * np.log10(spectrum[5_990:6_010].max() / spectrum[440]) < -40  # decibels


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = tone(400, 4, SECOND)[:, 0], tone(1000, 4, SECOND)[:, 0]
    write(tmp_path / "funk" / "a.wav", np.stack([left, 0.5 * right], axis=1), SECOND, "FLOAT")
    spectrum = np.abs(np.fft.rfft(waves_of(spec_of(tmp_path, tests=["S0"]))[0]))
    assert spectrum[1000] / spectrum[400] == pytest.approx(0.5, rel=1e-3)


def test_excerpts_are_the_seconds_of_the_file_and_each_is_cut_once(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 5 * SECOND + 300)
    write(tmp_path / "funk" / "deep" / "a.wav", noise, SECOND, "FLOAT")
    heard = waves_of(spec_of(tmp_path, tests=["S0"]))
    seconds = noise[: 5 * SECOND].reshape(5, SECOND)
    expected = 0.1 * seconds / np.sqrt(np.mean(seconds**2, axis=1, keepdims=True))
    assert_allclose(heard, expected, atol=1e-6)


@pytest.mark.parametrize("music", ["procedural", "folder"])
def test_every_excerpt_has_an_rms_of_a_tenth(music: str, three_genres: Path) -> None:
    spec = spec_of(three_genres) if music == "folder" else RoomSpec(excerpts=8, excerpt_s=1)
    level = np.sqrt(np.mean(np.square(waves_of(spec), dtype=np.float64), axis=1))
    assert_allclose(level, 0.1, rtol=1e-5)


def test_silence_is_left_out(tmp_path: Path) -> None:
    sound = tone(440, 6, SECOND)
    sound[2 * SECOND : 4 * SECOND] = 0
    write(tmp_path / "funk" / "a.wav", sound, SECOND)
    assert len(waves_of(spec_of(tmp_path, tests=["S0"]))) == 4


@pytest.mark.parametrize("music", ["procedural", "folder", "divided"])
def test_no_excerpt_serves_two_splits_and_every_split_has_some(music: str, three_genres: Path) -> None:
    way = {"folder": "excerpts", "divided": "auto"}.get(music)
    spec = spec_of(three_genres, split_by=way) if way else RoomSpec(excerpts=12, excerpt_s=1)
    rows = {name: set(of_split.tolist()) for name, of_split in gather(spec).rows_by_split.items()}
    assert list(rows) == ["train", "validate", "S0", "S1", "S2"]
    assert all(rows.values())
    assert not any(first & second for first, second in itertools.combinations(rows.values(), 2))


@pytest.mark.parametrize("way", ["excerpts", "auto", "time"])
def test_the_held_out_genre_sounds_in_s2_and_nowhere_else(three_genres: Path, way: str) -> None:
    music = gather(spec_of(three_genres, split_by=way))
    heard = {name: {round(pitch_hz(music.waves[row])) for row in rows} for name, rows in music.rows_by_split.items()}
    assert heard.pop("S2") == {800}
    assert heard == {name: {300, 500} for name in ("train", "validate", "S0", "S1")}


def test_training_gets_seven_tenths_where_three_splits_take_one_each(three_genres: Path) -> None:
    sizes = {name: len(rows) for name, rows in gather(spec_of(three_genres)).rows_by_split.items()}
    assert sizes == {"train": 28, "validate": 4, "S0": 4, "S1": 4, "S2": 20}  # of 20 excerpts a genre


def test_only_named_genres_are_heard(three_genres: Path) -> None:
    music = gather(spec_of(three_genres, genres=("funk",), tests=["S0", "S1"]))
    assert {round(pitch_hz(wave)) for wave in music.waves} == {500}


def test_a_genre_gives_no_more_excerpts_than_asked(three_genres: Path) -> None:
    assert len(waves_of(spec_of(three_genres, excerpts=8))) == 3 * 8


def test_the_seed_decides_who_gets_which_excerpt(three_genres: Path) -> None:
    first, again, other = (gather(spec_of(three_genres, seed=seed)).rows_by_split for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert any(not np.array_equal(first[name], other[name]) for name in first)


def test_files_are_hashed_by_their_path_in_the_folder(three_genres: Path) -> None:
    found = scan_corpus(spec_of(three_genres, split_by="auto"), "here")
    expected = {
        f"{genre}/{number}.wav": hashlib.sha256((three_genres / genre / f"{number}.wav").read_bytes()).hexdigest()
        for genre in ("funk", "rock", "jazz")
        for number in range(2)
    }
    assert found.hash_files() == scan_corpus(spec_of(three_genres), "here").hash_files() == expected


def test_other_files_and_hidden_folders_are_passed_over(three_genres: Path) -> None:
    (three_genres / "funk" / "cover.jpg").write_bytes(b"picture")
    (three_genres / ".cache").mkdir()
    (three_genres / "notes.txt").write_text("music")
    for way in ("excerpts", "auto"):
        spec = spec_of(three_genres, split_by=way)
        assert {piece.genre for piece in scan_corpus(spec, "here").pieces} == {"funk", "rock", "jazz"}


def test_a_music_folder_is_not_read_for_a_genre_nobody_hears(three_genres: Path) -> None:
    (three_genres / "jazz" / "0.wav").write_bytes(b"")
    pieces = scan_corpus(spec_of(three_genres, tests=["S0"]), "here").pieces
    assert {piece.genre for piece in pieces} == {"funk", "rock"}


@pytest.mark.parametrize("genre", ["classical", "funk", "jazz"])
def test_the_band_plays_the_same_from_the_same_seed(genre: str) -> None:
    first = music_synth.synthesize_excerpt(genre, 5, 2.0)
    assert first.shape == (2 * SECOND,)
    assert np.isfinite(first).all()
    assert np.array_equal(first, music_synth.synthesize_excerpt(genre, 5, 2.0))
    assert abs(np.corrcoef(first, music_synth.synthesize_excerpt(genre, 6, 2.0))[0, 1]) < 0.5


def test_genres_of_the_band_differ_in_sound_though_the_seed_is_one() -> None:
    classical, funk, jazz = (music_synth.synthesize_excerpt(genre, 5, 2.0) for genre in PROCEDURAL_GENRES)
    for first, second in itertools.combinations((classical, funk, jazz), 2):
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.5


def test_drums_fill_the_treble_with_noise_and_strings_with_lines() -> None:
    def flatness(genre: str, seed: int) -> float:
        """Spectral flatness between 3 and 7.5 kHz: geometric over arithmetic mean of the power, 1 is white."""
        sound = music_synth.synthesize_excerpt(genre, seed, 2.0)
        power = (np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2)[6_000:15_000]
        return float(np.exp(np.log(power + 1e-9 * power.max()).mean()) / power.mean())

    funk, classical = (np.median([flatness(genre, seed) for seed in range(8)]) for genre in ("funk", "classical"))
    assert funk > 5 * classical


def test_another_seed_of_the_spec_is_another_concert() -> None:
    first, again, other = (waves_of(RoomSpec(excerpts=8, excerpt_s=1, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:4], other[:4])
