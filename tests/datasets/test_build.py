"""Datasets on disk: the same bytes from the same spec, interrupted or not, and every damage found."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from datasets import blueprint, build, library
from datasets.blueprint import Source
from datasets.errors import InputError
from datasets.geometry import SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S
from datasets.shards import Dataset, open_dataset
from datasets.spec import RoomSpec

SHARD = 16


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blueprint, "SHARD_SAMPLES", SHARD)


def source(**changes: Any) -> Source:
    values = {
        "train": 40,
        "validate": 16,
        "tests": {"S0": 5, "S1": 3, "S2": 4},
        "excerpts": 8,
        "excerpt_s": 1,
    } | changes
    return blueprint.prepare(RoomSpec.model_validate(values), "tests")


def made(root: Path, **changes: Any) -> Dataset:
    return build.build(source(**changes), root, lambda *_: None)


@pytest.fixture
def built(tmp_path: Path) -> Dataset:
    return made(tmp_path)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_split_is_cut_into_shards_and_the_last_is_shorter(built: Dataset) -> None:
    assert [(shard.name, shard.samples) for shard in built.shards] == [
        ("train-00000.arrow", 16),
        ("train-00001.arrow", 16),
        ("train-00002.arrow", 8),
        ("validate-00000.arrow", 16),
        ("S0-00000.arrow", 5),
        ("S1-00000.arrow", 3),
        ("S2-00000.arrow", 4),
    ]
    assert {name: len(built.split(name)) for name in built.spec.splits()} == {
        "train": 40,
        "validate": 16,
        "S0": 5,
        "S1": 3,
        "S2": 4,
    }


def test_two_folders_get_the_same_bytes(built: Dataset, tmp_path: Path) -> None:
    again = made(tmp_path / "elsewhere")
    assert content(again.folder) == content(built.folder)
    assert again.folder.name == built.fingerprint == source().fingerprint


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_the_number_of_threads_leaves_no_trace(tmp_path: Path) -> None:
    bytes_by_threads = []
    for number in (1, 2):
        torch.set_num_threads(number)
        bytes_by_threads.append(content(made(tmp_path / str(number)).folder))
    assert bytes_by_threads[0] == bytes_by_threads[1]


def test_another_seed_gets_other_samples(built: Dataset, tmp_path: Path) -> None:
    other = made(tmp_path, seed=1)
    assert other.folder != built.folder
    assert not np.array_equal(other.split("train").positions_m[:, 0], built.split("train").positions_m[:, 0])


def test_shards_and_splits_do_not_repeat_each_other(built: Dataset) -> None:
    starts = [("train", 0), ("train", 16), ("train", 32), ("validate", 0), ("S0", 0), ("S2", 0)]
    first = {tuple(built.split(name).positions_m[start, 0].tolist()) for name, start in starts}
    assert len(first) == len(starts)


def test_an_interrupted_build_goes_on_and_leaves_whole_shards_alone(built: Dataset) -> None:
    before = content(built.folder)
    for name in ("manifest.json", "train-00001.arrow", "S1-00000.arrow"):
        (built.folder / name).unlink()
    (built.folder / ".train-00001.arrow.4711.part").write_bytes(b"half a shard")
    kept = {path.name: path.stat().st_mtime_ns for path in built.folder.glob("[!.]*.arrow")}
    again = made(built.folder.parent)
    after = content(again.folder)
    after.pop(".train-00001.arrow.4711.part", None)
    assert after == before
    assert len(kept) == 5
    assert {name: (built.folder / name).stat().st_mtime_ns for name in kept} == kept


def test_a_finished_dataset_is_opened_and_not_built_again(built: Dataset) -> None:
    stages: list[str] = []
    again = build.build(source(), built.folder.parent, lambda what, *_: stages.append(what))
    assert again == built
    assert stages == []


def test_a_shard_that_was_cut_off_is_made_again(built: Dataset) -> None:
    shard = built.folder / "train-00001.arrow"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    assert built.incomplete() == ("train-00001.arrow",)
    assert build.find(built.folder.parent, built.fingerprint) is None
    made(built.folder.parent)
    assert shard.read_bytes() == whole


@pytest.mark.parametrize("finished", [True, False])
def test_half_a_shard_under_its_final_name_is_not_taken_for_whole(built: Dataset, finished: bool) -> None:
    shard = built.folder / "S1-00000.arrow"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    if not finished:
        (built.folder / "manifest.json").unlink()
    assert made(built.folder.parent).damaged() == ()
    assert shard.read_bytes() == whole


def test_a_build_that_mends_a_missing_shard_mends_a_spoilt_one_too(built: Dataset) -> None:
    before = content(built.folder)
    shard = built.folder / "S0-00000.arrow"
    shard.write_bytes(shard.read_bytes().replace(b"\x01", b"\x02", 1))
    (built.folder / "S1-00000.arrow").unlink()
    made(built.folder.parent)
    assert content(built.folder) == before


def test_a_flipped_byte_is_found_and_its_shard_named(built: Dataset) -> None:
    assert built.damaged() == ()
    shard = built.folder / "S0-00000.arrow"
    spoilt = bytearray(shard.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    shard.write_bytes(spoilt)
    assert built.damaged() == ("S0-00000.arrow",)
    assert built.incomplete() == ()  # reads no content, by its own word


def test_a_missing_shard_is_named_and_the_dataset_not_found(built: Dataset) -> None:
    (built.folder / "validate-00000.arrow").unlink()
    assert built.incomplete() == built.damaged() == ("validate-00000.arrow",)
    assert build.find(built.folder.parent, built.fingerprint) is None


def test_a_dataset_is_found_only_when_it_is_there(built: Dataset, tmp_path: Path) -> None:
    assert build.find(tmp_path, built.fingerprint) == built
    assert build.find(tmp_path, "0" * 16) is None


def test_plain_pyarrow_reads_a_shard_to_half_a_step_of_quantisation(built: Dataset) -> None:
    spec = built.spec
    maker = build.ShardMaker(spec, library.gather(spec, None, lambda *_: None))
    expected = maker.make(blueprint.shards_of(spec)[2])
    with pa.OSFile(str(built.folder / "train-00002.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
    waves = np.array(table["waves"].combine_chunks().storage.flatten(), np.int16).reshape(8, 2, 4, 2560)
    scale = table["scale"].to_numpy()[:, None, None, None]
    assert np.array_equal(np.abs(waves.astype(int)).max((1, 2, 3)), np.full(8, 32767))  # every sample uses all 16 bits
    error = np.abs(waves * scale.astype(np.float64) - expected.waves.double().numpy())
    assert (error <= 0.501 * scale).all()
    places = np.array(table["positions"].combine_chunks().storage.flatten(), np.float32).reshape(8, 3, 2)
    assert np.array_equal(places, expected.positions_m.float().numpy(), equal_nan=True)
    assert table["count"].to_pylist() == expected.counts.tolist()


def test_a_batch_comes_in_the_order_asked_across_shards(built: Dataset) -> None:
    split = built.split("train")
    order = np.array([39, 0, 16, 15, 31, 32, 3, 3, 17])
    batch = split.batch(order)
    for row, index in enumerate(order):
        alone = split.batch(np.array([index]))
        assert torch.equal(batch.waves[row], alone.waves[0])
        assert torch.equal(batch.counts[row], alone.counts[0])
        assert np.array_equal(batch.positions_m[row], split.positions_m[index], equal_nan=True)
    everything = split.batch(np.arange(40)).waves
    assert len({wave.numpy().tobytes() for wave in everything}) == 40
    assert torch.equal(everything[order], batch.waves)


def test_counts_and_positions_agree_with_each_other_and_with_the_spec(tiny: Dataset) -> None:
    for name, split in tiny.spec.splits().items():
        stored = tiny.split(name)
        there = ~stored.positions_m.isnan().any(-1)
        assert torch.equal(there.sum(1), stored.counts)
        assert set(stored.counts.tolist()) == set(range(split.sources[0], split.sources[1] + 1))
        assert stored.positions_m.shape == (split.samples, 3, 2)


@pytest.mark.parametrize("array", [0, 1])
def test_waves_arrive_as_the_stored_positions_say(tiny: Dataset, array: int) -> None:
    stored = tiny.split("train")
    alone = np.flatnonzero(stored.counts.numpy() == 1)
    batch = stored.batch(alone)
    mics = tiny.spec.microphones_m()[array]
    paths = np.linalg.norm(batch.positions_m[:, :1].double().numpy() - mics, axis=-1)
    frequencies = np.fft.rfftfreq(2560, 1 / SAMPLE_RATE_HZ)
    for waves, path in zip(batch.waves[:, array].double().numpy(), paths, strict=True):
        for first, second in itertools.combinations(range(4), 2):
            lag_s = (path[second] - path[first]) / SPEED_OF_SOUND_M_S
            moved = np.fft.irfft(np.fft.rfft(waves[first]) * np.exp(-2j * np.pi * frequencies * lag_s))
            middle = slice(200, -200)  # the ends wrap around
            expected = moved[middle] * path[first] / path[second]
            left = np.square(waves[second, middle] - expected).sum() / np.square(expected).sum()
            assert 10 * np.log10(left) < -20  # decibels; the simulator's fractional delays are not exact near 8 kHz


def test_the_size_on_disk_is_foretold_to_a_percent(tiny: Dataset) -> None:
    assert sum(shard.bytes for shard in tiny.shards) == pytest.approx(blueprint.bytes_of(tiny.spec), rel=0.01)
    assert [shard.bytes for shard in tiny.shards] == [
        (tiny.folder / shard.name).stat().st_size for shard in tiny.shards
    ]


def test_progress_is_told_from_music_to_the_last_sample(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    build.build(source(), tmp_path, lambda *step: told.append(step))
    assert [step for step in told if step[0] == "music"] == [("music", n, 24) for n in range(1, 25)]
    assert [done for what, done, _ in told if what == "samples"] == [16, 32, 40, 56, 61, 64, 68]
    assert {total for what, _, total in told if what == "samples"} == {68}
    assert blueprint.excerpts_of(source()) == 24


def test_music_that_never_passes_the_gate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one audible passage") as caught:
        made(tmp_path, gate=0.199)
    assert "dataset.gate" in caught.value.remedy


@pytest.mark.parametrize(
    "changes", [{"min_distance_m": 50.0}, {"clearance_m": 50.0}, {"size_m": (0.4, 0.4), "raster_m": 1.0}]
)
def test_a_room_that_cannot_hold_its_scenes_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="dataset") as caught:
        made(tmp_path, **changes)
    assert any(name in str(caught.value) for name in changes)


def test_the_manifest_tells_what_the_data_is(built: Dataset) -> None:
    manifest = json.loads((built.folder / "manifest.json").read_text())
    assert manifest["fingerprint"] == built.fingerprint
    assert manifest["versions"]["torch"] == torch.__version__
    assert RoomSpec.model_validate(manifest["spec"]) == built.spec == source().spec


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"spec": {"train": -1}, "shards": []}'])
def test_a_broken_manifest_is_named(built: Dataset, text: str | None) -> None:
    manifest = built.folder / "manifest.json"
    manifest.unlink() if text is None else manifest.write_text(text)
    with pytest.raises(InputError, match="readable manifest") as caught:
        open_dataset(built.folder)
    assert caught.value.place == str(manifest)
    assert "delete the folder" in caught.value.remedy


def test_an_unknown_split_is_answered_with_the_known_ones(built: Dataset) -> None:
    with pytest.raises(KeyError, match=r"no split 'S9'; there are \['S0', 'S1', 'S2', 'train', 'validate'\]"):
        built.split("S9")
