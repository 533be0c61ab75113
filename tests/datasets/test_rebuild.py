"""Builds that are interrupted, damaged or asked for something else: what is whole and still wanted is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets import build
from datasets.errors import InputError
from datasets.manifest import Manifest, missing
from datasets.shards import Dataset
from datasets.store import Store
from tests.datasets.small import content, flip, made, part_of, root_of, shard_of, source

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
    again = build.build(source(), root_of(built), lambda what, *_: stages.append(what))
    assert (again.fingerprint, again.spec, again.manifests) == (built.fingerprint, built.spec, built.manifests)
    assert stages == []


def test_a_shard_that_was_cut_off_is_made_again(built: Dataset) -> None:
    shard = shard_of(root_of(built), "train", 1)
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    assert built.manifests["train"].incomplete(built.store) == (part_of("train").shards()[1].name,)
    assert build.find(source(), built.store) is None
    made(root_of(built))
    assert shard.read_bytes() == whole


@pytest.mark.parametrize("finished", [True, False])
def test_half_a_shard_under_its_final_name_is_not_taken_for_whole(built: Dataset, finished: bool) -> None:
    shard = shard_of(root_of(built), "S1")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    if not finished:
        (shard.parent / "manifest.json").unlink()
    assert made(root_of(built)).damaged() == ()
    assert shard.read_bytes() == whole


def test_a_build_that_mends_a_missing_shard_mends_a_spoilt_one_of_its_part_too(built: Dataset) -> None:
    before = content(root_of(built))
    flip(shard_of(root_of(built), "train", 0))
    shard_of(root_of(built), "train", 2).unlink()
    made(root_of(built))
    assert content(root_of(built)) == before


def test_a_flipped_bit_is_found_and_its_shard_named(built: Dataset) -> None:
    assert built.damaged() == ()
    flip(shard_of(root_of(built), "S0"))
    assert built.damaged() == (part_of("S0").shards()[0].name,)
    assert built.manifests["S0"].incomplete(built.store) == ()  # reads no content, by its own word
    assert missing(source(), built.store) == ()


def test_a_missing_shard_is_named_and_the_dataset_not_found(built: Dataset) -> None:
    shard_of(root_of(built), "validate").unlink()
    manifest = built.manifests["validate"]
    assert manifest.incomplete(built.store) == built.damaged() == (part_of("validate").shards()[0].name,)
    assert missing(source(), built.store) == (part_of("validate"),)
    assert build.find(source(), built.store) is None


def test_a_dataset_is_found_only_when_it_is_there(built: Dataset, tmp_path: Path) -> None:
    assert build.find(source(), built.store) is not None
    assert build.find(source(seed=1), built.store) is None
    assert build.find(source(), Store(str(tmp_path / "elsewhere"))) is None


def test_what_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be there") as caught:
        build.opened(source(), Store(str(tmp_path)), tmp_path)
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
    assert missing(source(), built.store) == (part_of("S0"),)
