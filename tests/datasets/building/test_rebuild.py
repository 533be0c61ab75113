"""Builds that are interrupted, damaged or asked for something else: what is whole and still wanted is left alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.building import builder
from datasets.building import parts as blueprint
from datasets.building.builder import Builder
from datasets.building.manifest import Manifest, ShardEntry
from datasets.building.parts import Shard
from datasets.building.plan import WriteShard, missing_parts
from datasets.rooms.dataset import Dataset, build_dataset, find_dataset, open_dataset
from datasets.rooms.plan import SamplePlan
from runtime.errors import InputError
from runtime.storage import storage_at
from tests.datasets.small import ECHO, content, flip, folders, made, part_of, root_of, shard_of, source

pytestmark = pytest.mark.usefixtures("small_shards")


def test_an_interrupted_build_goes_on_and_leaves_whole_shards_alone(built: Dataset) -> None:
    before = content(root_of(built))
    lost = [shard_of(root_of(built), "train", 1), shard_of(root_of(built), "S1")]
    for path in [*lost, *(shard.parent / "manifest.json" for shard in lost)]:
        path.unlink()
    half = lost[0].with_name(f".{lost[0].name}.4711.part")
    half.write_bytes(b"half a shard")
    kept = {path: path.stat().st_mtime_ns for path in root_of(built).glob("*/[!.]*.arrow")}
    made(root_of(built))
    assert not half.exists()
    assert content(root_of(built)) == before
    assert len(kept) == 8 - 2
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_finished_dataset_is_opened_and_not_built_again(built: Dataset) -> None:
    stages: list[str] = []
    again = build_dataset(source(), root_of(built), lambda what, *_: stages.append(what))
    assert (again.fingerprint, again.spec, again.manifests) == (built.fingerprint, built.spec, built.manifests)
    assert stages == []


def test_a_shard_that_was_cut_off_is_made_again(built: Dataset) -> None:
    shard = shard_of(root_of(built), "train", 1)
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    assert built.manifests["train"].list_incomplete(built.store) == (part_of("train").list_shards()[1].name,)
    assert find_dataset(source(), built.store) is None
    made(root_of(built))
    assert shard.read_bytes() == whole


@pytest.mark.parametrize("finished", [True, False])
def test_half_a_shard_under_its_final_name_is_not_taken_for_whole(built: Dataset, finished: bool) -> None:
    shard = shard_of(root_of(built), "S1")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    if not finished:
        (shard.parent / "manifest.json").unlink()
    assert made(root_of(built)).find_damaged() == ()
    assert shard.read_bytes() == whole


def test_a_build_that_mends_a_missing_shard_mends_a_spoilt_one_of_its_part_too(built: Dataset) -> None:
    before = content(root_of(built))
    flip(shard_of(root_of(built), "train", 0))
    shard_of(root_of(built), "train", 2).unlink()
    made(root_of(built))
    assert content(root_of(built)) == before


def test_a_flipped_bit_is_found_and_its_shard_named(built: Dataset) -> None:
    assert built.find_damaged() == ()
    flip(shard_of(root_of(built), "S0"))
    assert built.find_damaged() == (part_of("S0").list_shards()[0].name,)
    assert built.manifests["S0"].list_incomplete(built.store) == ()  # reads no content, by its own word
    assert missing_parts(source(), built.store) == ()


def test_a_missing_shard_is_named_and_the_dataset_not_found(built: Dataset) -> None:
    shard_of(root_of(built), "validate").unlink()
    manifest = built.manifests["validate"]
    assert manifest.list_incomplete(built.store) == built.find_damaged() == (part_of("validate").list_shards()[0].name,)
    assert missing_parts(source(), built.store) == (part_of("validate"),)
    assert find_dataset(source(), built.store) is None


def test_a_dataset_is_found_only_when_it_is_there(built: Dataset, tmp_path: Path) -> None:
    assert find_dataset(source(), built.store) is not None
    assert find_dataset(source(seed=1), built.store) is None
    assert find_dataset(source(), storage_at(str(tmp_path / "elsewhere"))) is None


def test_what_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be there") as caught:
        open_dataset(source(), storage_at(str(tmp_path)), tmp_path)
    assert "python -m datasets.generate" in caught.value.remedy


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"part": "x", "shards": []}', '{"shards": [{"name": 3}]}'])
def test_a_broken_manifest_is_named(built: Dataset, text: str) -> None:
    manifest = shard_of(root_of(built), "S0").parent / "manifest.json"
    manifest.write_text(text)
    with pytest.raises(InputError, match="readable manifest") as caught:
        made(root_of(built))
    assert caught.value.place == str(manifest)
    assert "delete that folder" in caught.value.remedy


def test_a_part_without_a_manifest_is_not_finished(built: Dataset) -> None:
    (shard_of(root_of(built), "S0").parent / "manifest.json").unlink()
    assert Manifest.read(built.store, part_of("S0").folder) is None
    assert missing_parts(source(), built.store) == (part_of("S0"),)


ECHOING = {"train": 8, "validate": 8, "tests": {"S0": 4}, "acoustics": ECHO, "seed": 5}


@pytest.fixture(scope="module")
def echoing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("echoing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blueprint, "SHARD_SAMPLES", 4)
        made(root, **ECHOING)
    return root


def folders_of(made_from: SamplePlan) -> dict[str, str]:
    """Folder of every split, and of its music and responses under the split's name and `music` or `responses`."""
    named = {}
    for part in made_from.list_parts():
        named[part.split or part.kind] = part.folder
        named |= {f"{part.split}'s responses": part.responses} if part.responses else {}
    return named


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({"train": 12}, {"train"}),
        ({"train": {"samples": 8, "snr_db": 20}}, {"train"}),
        ({"train": {"samples": 8, "sources": 1}}, {"train"}),
        ({"validate": 12}, {"validate"}),
        ({"tests": {"S0": 3}}, {"S0"}),
        (
            {"train": {"samples": 8, "acoustics": ECHO | {"rt60_s": 0.35}}},
            {"train", "train's responses"},
        ),
        ({"train": {"samples": 8, "acoustics": {"rt60_s": 0}}}, {"train"}),
        ({"acoustics": ECHO | {"positions": 9}}, {"train", "validate", "S0"}),
        ({"snr_db": 20}, {"train", "validate", "S0"}),
        ({"gate": 0.021}, {"train", "validate", "S0"}),
        ({"excerpt_s": 1.5}, {"train", "validate", "S0", "music"}),
    ],
    ids=lambda value: repr(sorted(value) if isinstance(value, set) else value),
)
def test_only_the_parts_that_a_change_concerns_get_other_folders(change: dict[str, Any], moved: set[str]) -> None:
    before, after = folders_of(source(**ECHOING)), folders_of(source(**(ECHOING | change)))
    rooms = {name for name in before if name.endswith("responses")}
    assert {name for name in after if name not in rooms and after[name] != before[name]} == moved - rooms
    if "acoustics" not in change:
        still = rooms & set(after)
        assert {name for name in still if after[name] != before[name]} == moved & still


