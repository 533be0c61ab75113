"""Recordings are divided among splits by content: no recording in two splits, or sections of it with gaps between them."""

from __future__ import annotations

import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from datasets.audio import splits
from datasets.audio.corpus import MusicFile
from datasets.audio.splits import GenreDivision
from datasets.registry import prepare_dataset
from datasets.rooms.music import list_excerpts
from datasets.rooms.music_folder import divide_music, scan_corpus
from datasets.rooms.spec import RoomSpec
from runtime.errors import InputError
from tests.datasets.audio.test_corpus import gather

RATE_HZ = 16_000
NAMES = ("train", "validate", "S0", "S1")


def piece(number: int, seconds: float = 20.0, rate_hz: int = 44_100) -> MusicFile:
    return MusicFile(Path(f"{number:04d}.wav"), "funk", round(seconds * rate_hz), rate_hz, sha256=f"hash {number}")


def owners(division: GenreDivision) -> dict[MusicFile, set[str]]:
    result: dict[MusicFile, set[str]] = {}
    for name, sections in division.sections.items():
        for section in sections:
            result.setdefault(section.piece, set()).add(name)
    return result


def by_recording(pieces: list[MusicFile], **options: Any) -> GenreDivision:
    division = splits.divide_by_recording(pieces, NAMES, **({"excerpt_s": 6.0, "seed": 0} | options))
    assert division is not None
    return division


def draw_lengths(generator: np.random.Generator) -> list[float]:
    return list(np.exp(generator.uniform(np.log(6), np.log(600), generator.integers(1, 41))))


@pytest.mark.parametrize("seed", range(60))
def test_no_recording_is_in_two_splits_and_every_split_has_some(seed: int) -> None:
    generator = np.random.default_rng(seed)
    seconds, names = draw_lengths(generator), int(generator.integers(1, 6))
    pieces = [piece(number, length) for number, length in enumerate(seconds)]
    parts = [f"split {number}" for number in range(names)]
    division = splits.divide_by_recording(pieces, parts, excerpt_s=6.0, seed=seed)
    if division is None:
        return
    assert all(len(own) == 1 for own in owners(division).values())
    assert set(owners(division)) == set(pieces)
    assert all(division.sections[name] for name in parts)
    sizes = {name: len(own) for name, own in division.sections.items()}
    assert sizes[parts[0]] >= 0.4 * sum(sizes.values())


@pytest.mark.parametrize("seed", range(60))
def test_sections_of_two_splits_keep_the_gap(seed: int) -> None:
    generator = np.random.default_rng(seed)
    seconds, names = draw_lengths(generator)[: int(generator.integers(1, 8))], int(generator.integers(1, 6))
    excerpt_s = float(generator.choice([1.0, 2.5, 6.0]))
    rate_hz = int(generator.choice([16_000, 44_100, 11_025]))
    pieces = [piece(number, length, rate_hz) for number, length in enumerate(seconds)]
    parts = [f"split {number}" for number in range(names)]
    division = splits.divide_by_time(pieces, parts, excerpt_s=excerpt_s, seed=0)
    if division is None:
        assert sum(int((s + excerpt_s + 1.1) / (2 * excerpt_s + 1.1)) for s in seconds) < names
        return
    assert all(division.sections[name] for name in parts)
    length = int(excerpt_s * rate_hz)
    cut = [(name, section) for name, own in division.sections.items() for section in own]
    for (name, one), (other, two) in combinations(cut, 2):
        if one.piece == two.piece:
            apart = abs(one.first - two.first) - length
            assert apart >= (0 if name == other else splits.gap_seconds(excerpt_s) * rate_hz - 1e-6)
    assert all(0 <= section.first <= section.piece.frames - length for _, section in cut)


