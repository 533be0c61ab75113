"""Recordings become samples whose sound agrees with their labels, and whose splits share nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from datasets.acoustics.arrays import MIXTURE_SAMPLES, SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S
from datasets.building.arrow import encode_table
from datasets.building.parts import Shard
from datasets.recordings.clip_list import hash_clips, read_clip_list
from datasets.recordings.plan import RecordingsPlan
from datasets.recordings.sounds import ClipSound, audible_starts, gather_sounds
from datasets.recordings.spec import RecordingsSpec
from datasets.recordings.synthesis import DrawnClips, RecordingsSynthesizer
from datasets.rooms import groups
from datasets.rooms.dataset import Batch, Split, columns_of
from tests.datasets.recorded import MICROPHONES, PLACE, ROWS, heard, positions_of, record, spec_of, write_manifest

FLAT = MICROPHONES.reshape(-1, 2)


def decoded(spec: RecordingsSpec) -> tuple[ClipSound, ...]:
    return gather_sounds(spec, read_clip_list(spec, PLACE), lambda *_: None)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> RecordingsSpec:
    return spec_of(record(tmp_path_factory.mktemp("recordings")))


@pytest.fixture(scope="module")
def sounds(spec: RecordingsSpec) -> tuple[ClipSound, ...]:
    return decoded(spec)


def fingerprint(spec: RecordingsSpec, sound_files: dict[str, str]) -> str:
    return RecordingsPlan(spec, sound_files, spec.microphones_m()).fingerprint


Makers = dict[str, RecordingsSynthesizer]


@pytest.fixture(scope="module")
def makers(spec: RecordingsSpec, sounds: tuple[ClipSound, ...]) -> Makers:
    return {split: RecordingsSynthesizer(spec, split, sounds) for split in spec.resolve_splits()}


def rows_of(split: str) -> list[tuple[str, ...]]:
    """Rows of the manifest, one a clip, in the order a maker counts them."""
    return [row for row in ROWS if split in row[6].split()]


def lags(wave: NDArray[Any], first: int) -> NDArray[np.int64]:
    """By how many samples channels 1 to 3 of an array hear later than its channel 0: the peak of the correlation."""
    spectra = np.fft.rfft(wave[first : first + 4], 2 * MIXTURE_SAMPLES)
    crossed = np.fft.irfft(spectra[1:] * spectra[:1].conj())
    peaks = np.argmax(crossed, axis=1)
    return np.where(peaks > MIXTURE_SAMPLES, peaks - 2 * MIXTURE_SAMPLES, peaks)


def expected_lags(position: NDArray[Any], first: int) -> NDArray[np.float64]:
    distance = np.linalg.norm(FLAT[first : first + 4] - position, axis=1)
    return (distance[1:] - distance[0]) / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ


def assert_sounds_from_where_it_says(batch: Batch) -> None:
    waves = batch.waves.numpy().reshape(len(batch.waves), 8, MIXTURE_SAMPLES)
    single = np.flatnonzero(batch.counts.numpy() == 1)
    assert len(single)
    for sample in single:
        position = batch.positions_m[sample, 0].numpy()
        for first in (0, 4):
            assert np.abs(lags(waves[sample], first) - expected_lags(position, first)).max() < 1


@pytest.mark.parametrize("split", ["train", "validate", "A0", "A2", "R0"])
def test_a_single_source_sounds_from_its_label(makers: Makers, split: str) -> None:
    assert_sounds_from_where_it_says(makers[split].make_batch(Shard(split, 0, 12)))


def test_samples_are_shaped_and_labelled_as_the_split_asks(makers: Makers, spec: RecordingsSpec) -> None:
    for split, (low, high) in {"train": (1, 2), "A1": (3, 3), "R0": (1, 2)}.items():
        batch = makers[split].make_batch(Shard(split, 0, 20))
        assert batch.waves.shape == (20, 2, 4, MIXTURE_SAMPLES)
        assert batch.positions_m.shape == (20, high, 2)
        counts = batch.counts.numpy()
        assert [int((counts == n).sum()) for n in range(low, high + 1)] == [20 // (high - low + 1)] * (high - low + 1)
        present = np.isfinite(batch.positions_m.numpy()).all(2)
        np.testing.assert_array_equal(present, np.arange(high) < counts[:, None])
        for places in batch.positions_m.numpy():
            placed = places[np.isfinite(places[:, 0])]
            apart = np.linalg.norm(placed[:, None] - placed, axis=-1)[np.triu_indices(len(placed), 1)]
            assert (apart >= spec.min_distance_m).all()


def test_a_superposition_is_the_sum_of_what_each_source_alone_gives(makers: Makers) -> None:
    takes = makers["A1"].draw_clips(Shard("A1", 0, 10))
    alone = [
        makers["A1"].render_clips(DrawnClips(takes.sounds[:, [part]], takes.starts[:, [part]], takes.gains[:, [part]]))
        for part in range(3)
    ]
    together = makers["A1"].render_clips(takes)
    assert np.abs(together).max() > 1e-3
    np.testing.assert_allclose(together, sum(alone), atol=1e-6)


def test_a_segment_is_what_was_recorded_times_a_gain_in_range(
    makers: Makers, spec: RecordingsSpec, sounds: tuple[ClipSound, ...]
) -> None:
    takes = makers["train"].draw_clips(Shard("train", 0, 60))
    ones = np.flatnonzero((takes.sounds >= 0).sum(1) == 1)
    waves = makers["train"].render_clips(takes)
    for sample in ones:
        number, start = takes.sounds[sample, 0], takes.starts[sample, 0]
        original = heard(int(number), positions_of(rows_of("train")[number]))[
            start : start + MIXTURE_SAMPLES
        ].T.reshape(2, 4, MIXTURE_SAMPLES)
        scaled = waves[sample] / takes.gains[sample, 0]
        np.testing.assert_allclose(scaled, original, atol=0.3 / 32767)
    present = takes.gains[takes.sounds >= 0]
    least, most = spec.level_db[0] + spec.gain_db[0], spec.level_db[1] + spec.gain_db[1]
    assert (20 * np.log10(present) >= least).all()
    assert (20 * np.log10(present) <= most).all()
    both = np.flatnonzero((takes.sounds >= 0).all(1))
    difference = 20 * np.log10(takes.gains[both, 0] / takes.gains[both, 1])
    assert np.abs(difference).max() <= spec.gain_db[1] - spec.gain_db[0]
    assert difference.std() > 0.5


def test_several_sources_at_once_are_used_as_recorded(makers: Makers) -> None:
    takes = makers["R0"].draw_clips(Shard("R0", 0, 20))
    assert takes.sounds.shape == (20, 1)
    assert {rows_of("R0")[number][0] for number in takes.sounds[:, 0]} == {"r0", "r1"}
    assert (takes.gains == 1).all()
    batch = makers["R0"].make_batch(Shard("R0", 0, 20))
    double = int(np.flatnonzero(batch.counts.numpy() == 2)[0])
    np.testing.assert_allclose(batch.positions_m[double, :2].numpy(), [(1.5, 3.0), (4.75, 2.0)])


def test_nothing_of_training_is_heard_anywhere_else(makers: Makers, spec: RecordingsSpec) -> None:
    clips, places = {}, {}
    for split in spec.resolve_splits():
        takes = [makers[split].draw_clips(Shard(split, number, 40)) for number in range(5)]
        clips[split] = {rows_of(split)[n][0] for each in takes for n in each.sounds[each.sounds >= 0]}
        batches = [makers[split].make_batch(Shard(split, number, 40)) for number in range(5)]
        positions = np.concatenate([batch.positions_m.numpy().reshape(-1, 2) for batch in batches])
        places[split] = {tuple(p) for p in positions[np.isfinite(positions[:, 0])].round(3).tolist()}
    assert clips["train"] == {"t0", "t1", "t2", "t3"}  # all of its own, and nothing else
    assert clips["validate"] == {"v0", "v1"}
    assert clips["A0"] == clips["A1"] == {"a0", "a1", "a2"}
    for split in spec.resolve_splits():
        for other in ("train", "validate"):
            assert split == other or not places[split] & places[other]


def test_a_shard_depends_on_seed_split_and_number_alone(
    makers: Makers, spec: RecordingsSpec, sounds: tuple[ClipSound, ...]
) -> None:
    shard = Shard("train", 1, 16)
    first = makers["train"].make_batch(shard)
    makers["A0"].make_batch(Shard("A0", 0, 5))
    again = RecordingsSynthesizer(spec, "train", sounds).make_batch(shard)
    assert first.waves.equal(again.waves)
    others = [
        makers["train"].make_batch(Shard("train", 2, 16)),
        RecordingsSynthesizer(spec.model_copy(update={"seed": 4}), "train", sounds).make_batch(shard),
    ]
    assert not any(first.waves.equal(other.waves) for other in others)


def test_a_shard_on_disk_holds_the_samples(makers: Makers, tmp_path: Path) -> None:
    batch = makers["train"].make_batch(Shard("train", 0, 16))
    (tmp_path / "train.arrow").write_bytes(encode_table(columns_of([batch], 16)))
    again = Split([tmp_path / "train.arrow"]).read_batch(np.arange(16))
    step = batch.waves.abs().amax() / 32767
    assert (again.waves - batch.waves).abs().max() <= 0.51 * step
    np.testing.assert_array_equal(again.positions_m.numpy(), batch.positions_m.numpy())
    assert again.counts.equal(batch.counts)


def test_silence_is_gated_relative_to_the_clip() -> None:
    tone = 0.1 * np.sqrt(2) * np.sin(2 * np.pi * 500 * np.arange(16_000) / SAMPLE_RATE_HZ)
    tone[:8_000] = 0.0
    tone = np.tile(tone, (8, 1)).astype(np.float32)
    # Of a segment's 2560 samples k lie in the tone, whose mean |x| is 0.2 √2 / π; the clip's RMS is 0.1 / √2.
    needed = 0.02 * (0.1 / np.sqrt(2)) / 0.1 / (0.2 * np.sqrt(2) / np.pi) * MIXTURE_SAMPLES
    for level in (1.0, 1e-3):
        starts = audible_starts(np.float32(level) * tone, 0.02)
        assert starts[0] == -(-(8_000 + needed - MIXTURE_SAMPLES) // 160) * 160
        assert starts[-1] == (16_000 - MIXTURE_SAMPLES) // 160 * 160
    assert len(audible_starts(np.zeros((8, 16_000), np.float32), 0.0)) == 0


def test_files_an_array_in_any_channel_order_and_at_any_rate_give_the_same_labels(tmp_path: Path) -> None:
    rows = []
    for number, row in enumerate(ROWS):
        sound = heard(number, positions_of(row), 48_000)
        left, right = f"{row[0]}-left.wav", f"{row[0]}-right.wav"
        soundfile.write(tmp_path / left, sound[:, 3::-1], 48_000)  # array 0 backwards
        soundfile.write(tmp_path / right, sound[:-960, 4:], 48_000)  # array 1, 20 ms shorter
        rows.append((row[0], right, "1", "", *row[4:]))
        rows.append((row[0], left, "0", "3 2 1 0", *row[4:]))
    spec = spec_of(write_manifest(tmp_path, rows))
    sounds = decoded(spec)
    assert {sound.waves.shape for sound in sounds} == {(2, 4, 8_000 - 320)}  # as long as the shorter file
    for split in ("train", "R0"):
        assert_sounds_from_where_it_says(RecordingsSynthesizer(spec, split, sounds).make_batch(Shard(split, 0, 8)))


def test_superfluous_channels_may_be_left_out(tmp_path: Path) -> None:
    record(tmp_path)
    sound = heard(0, positions_of(ROWS[0]))
    soundfile.write(tmp_path / "t0.wav", np.insert(sound, 2, 0.5, axis=1), 16_000)
    rows = [("t0", "t0.wav", "", "0 1 3 4 5 6 7 8", *ROWS[0][4:]), *ROWS[1:]]
    waves = decoded(spec_of(write_manifest(tmp_path, rows)))[0]
    np.testing.assert_allclose(waves.waves.reshape(8, -1).T * waves.scale, sound, atol=1e-4)


def test_the_hashes_follow_content_and_not_the_folder(tmp_path: Path) -> None:
    found = []
    (tmp_path / "here").mkdir()
    record(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")  # a WAV file of floats holds the time it was written at
    for name in ("here", "there"):
        spec = spec_of(tmp_path / name / "recordings.csv")
        found.append(hash_clips(spec, read_clip_list(spec, PLACE)))
    assert found[0] == found[1]
    assert sorted(found[0]) == sorted(["manifest", *(row[1] for row in ROWS)])
    soundfile.write(tmp_path / "there" / "t0.wav", heard(99, ((1.0, 1.0),)), 16_000)
    changed = hash_clips(spec, read_clip_list(spec, PLACE))
    here, other = spec_of(tmp_path / "here" / "recordings.csv"), spec_of(tmp_path / "there" / "recordings.csv", seed=9)
    assert fingerprint(spec, found[1]) == fingerprint(here, found[0])
    assert fingerprint(spec, changed) != fingerprint(spec, found[1])
    assert fingerprint(spec, found[1]) != fingerprint(other, found[1])
    assert {name for name in changed if changed[name] != found[1][name]} == {"t0.wav"}


def test_groups_are_drawn_evenly_from_all_that_are_far_enough_apart() -> None:
    places = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [3.0, 3.0], [0.5, 0.5]])
    allowed = groups.are_separated(places, 2.5)
    drawn = groups.draw_groups(np.random.default_rng(0), 6_000, allowed, 3)
    found, times = np.unique(np.sort(drawn, axis=1), axis=0, return_counts=True)
    # By hand: every three corners; the fifth point is near the first, and less than 2.5 m from none but it.
    by_hand = [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3], [1, 2, 4], [1, 3, 4], [2, 3, 4]]
    assert found.tolist() == by_hand
    assert np.abs(times - 6_000 / 7).max() < 5 * np.sqrt(6_000 / 7)
    assert groups.has_combination(allowed, 4)
    assert not groups.has_combination(allowed, 5)
    assert not groups.are_separated(np.array([[1.0, 1.0], [1.0, 1.0]]), 0.0).any()


def test_reversed_gains_are_refused() -> None:
    with pytest.raises(ValueError, match="gain_db is reversed"):
        RecordingsSpec(manifest="recordings.csv", gain_db=(0.0, -6.0))


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        (None, {"A0": (5000, (1, 2)), "A1": (2500, (3, 3)), "A2": (5000, (1, 2))}),
        (["R1", "A0"], {"R1": (300, (3, 3)), "A0": (5000, (1, 2))}),
        ({"A1": 50, "mine": 20}, {"A1": (50, (3, 3)), "mine": (20, (1, 2))}),
    ],
)
def test_the_paper_s_test_sets_go_by_their_names(tests: Any, expected: dict[str, Any]) -> None:
    given = {} if tests is None else {"tests": tests}
    spec = RecordingsSpec.model_validate({"manifest": "recordings.csv"} | given)
    filled = {name: split for name, split in spec.resolve_splits().items() if name in spec.tests}
    assert {name: (test.samples, test.sources) for name, test in filled.items()} == expected
    assert all(test.genres == "held_out" for name, test in spec.tests.items() if name == "A2")