def test_samples_of_one_split_do_not_depend_on_the_size_of_another(built: Dataset, tmp_path: Path) -> None:
    more = made(tmp_path / "more", train=56)
    first, second = folders(root_of(built)), folders(root_of(more))
    assert first.keys() ^ second.keys() == {
        part_of("train").folder,
        part_of("train", source(train=56)).folder,
    }
    assert all(first[name] == second[name] for name in first.keys() & second.keys())
    shards = [shard_of(root_of(each), "train", 0, source(train=size)) for each, size in ((built, 40), (more, 56))]
    assert shards[0].read_bytes() == shards[1].read_bytes()  # the larger set begins with the smaller one


@pytest.mark.parametrize(
    "change",
    [
        {"train": 56},
        {"train": {"samples": 40, "snr_db": 20}},
        {"train": {"samples": 40, "acoustics": ECHO}},
    ],
    ids=repr,
)
def test_another_training_set_is_made_beside_what_is_there(built: Dataset, change: dict[str, Any]) -> None:
    root = root_of(built)
    there = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    asked: list[str] = []

    def over(factory: Callable[[], WriteShard], shards: Sequence[Shard]) -> Iterator[ShardEntry]:
        asked.extend(shard.part for shard in shards)
        return builder.build_in_process(factory, shards)

    other = source(**change)
    Builder(storage_at(str(root)), over=over).build(other)
    own = {part.folder for part in other.list_parts()} - {part.folder for part in source().list_parts()}
    assert set(asked) == own
    assert {name.partition("-")[0] for name in own} <= {"train", "responses"}
    assert {path: path.stat().st_mtime_ns for path in there} == there
    both = [open_dataset(each, storage_at(str(root)), root) for each in (source(), other)]
    assert both[0].manifests["validate"] == both[1].manifests["validate"]
    first = [each.open_split("train").read_batch(np.arange(8)).waves for each in both]
    assert first[0].equal(first[1]) == (change == {"train": 56})