def test_shares_are_a_tenth_of_the_recordings() -> None:
    counts = {name: len(own) // 3 for name, own in by_recording([piece(n) for n in range(60)]).sections.items()}
    assert counts == {"train": 42, "validate": 6, "S0": 6, "S1": 6}


def test_shares_are_a_tenth_of_the_time() -> None:
    division = splits.divide_by_time([piece(0, 600.0)], NAMES, excerpt_s=6.0, seed=0)
    assert division is not None
    assert {name: len(own) for name, own in division.sections.items()} == {
        "train": 66,  # of 100, less three gaps of 7 s
        "validate": 10,
        "S0": 10,
        "S1": 10,
    }


@pytest.mark.parametrize("count", [6, 12, 22, 80])
def test_another_recording_moves_hardly_any(count: int) -> None:
    before = owners(by_recording([piece(n) for n in range(count)]))
    moved = []
    for added in range(count, count + 30):
        after = owners(by_recording([*before, piece(added)]))
        moved.append(sum(before[each] != after[each] for each in before))
    assert max(moved) <= 2 * len(NAMES)
    assert np.mean(moved) <= len(NAMES) / 2


def test_names_and_order_do_not_matter_but_the_seed_does() -> None:
    pieces = [piece(n) for n in range(30)]
    renamed = [MusicFile(Path(f"x{n}.wav"), "funk", p.frames, p.rate_hz, p.sha256) for n, p in enumerate(pieces)]

    def owned(division: GenreDivision) -> dict[str, str]:
        return {each.sha256: next(iter(names)) for each, names in owners(division).items()}

    assert owned(by_recording(pieces)) == owned(by_recording(renamed[::-1]))
    assert owned(by_recording(pieces)) != owned(by_recording(pieces, seed=1))


@pytest.mark.parametrize(("count", "is_enough"), [(5, False), (6, True)])
def test_enough_recordings_are_twice_as_many_as_the_other_splits(count: int, is_enough: bool) -> None:
    division = splits.divide_by_recording([piece(n) for n in range(count)], NAMES, excerpt_s=6.0, seed=0)
    assert (division is not None) == is_enough


def test_one_symphony_among_songs_stays_in_training() -> None:
    for seed in range(20):
        division = by_recording([piece(0, 3600), *(piece(n, 200) for n in range(1, 10))], seed=seed)
        assert owners(division)[piece(0, 3600)] == {"train"}


def test_a_limit_keeps_the_shares() -> None:
    limited = splits.limit_sections(by_recording([piece(n, 600) for n in range(60)]), 200, seed=0)
    assert {name: len(own) for name, own in limited.items()} == {"train": 140, "validate": 20, "S0": 20, "S1": 20}
    assert len({section for own in limited.values() for section in own}) == 200


def test_a_limited_choice_changes_little_with_another_recording() -> None:
    pieces = [piece(n, 600) for n in range(20)]
    before, after = (splits.limit_sections(by_recording(some), 200, 0)["train"] for some in (pieces[:-1], pieces))
    assert len(set(before) & set(after)) > 110


# ---- folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "music"


def fill(folder: Path, genre: str, count: int, seconds: float = 6.0) -> None:
    (folder / genre).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        noise = np.random.default_rng([number, *genre.encode()]).normal(0, 0.1, round(seconds * RATE_HZ))
        soundfile.write(folder / genre / f"{number}.wav", noise, RATE_HZ)


def spec_of(folder: Path, **changes: Any) -> RoomSpec:
    return RoomSpec.model_validate(
        {"music": str(folder), "excerpt_s": 1, "excerpts": 400, "train": 8, "validate": 4} | changes
    )


def files_of(spec: RoomSpec) -> dict[str, set[str]]:
    """Names of the files that each split uses."""
    result: dict[str, set[str]] = {}
    for excerpt in list_excerpts(spec, scan_corpus(spec, "here").pieces):
        assert excerpt.piece is not None
        result.setdefault(str(excerpt.split), set()).add(f"{excerpt.genre}/{excerpt.piece.path.name}")
    return result


def notes(spec: RoomSpec) -> str:
    return "\n".join(prepare_dataset(spec, "here").describe_notes())


def test_the_plan_says_how_each_genre_is_split(folder: Path) -> None:
    fill(folder, "funk", 10)
    fill(folder, "rock", 2, 20.0)
    fill(folder, "soul", 1, 4.0)
    fill(folder, "jazz", 2)
    told = notes(spec_of(folder))
    assert "funk: 10 files, 1.0 min, split by recording: train 7, validate 1, S0 1, S1 1" in told
    assert "rock: 2 files, 0.7 min, split by time with gaps of 2 s" in told
    assert "soul: 1 file, 0.1 min, all of it in train" in told
    assert "jazz: 2 files, 0.2 min, held out, all of it in S2" in told


def test_excerpts_in_memory_are_those_of_the_division(folder: Path) -> None:
    fill(folder, "funk", 10)
    fill(folder, "jazz", 2)
    spec = spec_of(folder)
    music = gather(spec)
    divided = divide_music(spec, scan_corpus(spec, "here").pieces)["funk"].sections
    assert {name: len(rows) for name, rows in music.rows_by_split.items()} == {
        **{name: len(own) for name, own in divided.items()},
        "S2": 12,
    }
    first = divided["S0"][0]
    sound = soundfile.read(first.piece.path, RATE_HZ, first.first, dtype="float32")[0]
    wave = music.waves[music.rows_by_split["S0"][0]]
    assert np.corrcoef(wave, sound)[0, 1] == pytest.approx(1, abs=1e-5)


def test_a_second_copy_is_heard_in_no_other_split(folder: Path) -> None:
    fill(folder, "funk", 10)
    fill(folder, "jazz", 2)
    before = files_of(spec_of(folder))
    for number in range(10):
        shutil.copy(folder / "funk" / f"{number}.wav", folder / "funk" / f"copy {number}.wav")
        soundfile.write(folder / "funk" / f"again {number}.flac", *soundfile.read(folder / "funk" / f"{number}.wav"))
    used = files_of(spec_of(folder))
    assert all(len(own) == len(before[name]) for name, own in used.items())
    assert not any(one & other for one, other in combinations(used.values(), 2))
    numbers = {
        name: {file.rpartition(" ")[2].split(".")[0] for file in own} for name, own in used.items() if name != "S2"
    }
    assert not any(one & other for one, other in combinations(numbers.values(), 2))


def test_music_of_overlapping_genres_is_in_one_split(folder: Path) -> None:
    fill(folder, "funk", 4, 12.0)
    fill(folder, "rock", 2, 20.0)
    shutil.copytree(folder / "funk", folder / "jazz")
    spec = spec_of(folder)
    hashes: dict[str, set[str]] = {}
    for excerpt in list_excerpts(spec, scan_corpus(spec, "here").pieces):
        assert excerpt.piece is not None
        hashes.setdefault(excerpt.piece.sha256, set()).add("held out" if excerpt.split == "S2" else "seen")
    assert all(len(own) == 1 for own in hashes.values())
    assert {"held out", "seen"} == set.union(*hashes.values())


@pytest.mark.parametrize(("way", "word"), [("recording", "do not share recordings"), ("time", "apart")])
def test_too_little_music_for_a_way(folder: Path, way: str, word: str) -> None:
    fill(folder, "funk", 3, 2.0)
    fill(folder, "jazz", 2)
    with pytest.raises(InputError) as caught:
        scan_corpus(spec_of(folder, split_by=way), "here")
    assert caught.value.place == str(folder / "funk")
    assert word in caught.value.rule


def test_a_way_may_be_chosen(folder: Path) -> None:
    fill(folder, "funk", 5)
    fill(folder, "jazz", 2)
    for way, expected in (("auto", "time"), ("recording", "recording"), ("time", "time")):
        spec = spec_of(folder, split_by=way)
        assert divide_music(spec, scan_corpus(spec, "here").pieces)["funk"].way == expected


def test_the_way_is_part_of_a_folder_s_fingerprint_only(folder: Path) -> None:
    fill(folder, "funk", 8, 20.0)
    fill(folder, "jazz", 2)
    prints = {
        prepare_dataset(spec_of(folder, split_by=way), "here").fingerprint for way in ("auto", "time", "excerpts")
    }
    assert len(prints) == 3
    assert (
        len({prepare_dataset(RoomSpec(split_by=way), "here").fingerprint for way in ("auto", "time", "excerpts")}) == 1
    )
    assert "split_by" not in RoomSpec().model_dump()
    assert "split_by" not in spec_of(folder, split_by="excerpts").model_dump()
    assert spec_of(folder).model_dump()["split_by"] == "auto"


@pytest.mark.parametrize("way", ["auto", "excerpts", "time"])
def test_variants_keep_what_their_dumps_leave_out(folder: Path, way: str) -> None:
    changed = spec_of(folder, split_by=way, skip_broken=True).with_changes({"train.snr_db": 20})
    assert (changed.split_by, changed.skip_broken) == (way, True)


def test_an_empty_genre_is_left_out_with_the_broken_files(folder: Path) -> None:
    fill(folder, "funk", 8)
    fill(folder, "jazz", 2)
    (folder / "pop").mkdir()
    (folder / "pop" / "x.wav").touch()
    with pytest.raises(InputError, match=r"x\.wav"):
        scan_corpus(spec_of(folder), "here")
    found = scan_corpus(spec_of(folder, skip_broken=True), "here")
    assert {piece.genre for piece in found.pieces} == {"funk", "jazz"}
    assert "pop/x.wav: a sound file must not be empty" in notes(spec_of(folder, skip_broken=True))
