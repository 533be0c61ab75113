"""Samples of every kind of data, from the spec to the shard: waves agree with labels, and splits with nothing of each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from datasets.acoustics import propagation, pyroom, rirs
from datasets.acoustics.arrays import SAMPLE_RATE_HZ
from datasets.acoustics.materials import absorption_of
from datasets.acoustics.rirs import RirBank
from datasets.acoustics.shoebox import count_images
from datasets.building import builder
from datasets.building import parts as blueprint
from datasets.building.arrow import read_columns
from datasets.registry import prepare_dataset
from datasets.rooms import groups, mixtures, reverberation, synthesis
from datasets.rooms.dataset import Batch, Dataset, build_dataset
from datasets.rooms.mixtures import Mixtures
from datasets.rooms.plan import RoomPlan, SamplePart, SamplePlan
from datasets.rooms.spec import MeasuredSpec, RoomSpec
from runtime.errors import InputError
from runtime.storage import storage_at
from tests.datasets.acoustics.test_rirs import MICROPHONES, free_field
from tests.datasets.audio.test_corpus import gather
from tests.datasets.recorded import PLACE, ROWS, heard, positions_of, record
from tests.datasets.recorded import spec_of as recordings_spec
from tests.datasets.recordings.test_recordings import assert_sounds_from_where_it_says
from tests.datasets.small import ECHO, content, made, part_of, plan_samples, source

ECHOING = {"train": 12, "validate": 8, "tests": {"S0": 4}, "acoustics": ECHO, "seed": 5}


def everything(dataset: Dataset, split: str) -> Batch:
    stored = dataset.open_split(split)
    return stored.read_batch(np.arange(len(stored)))


def places_in(batch: Batch) -> set[tuple[float, ...]]:
    places = batch.positions_m.numpy().reshape(-1, 2)
    return {tuple(place) for place in places[np.isfinite(places[:, 0])].astype(np.float64).round(3).tolist()}


def assert_apart(batch: Batch, least_m: float) -> None:
    both = batch.positions_m[batch.counts == 2].numpy()
    assert len(both)
    assert np.linalg.norm(both[:, 0] - both[:, 1], axis=-1).min() >= least_m - 1e-6


def responses_of(root: Path, split: str, made_from: SamplePlan) -> list[list[NDArray[Any]]]:
    """Responses, places and rooms of a split, block by block."""
    folder = part_of(split, made_from).responses
    [part] = [part for part in made_from.list_parts() if part.folder == folder]
    return [read_columns(root / shard.name, ("responses", "place", "room")) for shard in part.list_shards()]


@pytest.mark.parametrize("split", ["train", "S0"])
def test_samples_in_rooms_that_echo_are_what_the_reference_simulator_hears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    monkeypatch.setattr(blueprint, "SHARD_SAMPLES", 4)
    drawn: list[Mixtures] = []
    draw = mixtures.draw_mixtures

    def remember(*given: Any) -> Mixtures:
        drawn.append(draw(*given))
        return drawn[-1]

    monkeypatch.setattr(mixtures, "draw_mixtures", remember)
    prepared, dataset = source(**ECHOING), made(tmp_path, **ECHOING)
    spec = prepared.spec
    assert isinstance(spec, RoomSpec)
    assert spec.acoustics is not None
    batch, music = everything(dataset, split), gather(spec)
    blocks = responses_of(tmp_path, split, prepared)
    window = propagation.response_window(max(block.shape[-1] for block, _, _ in blocks))
    shards = len(part_of(split, prepared).list_shards())
    for number in range(shards):
        rows = slice(4 * number, 4 * number + 4)
        [scene] = [s for s in drawn if np.allclose(s.positions_m, batch.positions_m[rows], atol=1e-5, equal_nan=True)]
        rooms = list(reverberation.rooms_of_shard(number, shards, spec.acoustics.rooms))
        placed = np.concatenate(
            [reverberation.draw_source_positions(spec, spec.acoustics, reverberation.rir_role(split), n) for n in rooms]
        )
        for sample, count in enumerate(scene.counts):
            chosen = scene.places[sample, :count]
            assert len(set(chosen // spec.acoustics.positions)) == 1  # both in one room
            room = reverberation.draw_room(
                spec, spec.acoustics, reverberation.rir_role(split), rooms[chosen[0] // spec.acoustics.positions]
            )
            played = [
                music.waves[excerpt][start : start + window.length] * np.float32(gain)
                for excerpt, start, gain in zip(
                    *(column[sample, :count] for column in (scene.excerpts, scene.starts, scene.gains)), strict=True
                )
            ]
            expected = pyroom.simulate_shoebox(
                room, np.stack(played), placed[chosen] + np.array([*room.origin_m, 0.0]), window.lead
            )
            left = np.square(batch.waves[rows][sample].numpy() - expected).sum() / np.square(expected).sum()
            assert 10 * np.log10(left) < -60
    assert_apart(batch, spec.min_distance_m)


def test_rooms_of_a_split_do_not_depend_on_the_other_splits(tmp_path: Path) -> None:
    changes = {"validate": {"samples": 9, "acoustics": ECHO | {"rt60_s": 0.3}}, "tests": {"S0": 4, "mine": 4}}
    one, other = (made(tmp_path / name, **(ECHOING | each)) for name, each in (("one", {}), ("other", changes)))
    sources = source(**ECHOING), source(**(ECHOING | changes))
    for split, same in (("train", True), ("S0", True), ("validate", False)):
        parts = [part_of(split, each).responses for each in sources]
        files = [content(Path(built.store.uri) / str(part)) for built, part in zip((one, other), parts, strict=True)]
        assert (files[0] == files[1]) == same


def test_training_validation_and_tests_stand_in_rooms_of_their_own(tmp_path: Path) -> None:
    made(tmp_path, **ECHOING)
    prepared = source(**ECHOING)
    responses = {split: responses_of(tmp_path, split, prepared) for split in ("train", "validate", "S0")}
    for split, other in (("train", "validate"), ("train", "S0"), ("validate", "S0")):
        assert not any(
            np.array_equal(a[0][0, 0, 0, :50], b[0][0, 0, 0, :50]) for a in responses[split] for b in responses[other]
        )


def free_field_batch(samples: int, **changes: Any) -> Batch:
    prepared = source(train={"samples": samples} | changes)
    assert isinstance(prepared.spec, RoomSpec)
    part = part_of("train", prepared)
    return synthesis.free_field_synthesizer(prepared.spec, part, gather(prepared.spec)).make_batch(
        part.list_shards()[0]
    )


def test_sources_stand_on_the_raster_apart_and_away_from_microphones() -> None:
    batch, spec = free_field_batch(100), RoomSpec()
    assert_apart(batch, spec.min_distance_m)
    places = batch.positions_m.numpy().reshape(-1, 2)
    places = places[np.isfinite(places[:, 0])].astype(np.float64)
    np.testing.assert_allclose(places / spec.raster_m % 1, 0.5, atol=1e-4)
    assert np.linalg.norm(places[:, None] - MICROPHONES.reshape(-1, 2), axis=-1).min() >= spec.clearance_m - 1e-6


def test_noise_lies_as_far_below_the_sample_as_drawn() -> None:
    clean, noisy = free_field_batch(100), free_field_batch(100, snr_db=(10, 30))
    assert np.array_equal(clean.positions_m, noisy.positions_m, equal_nan=True)
    noise = (noisy.waves - clean.waves).double()
    snr_db = 10 * torch.log10(clean.waves.double().square().mean((1, 2, 3)) / noise.square().mean((1, 2, 3))).numpy()
    # The power of 20480 normal numbers is known to 1 %, or 0.04 dB.
    assert snr_db.min() > 10 - 0.25
    assert snr_db.max() < 30 + 0.25
    shares = np.histogram(snr_db, bins=4, range=(10, 30))[0]
    assert np.abs(shares - 25).max() < 5 * np.sqrt(25)


def test_noise_is_white_and_every_microphone_s_own() -> None:
    clean, noisy = free_field_batch(20), free_field_batch(20, snr_db=20)
    difference = (noisy.waves - clean.waves).double().reshape(20, 8, -1)
    noise = (difference / difference.std(dim=(1, 2), keepdim=True)).numpy()
    level = np.square(noise).mean(-1)
    assert np.abs(level - 1).max() < 6 * np.sqrt(2 / noise.shape[-1])  # equally loud everywhere
    for sample in noise:
        alike = np.corrcoef(sample)[np.triu_indices(8, 1)]
        assert np.abs(alike).max() < 6 / np.sqrt(noise.shape[-1])
    spectrum = np.square(np.abs(np.fft.rfft(noise))).mean((0, 1))[1:-2].reshape(9, 142).mean(1)
    assert spectrum / spectrum.mean() == pytest.approx(1.0, abs=0.04)


GRID = np.stack(np.meshgrid(np.arange(0.5, 6, 0.55), np.arange(0.5, 6, 0.55)), -1).reshape(-1, 2)


def measured(folder: Path, positions_m: NDArray[np.float64] = GRID, **changes: Any) -> MeasuredSpec:
    responses = free_field(positions_m, MICROPHONES, SAMPLE_RATE_HZ).astype(np.float32)
    rirs.write_rir_bank(folder / "hall.npz", RirBank(responses, positions_m, MICROPHONES, SAMPLE_RATE_HZ, "a hall"))
    values = {"train": 24, "validate": 16, "tests": {"S0": 12, "S1": 6}, "excerpts": 8, "excerpt_s": 1}
    return MeasuredSpec.model_validate(values | {"bank": str(folder / "hall.npz"), "min_distance_m": 1.0} | changes)


def test_a_measured_room_is_built_from_its_bank(tmp_path: Path) -> None:
    spec = measured(tmp_path)
    prepared = plan_samples(spec, "tests")
    dataset = build_dataset(prepared, tmp_path / "data")
    np.testing.assert_array_equal(dataset.microphones_m, MICROPHONES)
    batches = {split: everything(dataset, split) for split in spec.resolve_splits()}
    bank = {tuple(place) for place in GRID.round(3).tolist()}
    for split, batch in batches.items():
        assert places_in(batch) <= bank
        assert split == "S1" or len(places_in(batch)) > 8
    for split in ("train", "S0"):
        assert_sounds_from_where_it_says(batches[split])
        assert_apart(batches[split], spec.min_distance_m)
    for split, other in (("train", "validate"), ("train", "S0"), ("validate", "S0"), ("train", "S1")):
        assert not places_in(batches[split]) & places_in(batches[other])


def test_another_bank_is_another_dataset_and_the_same_elsewhere_is_not(tmp_path: Path) -> None:
    for name in ("here", "there", "other"):
        (tmp_path / name).mkdir()
    one = plan_samples(measured(tmp_path / "here"), "tests")
    same = plan_samples(measured(tmp_path / "there"), "tests")
    other = plan_samples(measured(tmp_path / "other", GRID + 0.01), "tests")

    def splits(each: SamplePlan) -> set[str]:
        return {part.folder for part in each.list_parts() if part.split}

    assert splits(one) == splits(same)
    assert not splits(one) & splits(other)


def test_a_bank_with_too_few_places_is_refused_for_the_split_that_lacks_them(tmp_path: Path) -> None:
    spec = measured(tmp_path, GRID[:12])  # two places for validation, side by side or not
    with pytest.raises(InputError, match="measured places at least") as caught:
        prepare_dataset(spec.model_copy(update={"min_distance_m": 4.0}), "tests")
    assert caught.value.place.startswith(f"{spec.bank}: split ")


def recorded(folder: Path) -> SamplePlan:
    tests = {"A0": {"samples": 12, "sources": "1-2"}, "A2": {"samples": 8, "sources": "1-2", "genres": "held_out"}}
    spec = recordings_spec(record(folder), train=20, validate=12, tests=tests | {"A1": 6, "R0": {"samples": 8}})
    return plan_samples(spec, PLACE)


def test_recordings_are_built_from_their_manifest(tmp_path: Path) -> None:
    prepared = recorded(tmp_path)
    dataset = build_dataset(prepared, tmp_path / "data")
    assert {part.kind for part in prepared.list_parts()} == {"split"}
    batches = {split: everything(dataset, split) for split in prepared.spec.resolve_splits()}
    for split, batch in batches.items():
        assert len(batch.waves) == prepared.spec.resolve_splits()[split].samples
        own = {place for row in ROWS if split in row[6].split() for place in positions_of(row)}
        assert places_in(batch) <= own
        if split != "A1":
            assert_sounds_from_where_it_says(batch)
    assert not places_in(batches["train"]) & set().union(*(places_in(b) for n, b in batches.items() if n != "train"))
    told = dataset.manifests["A0"].sound_files
    assert told is not None
    assert set(told) == {"manifest", *(row[1] for row in ROWS)}


def test_another_recording_is_another_dataset(tmp_path: Path) -> None:
    before = recorded(tmp_path)
    soundfile.write(tmp_path / "t0.wav", heard(99, ((1.0, 1.0),)), 16_000, subtype="FLOAT")
    after = plan_samples(before.spec, PLACE)
    assert not {part.folder for part in before.list_parts()} & {part.folder for part in after.list_parts()}


def test_noise_on_recordings_is_another_in_every_split(tmp_path: Path) -> None:
    prepared = recorded(tmp_path)
    splits = ("train", "validate")

    def waves(snr_db: float | None) -> list[torch.Tensor]:
        spec = prepared.spec.model_copy(update={"snr_db": None if snr_db is None else (snr_db, snr_db)})
        dataset = build_dataset(prepared.with_spec(spec), tmp_path / str(snr_db))
        return [everything(dataset, split).waves.double() for split in splits]

    noise = [noisy - clean for clean, noisy in zip(waves(None), waves(0.0), strict=True)]
    for clean, added in zip(waves(None), noise, strict=True):
        ratio = clean.square().mean((1, 2, 3)) / added.square().mean((1, 2, 3))
        assert 10 * np.log10(ratio.numpy()) == pytest.approx(0.0, abs=0.2)
    first = [(each[0] / each[0].std()).flatten().numpy() for each in noise]
    assert abs(np.corrcoef(first[0], first[1])[0, 1]) < 6 / np.sqrt(len(first[0]))


def test_another_seed_of_the_training_samples_draws_them_anew_and_shares_all_else(tmp_path: Path) -> None:
    prepared = source(**ECHOING)
    fresh = prepared.with_spec(prepared.spec.with_train_seed(7))
    before, after = build_dataset(prepared, tmp_path), build_dataset(fresh, tmp_path)
    assert not torch.equal(everything(before, "train").waves, everything(after, "train").waves)
    assert not torch.equal(everything(before, "train").positions_m, everything(after, "train").positions_m)
    folders = {part.folder for part in prepared.list_parts()} ^ {part.folder for part in fresh.list_parts()}
    assert {folder.partition("-")[0] for folder in folders} == {"train"}


def test_a_shard_is_made_alone_as_in_company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blueprint, "SHARD_SAMPLES", 4)
    made(tmp_path, **ECHOING)
    prepared, store = source(**ECHOING), storage_at(str(tmp_path))

    def again(part: SamplePart, number: int) -> None:
        shard = part.list_shards()[number]
        before = store.local_path(shard.name).read_bytes()
        store.local_path(shard.name).unlink()
        entry = next(builder.build_in_process(prepared.writer_factory(store, tmp_path), [shard]))
        assert store.local_path(shard.name).read_bytes() == before
        assert entry.sha256 == store.compute_checksum(shard.name)

    for part in prepared.list_parts():
        again(part, len(part.list_shards()) - 1)


def test_hybrid_rooms_are_built_from_the_seed_and_end_later_than_their_image_sources(tmp_path: Path) -> None:
    acoustics = {"method": "hybrid", "rt60_s": 0.4, "rooms": 2, "positions": 30, "source_height_m": 1.5}
    described: dict[str, Any] = ECHOING | {"acoustics": acoustics}
    one = made(tmp_path / "one", **described)
    made(tmp_path / "other", **described)
    for split in ("train", "validate", "S0"):
        assert_apart(everything(one, split), 2.0)
    prepared = source(**described)
    blocks, same = (responses_of(tmp_path / name, "train", prepared) for name in ("one", "other"))
    assert [len(places) for _, places, _ in blocks] == [25, 5, 25, 5]
    for (responses, _, _), (again, _, _) in zip(blocks, same, strict=True):
        assert np.array_equal(responses, again)
        assert responses.shape[-1] > 0.4 * SAMPLE_RATE_HZ
    late = [responses[0, 0, 0, 3_000:4_000].astype(np.float64) for responses, _, _ in blocks[:2]]
    assert abs(np.asarray(np.corrcoef(late))[0, 1]) < 0.2


def test_the_effort_of_responses_is_that_of_the_images_of_every_room() -> None:
    split = {"samples": 4, "acoustics": {"absorption": 0.3, "max_order": 3, "rooms": 3, "positions": 9}}
    prepared = source(train=split, validate=4, tests={"S0": 4}, acoustics={"rt60_s": 0.3, "rooms": 2, "positions": 40})
    effort = {part.split: part.responses for part in prepared.list_parts()}
    by_folder = {part.folder: part.effort for part in prepared.list_parts()}
    assert by_folder[str(effort["train"])] == count_images(3)
    assert by_folder[str(effort["validate"])] > 100 * count_images(3)
    small = prepared.make_miniature()
    assert [part.samples for part in small.list_parts() if part.unit == "places"] == [8, 8, 8]


def test_rooms_draw_their_materials() -> None:
    walls = ["plasterboard", "glass_window", "brickwork"]
    materials = {"walls": walls, "floor": "carpet_thin", "ceiling": ["ceiling_plasterboard"]}
    acoustics = {"materials": materials, "method": "hybrid", "rooms": 6, "positions": 8}
    spec = RoomSpec.model_validate({"acoustics": acoustics})
    assert spec.acoustics is not None
    rooms = [reverberation.draw_room(spec, spec.acoustics, "train", number) for number in range(6)]
    known = [tuple(absorption_of(name).tolist()) for name in walls]
    absorption = [np.asarray(room.absorption) for room in rooms]
    assert {tuple(wall.tolist()) for each in absorption for wall in each[:4]} == set(known)
    assert all(np.array_equal(each[4], absorption_of("carpet_thin")) for each in absorption)
    assert all(np.array_equal(each[5], absorption_of("ceiling_plasterboard")) for each in absorption)


def test_reverberation_longer_than_the_music_allows_is_refused_before_anything_is_computed() -> None:
    for acoustics in ({"rt60_s": 30}, {"absorption": 1e-4}):
        spec = RoomSpec.model_validate({"acoustics": acoustics | {"method": "hybrid"}})
        with pytest.raises(InputError, match="70 dB within 5 s") as caught:
            spec.require_feasible()
        assert caught.value.place == "dataset: acoustics"


def test_a_miniature_has_positions_for_the_largest_number_of_sources() -> None:
    acoustics = {"rt60_s": 0.2, "rooms": 2, "positions": 60}
    for seed in range(12):
        spec = RoomSpec.model_validate({"sources": [4, 4], "acoustics": acoustics, "seed": seed, "tests": {"S0": 4}})
        small = RoomPlan(spec, None, spec.microphones_m()).make_miniature().spec
        split = small.resolve_splits()["train"]
        assert split.acoustics is not None
        places = reverberation.draw_source_positions(spec, split.acoustics, "train", 0)[:, :2]
        assert groups.has_combination(groups.are_separated(places, spec.min_distance_m), 4)


def test_the_microphones_of_a_room_are_as_far_off_as_described_and_the_labels_are_not() -> None:
    acoustics = {"rt60_s": 0.3, "rooms": 40, "positions": 8}
    exact, off = (
        RoomSpec.model_validate({"acoustics": acoustics | more}) for more in ({}, {"microphone_error_m": 0.01})
    )
    assert exact.acoustics is not None
    assert off.acoustics is not None
    errors = np.stack(
        [
            reverberation.draw_room(off, off.acoustics, "train", number).microphones_m
            - reverberation.draw_room(exact, exact.acoustics, "train", number).microphones_m
            for number in range(40)
        ]
    )
    assert errors.std() == pytest.approx(0.01, rel=0.1)
    assert np.array_equal(off.microphones_m(), exact.microphones_m())
    assert len({error.tobytes() for error in errors}) == 40


def test_every_source_position_faces_a_direction_of_its_own(tmp_path: Path) -> None:
    acoustics = {"method": "hybrid", "rt60_s": 0.2, "rooms": 1, "positions": 30}
    facing: dict[str, Any] = ECHOING | {"acoustics": acoustics | {"source_directivity": [0.4, 1.0]}}
    for name, described in (("plain", ECHOING | {"acoustics": acoustics}), ("facing", facing)):
        made(tmp_path / name, **described)
    spec = RoomSpec.model_validate({"acoustics": facing["acoustics"], "seed": ECHOING["seed"]})
    assert spec.acoustics is not None
    drawn = reverberation.draw_directivities(spec, spec.acoustics, "train", 0)
    assert drawn is not None
    assert ((drawn >= [0, 0.4]) & (drawn <= [360, 1])).all()
    assert len(np.unique(drawn, axis=0)) == 30
    [first, second] = responses_of(tmp_path / "facing", "train", source(**facing))
    plain = responses_of(tmp_path / "plain", "train", source(**(ECHOING | {"acoustics": acoustics})))
    for (turned, places, _), (omni, _, _), rows in zip(
        (first, second), plain, (slice(0, 25), slice(25, 30)), strict=True
    ):
        offsets = spec.microphones_m()[0, 0] - places[:, :2]
        cosine = np.cos(np.arctan2(offsets[:, 1], offsets[:, 0]) - np.deg2rad(drawn[rows, 0]))
        expected = drawn[rows, 1] + (1 - drawn[rows, 1]) * cosine
        onset = [int(np.argmax(np.abs(each) > 0.5 * np.abs(each).max())) for each in omni[:, 0, 0].astype(np.float64)]
        direct = [turned[index, 0, 0, at] / omni[index, 0, 0, at] for index, at in enumerate(onset)]
        assert np.corrcoef(direct, expected).min() > 0.9