class KilledError(Exception):
    pass


@pytest.mark.parametrize("after", [0, 1, 2, 5, 8])
def test_a_build_that_is_killed_goes_on_and_ends_with_the_same_bytes(
    echoing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(blueprint, "SHARD_SAMPLES", 4)
    made_shards: list[str] = []

    def until_killed(factory: Callable[[], WriteShard], shards: Sequence[Shard]) -> Iterator[ShardEntry]:
        make = factory()
        for shard in shards:
            if len(made_shards) == after:
                raise KilledError
            made_shards.append(shard.name)
            yield make(shard)

    prepared, store = source(**ECHOING), storage_at(str(tmp_path))
    with pytest.raises(KilledError):
        Builder(store, over=until_killed).build(prepared)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.arrow")} == set(made_shards)
    assert not list(tmp_path.rglob("manifest.json"))
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in made_shards}
    Builder(store).build(prepared)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in made_shards} == before
    assert content(tmp_path) == content(echoing)


def test_verifying_finds_a_flipped_bit_anywhere_and_makes_its_shard_again(
    echoing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blueprint, "SHARD_SAMPLES", 4)
    prepared, store = source(**ECHOING), storage_at(str(tmp_path / "copy"))
    shutil.copytree(echoing, tmp_path / "copy")
    assert Builder(store).build(prepared, verify=True) == ()
    spoilt = sorted(part.list_shards()[-1].name for part in prepared.list_parts())
    assert {name.partition("-")[0] for name in spoilt} == {"music", "responses", "train", "validate", "S0"}
    for name in spoilt:
        flip(store.local_path(name))
    assert Builder(store).build(prepared) == ()  # reads no content
    assert Builder(store).build(prepared, verify=True) == tuple(spoilt)
    assert content(tmp_path / "copy") == content(echoing)


def test_a_shard_without_its_checksum_is_made_again_where_no_manifest_vouches_for_it(built: Dataset) -> None:
    before = content(root_of(built))
    shard = shard_of(root_of(built), "train", 1)
    shard.with_name(f"{shard.name}.sha256").unlink()
    shard.write_bytes(b"somebody's file")
    (shard.parent / "manifest.json").unlink()
    kept = shard_of(root_of(built), "train", 0).stat().st_mtime_ns
    made(root_of(built))
    assert content(root_of(built)) == before
    assert shard_of(root_of(built), "train", 0).stat().st_mtime_ns == kept


def test_music_and_responses_may_be_deleted_once_the_splits_are_made(
    echoing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blueprint, "SHARD_SAMPLES", 4)
    prepared, root = source(**ECHOING), tmp_path / "copy"
    shutil.copytree(echoing, root)
    for part in prepared.list_parts():
        if part.kind != "split":
            shutil.rmtree(root / part.folder)
    assert missing_parts(prepared, storage_at(str(root))) == ()
    assert open_dataset(prepared, storage_at(str(root)), root).find_damaged() == ()
    shard_of(root, "S0", 0, prepared).unlink()  # which needs the music and the tests' responses, not training's
    Builder(storage_at(str(root))).build(prepared)
    there = {part.folder for part in prepared.list_parts() if (root / part.folder).exists()}
    assert {part.folder for part in prepared.list_parts()} - there == {
        part_of("train", prepared).responses,
        part_of("validate", prepared).responses,
    }
    assert folders(root) == {name: files for name, files in folders(echoing).items() if name in there}
