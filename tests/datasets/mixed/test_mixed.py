"""Datasets of several kinds: each split comes from its own, arrays agree, and no split plays the music of another."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from datasets.building.builder import Builder
from datasets.mixed.provider import MixedProvider
from datasets.mixed.spec import MixedSpec
from datasets.registry import AnySpec, prepare_dataset
from datasets.rooms.dataset import Dataset
from runtime.errors import InputError
from runtime.storage import storage_at
from tests.datasets.recorded import record
from trainables.localizer.config import LocalizerConfig
from trainables.localizer.trainable import Localizer

ROOM: dict[str, Any] = {
    "kind": "room",
    "train": 24,
    "validate": 8,
    "tests": {"S0": 8, "S1": 8},
    "excerpts": 8,
    "excerpt_s": 1,
}
PLACE = "space.yaml: dataset.kind"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("recordings"))


def recordings(manifest: Path, **changes: Any) -> dict[str, Any]:
    tests = {"A0": {"samples": 10, "sources": "1-2"}, "A1": {"samples": 6, "sources": 3}}
    tests |= {"A2": {"samples": 6, "sources": "1-2", "genres": "held_out"}, "R0": {"samples": 4, "sources": "1-2"}}
    return {"kind": "recordings", "manifest": str(manifest), "train": 20, "validate": 12, "tests": tests} | changes


def read(**parts: Any) -> MixedSpec:
    spec = TypeAdapter(AnySpec).validate_python({"kind": "mixed", **parts})
    assert isinstance(spec, MixedSpec)
    return spec


def built(spec: MixedSpec, folder: Path) -> tuple[MixedProvider, Dataset]:
    provider = prepare_dataset(spec, PLACE)
    assert isinstance(provider, MixedProvider)
    store = storage_at(str(folder))
    assert provider.missing_bytes(store)
    provider.build(Builder(store, lambda *_: None))
    assert provider.missing_bytes(store) == {}
    return provider, provider.open_dataset(store, folder)


def test_a_localizer_learns_from_rooms_and_is_judged_on_recordings(manifest: Path, tmp_path: Path) -> None:
    real = recordings(manifest)
    spec = read(train=ROOM, validate=real, tests=[real, ROOM])
    provider, data = built(spec, tmp_path)
    sizes = {"train": 24, "validate": 12, "A0": 10, "A1": 6, "A2": 6, "R0": 4, "S0": 8, "S1": 8}
    assert {entry.name: entry.samples for entry in provider.list_splits()} == sizes
    assert {name: len(data.open_split(name)) for name in sizes} == sizes
    kinds = {path.name.partition("-")[0] for path in tmp_path.iterdir()}
    assert kinds == {"music", *sizes}  # no training split of the recordings, no validation split of the rooms
    assert len(list(tmp_path.glob("train-*"))) == len(list(tmp_path.glob("validate-*"))) == 1
    model = Localizer(
        LocalizerConfig.model_validate({"network": {"width": 8, "tail_width": 8, "decoder_width": 16}}),
        data,
        device="cpu",
        seed=0,
        epochs=1,
    )
    model.train_epoch()
    for split in ("validate", *spec.test_names()):
        assert 0 <= model.evaluate(split, [{}])[0]["f1_mean"] <= 1


def test_training_sets_of_two_kinds_are_concatenated(manifest: Path, tmp_path: Path) -> None:
    three = ROOM | {"sources": "1-3"}  # more slots than the recordings
    spec = read(train=[three, recordings(manifest)], validate=three, tests=three)
    provider, data = built(spec, tmp_path)
    train = data.open_split("train")
    assert (len(train), provider.list_splits()[0].samples) == (44, 44)
    assert train.positions_m.shape == (44, 3, 2)
    assert [int((~batch.isnan().any(-1)).sum()) for batch in train.positions_m] == train.counts.tolist()
    batch = train.read_batch(np.array([43, 0, 24]))
    assert batch.waves.shape == (3, 2, 4, 2560)
    alone, _ = built(read(train=recordings(manifest), validate=three, tests=three), tmp_path / "alone")
    assert provider.fingerprint != alone.fingerprint
    config = LocalizerConfig.model_validate({"optimizer": {"batch_size": 10}})
    assert config.epoch_presentations(provider) == 40


def test_a_part_that_is_built_alone_is_shared(tmp_path: Path) -> None:
    _, data = built(read(train=ROOM, validate=ROOM, tests=ROOM), tmp_path)
    alone = prepare_dataset(TypeAdapter(AnySpec).validate_python(ROOM), PLACE)
    assert alone.missing_bytes(data.store) == {}


def test_the_provider_can_be_pickled_and_varied(manifest: Path) -> None:
    spec = read(train=ROOM, validate=recordings(manifest), tests=recordings(manifest))
    provider = prepare_dataset(spec, PLACE)
    assert pickle.loads(pickle.dumps(provider)).fingerprint == provider.fingerprint
    changed = spec.with_changes({"train.snr_db": 20, "train.samples": 30})
    assert changed.write_out()["train"]["snr_db"] == [20.0, 20.0]
    other = provider.with_spec(changed)
    before, after = ({entry.name: entry.digest for entry in one.list_splits()} for one in (provider, other))
    assert [name for name in before if before[name] != after[name]] == ["train"]
    reseeded = provider.with_spec(spec.with_train_seed(5))
    assert reseeded.list_splits()[0] != provider.list_splits()[0]
    assert reseeded.list_splits()[1:] == provider.list_splits()[1:]
    assert TypeAdapter(AnySpec).validate_python(spec.model_dump(mode="json", by_alias=True)) == spec


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layout": "kinect_opposite_walls"}, " of array 0 at "),
        ({"arrays": [{"centre_m": [0, 0], "model": "uma_8"}]}, "2 arrays of 4 microphones"),
    ],
)
def test_arrays_that_disagree_are_refused_with_their_place(
    changed: dict[str, Any], message: str, manifest: Path
) -> None:
    other = ROOM | {"seed": 1} | changed
    spec = read(train=other, validate=recordings(manifest), tests=recordings(manifest))
    with pytest.raises(InputError, match="the same microphones") as caught:
        prepare_dataset(spec, PLACE)
    assert caught.value.place == "space.yaml: dataset.validate"
    assert message in str(caught.value)


def test_descriptions_that_cannot_be_mixed_are_refused(manifest: Path) -> None:
    with pytest.raises(ValidationError, match="two datasets of tests have a split 'S0'"):
        read(train=ROOM, validate=ROOM, tests=[ROOM, ROOM])
    with pytest.raises(ValidationError, match="the same area, size_m; they have 5 × 6 m, 6 × 6 m"):
        read(train=ROOM | {"size_m": [5, 6]}, validate=recordings(manifest), tests=recordings(manifest))
    with pytest.raises(ValidationError, match="has its own kind: room, measured or recordings"):
        read(train=ROOM | {"kind": "scenes"}, validate=ROOM, tests=ROOM)


def test_parts_that_play_the_same_music_divide_it_alike() -> None:
    with pytest.raises(
        ValidationError, match=r"write the same tests \(names and genres\) in each of them, or another seed"
    ):
        read(train=ROOM, validate=ROOM | {"tests": {"S0": 8}}, tests=ROOM)
    read(train=ROOM | {"snr_db": 20}, validate=ROOM | {"tests": {"S0": 8}, "seed": 1}, tests=ROOM)
