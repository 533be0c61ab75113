"""Datasets on disk: the same bytes from the same spec, and what they hold."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from datasets.acoustics.arrays import SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S
from datasets.building.plan import part_bytes
from datasets.rooms import synthesis
from datasets.rooms.dataset import Dataset, build_dataset
from datasets.rooms.spec import LocalizerSpec, RoomSpec
from datasets.rooms.split_spec import source_range
from runtime.errors import InputError
from tests.datasets.audio.test_corpus import gather
from tests.datasets.small import content, made, part_of, plan_samples, root_of, shard_of, source

pytestmark = pytest.mark.usefixtures("small_shards")


def test_a_split_is_cut_into_shards_and_the_last_is_shorter(built: Dataset) -> None:
    found = [(shard.name, shard.samples) for shard in built.count_shards()]
    sizes = {"train": (16, 16, 8), "validate": (16,), "S0": (5,), "S1": (3,), "S2": (4,)}
    assert [size for _, size in found] == [size for split in sizes.values() for size in split]
    assert [name for name, _ in found] == [
        f"{part_of(split).folder}/{number:05d}.arrow" for split in sizes for number in range(len(sizes[split]))
    ]
    assert {name: len(built.open_split(name)) for name in source().spec.resolve_splits()} == {
        name: sum(split) for name, split in sizes.items()
    }


def test_a_folder_holds_the_shards_their_checksums_and_the_manifest_and_nothing_else(built: Dataset) -> None:
    shards = [shard.name for part in source().list_parts() for shard in part.list_shards()]
    assert set(content(root_of(built))) == {
        *shards,
        *(f"{name}.sha256" for name in shards),
        *(f"{part.folder}/manifest.json" for part in source().list_parts()),
    }


def test_sha256sum_accepts_the_checksums(built: Dataset) -> None:
    folder = shard_of(root_of(built), "train").parent
    command = ["sha256sum", "--check", "--strict", *sorted(path.name for path in folder.glob("*.sha256"))]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.count(": OK") == 3


def test_two_folders_get_the_same_bytes(built: Dataset, tmp_path: Path) -> None:
    again = made(tmp_path / "elsewhere")
    assert content(root_of(again)) == content(root_of(built))
    assert again.fingerprint == built.fingerprint == source().fingerprint


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
        bytes_by_threads.append(content(root_of(made(tmp_path / str(number)))))
    assert bytes_by_threads[0] == bytes_by_threads[1]


def test_another_seed_gets_other_samples(built: Dataset, tmp_path: Path) -> None:
    other = made(tmp_path, seed=1)
    assert not {part.folder for part in source(seed=1).list_parts()} & {part.folder for part in source().list_parts()}
    assert not np.array_equal(other.open_split("train").positions_m[:, 0], built.open_split("train").positions_m[:, 0])


def test_shards_and_splits_do_not_repeat_each_other(built: Dataset) -> None:
    starts = [("train", 0), ("train", 16), ("train", 32), ("validate", 0), ("S0", 0), ("S2", 0)]
    first = {tuple(built.open_split(name).positions_m[start, 0].tolist()) for name, start in starts}
    assert len(first) == len(starts)


def test_plain_pyarrow_reads_a_shard_to_half_a_step_of_quantisation(built: Dataset) -> None:
    part = part_of("train")
    spec = source().spec
    assert isinstance(spec, RoomSpec)
    expected = synthesis.free_field_synthesizer(spec, part, gather(spec)).make_batch(part.list_shards()[2])
    with pa.OSFile(str(shard_of(root_of(built), "train", 2))) as file:
        table = pa.ipc.open_file(file).read_all()
    waves = np.array(table["waves"].combine_chunks().storage.flatten(), np.int16).reshape(8, 2, 4, 2560)
    scale = table["scale"].to_numpy()[:, None, None, None]
    assert np.array_equal(np.abs(waves.astype(int)).max((1, 2, 3)), np.full(8, 32767))  # every sample uses all 16 bits
    error = np.abs(waves * scale.astype(np.float64) - expected.waves.double().numpy())
    assert (error <= 0.501 * scale).all()
    places = np.array(table["positions"].combine_chunks().storage.flatten(), np.float32).reshape(8, 2, 2)
    assert np.array_equal(places, expected.positions_m.float().numpy(), equal_nan=True)
    assert table["count"].to_pylist() == expected.counts.tolist()


def test_a_batch_comes_in_the_order_asked_across_shards(built: Dataset) -> None:
    split = built.open_split("train")
    order = np.array([39, 0, 16, 15, 31, 32, 3, 3, 17])
    batch = split.read_batch(order)
    for row, index in enumerate(order):
        alone = split.read_batch(np.array([index]))
        assert torch.equal(batch.waves[row], alone.waves[0])
        assert torch.equal(batch.counts[row], alone.counts[0])
        assert np.array_equal(batch.positions_m[row], split.positions_m[index], equal_nan=True)
    everything = split.read_batch(np.arange(40)).waves
    assert len({wave.numpy().tobytes() for wave in everything}) == 40
    assert torch.equal(everything[order], batch.waves)


def test_counts_and_positions_agree_with_each_other_and_with_the_spec(tiny: Dataset) -> None:
    assert isinstance(tiny.spec, LocalizerSpec)
    for name, split in tiny.spec.resolve_splits().items():
        stored = tiny.open_split(name)
        low, high = source_range(split)
        there = ~stored.positions_m.isnan().any(-1)
        assert torch.equal(there.sum(1), stored.counts)
        assert set(stored.counts.tolist()) == set(range(low, high + 1))
        assert stored.positions_m.shape == (split.samples, high, 2)


@pytest.mark.parametrize("array", [0, 1])
def test_waves_arrive_as_the_stored_positions_say(tiny: Dataset, array: int) -> None:
    stored = tiny.open_split("train")
    alone = np.flatnonzero(stored.counts.numpy() == 1)
    batch = stored.read_batch(alone)
    mics = tiny.microphones_m[array]
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


def test_the_size_on_disk_is_foretold_to_a_percent(built: Dataset, tiny: Dataset) -> None:
    assert isinstance(tiny.spec, LocalizerSpec)
    told = part_bytes(plan_samples(tiny.spec, "tests"))
    for folder, expected in told.items():
        shards = list(tiny.store.local_path(folder).glob("*.arrow"))
        assert sum(path.stat().st_size for path in shards) == pytest.approx(expected, rel=0.01)
    assert [shard.bytes for shard in built.count_shards()] == [
        built.store.local_path(shard.name).stat().st_size for shard in built.count_shards()
    ]


def test_progress_is_told_from_music_to_the_last_sample(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    build_dataset(source(excerpts=12), tmp_path, lambda *step: told.append(step))
    assert [step for step in told if step[0] == "excerpts"] == [("excerpts", n, 36) for n in (0, 25, 36)]
    assert [done for what, done, _ in told if what == "samples"] == [0, 16, 32, 40, 56, 61, 64, 68]
    assert {total for what, _, total in told if what == "samples"} == {68}
    assert part_of("music").samples == 24


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
    manifest = json.loads((shard_of(root_of(built), "S1").parent / "manifest.json").read_text())
    assert manifest["part"] == part_of("S1").folder
    assert manifest["versions"]["torch"] == torch.__version__
    assert manifest["identity"] == json.loads(json.dumps(source().spec.split_identity("S1")))
    assert manifest["identity"]["of_split"]["samples"] == 3
    assert manifest["sound_files"] is None


def test_an_unknown_split_is_answered_with_the_known_ones(built: Dataset) -> None:
    with pytest.raises(KeyError, match=r"no split 'S9'; there are \['S0', 'S1', 'S2', 'train', 'validate'\]"):
        built.open_split("S9")
