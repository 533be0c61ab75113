"""Scenes on disk: made once, checked, and only what is spoilt is made again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets.building.builder import Builder
from datasets.building.manifest import MANIFEST
from datasets.scenes.provider import SceneProvider
from datasets.scenes.spec import SceneSpec
from runtime.storage import storage_at


@pytest.mark.slow
def test_checking_leaves_what_is_whole_as_it_is_and_makes_what_is_spoilt_again(tmp_path: Path) -> None:
    source = SceneProvider.from_spec(SceneSpec(folds={1: 1}), "tests")
    store = storage_at(str(tmp_path / "data"))
    assert source.build(Builder(store)) == ()
    folder = tmp_path / "data" / source.plan.folder_name
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*.*")}
    written = json.loads(before[folder / MANIFEST][0])
    assert (written["part"], len(written["shards"]), written["identity"]["events"]) == (folder.name, 1, "procedural")
    assert set(written["versions"]) == {"torch", "numpy", "scipy", "pyroomacoustics"}
    assert source.build(Builder(store), verify=True) == ()
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*.*")} == before
    sound = next(folder.glob("foa_dev/*.wav"))
    sound.write_bytes(before[sound][0][:-2] + b"xx")
    assert source.build(Builder(store), verify=True) == (written["shards"][0]["name"],)
    assert {path: path.read_bytes() for path in before} == {path: content for path, (content, _) in before.items()}
