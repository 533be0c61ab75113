"""A small dataset in small shards, built once a run and copied for every test that may spoil it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datasets.building import parts
from datasets.rooms.dataset import Dataset, open_dataset
from runtime.storage import storage_at
from tests.datasets.small import SHARD, made, source


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SHARD_SAMPLES", SHARD)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "SHARD_SAMPLES", SHARD)
        made(root)
    return root


@pytest.fixture
def built(template: Path, tmp_path: Path, small_shards: None) -> Dataset:
    root = tmp_path / "datasets"
    shutil.copytree(template, root)
    return open_dataset(source(), storage_at(str(root)), root)
