"""Arrays in files: the forms that are read, the splits that come of them, and the mistakes that are named."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from datasets.arrays.provider import ArraysProvider
from datasets.arrays.spec import ArraysSpec
from datasets.building.builder import Builder
from datasets.config_file import read_specs
from datasets.registry import prepare_dataset
from runtime.errors import InputError
from runtime.storage import storage_at

Arrays = dict[str, Any]
Writer = Callable[[Path, Arrays], Path]


def draw(rows: int, seed: int) -> Arrays:
    x = np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)
    return {"x": x, "y": (x.sum(axis=1) > 0).astype(np.int64)}


def write_npz(path: Path, arrays: Arrays) -> Path:
    np.savez(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def write_folder(path: Path, arrays: Arrays) -> Path:
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    (path / ".DS_Store").write_bytes(b"x")
    return path


def to_table(arrays: Arrays) -> pa.Table:
    columns = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(a.ravel()), a.shape[1])
        if a.ndim == 2
        else pa.array(a.tolist())
        for name, a in arrays.items()
    }
    return pa.table(columns)


def write_arrow(path: Path, arrays: Arrays) -> Path:
    table = to_table(arrays)
    with pa.ipc.new_file(path.with_suffix(".arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return path.with_suffix(".arrow")


def write_stream(path: Path, arrays: Arrays) -> Path:
    table = to_table(arrays)
    with pa.ipc.new_stream(path.with_suffix(".arrow"), table.schema) as writer:
        writer.write_table(table)
    return path.with_suffix(".arrow")


def write_parquet(path: Path, arrays: Arrays) -> Path:
    parquet.write_table(to_table(arrays), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def write_tables(path: Path, arrays: Arrays) -> Path:
    path.mkdir()
    half = len(arrays["y"]) // 2
    write_parquet(path / "0", {name: array[:half] for name, array in arrays.items()})
    write_parquet(path / "1", {name: array[half:] for name, array in arrays.items()})
    return path


WRITERS = (write_npz, write_folder, write_arrow, write_stream, write_parquet, write_tables)


def prepared(folder: Path, **dataset: Any) -> ArraysProvider:
    provider = prepare_dataset(ArraysSpec.model_validate(dataset), "space.yaml: dataset.train")
    assert isinstance(provider, ArraysProvider)
    return provider


def opened(folder: Path, provider: ArraysProvider) -> Any:
    return provider.open_dataset(storage_at(str(folder / "datasets")), folder / "cache")


@pytest.mark.parametrize("write", WRITERS)
def test_every_form_gives_the_same_arrays_and_fingerprint(tmp_path: Path, write: Writer) -> None:
    train, validate = draw(20, 0), draw(10, 1)
    files = {"train": str(write(tmp_path / "a", train)), "validate": str(write(tmp_path / "b", validate))}
    provider = prepared(tmp_path, **files)
    reference = prepared(
        tmp_path, train=str(write_npz(tmp_path / "c", train)), validate=str(write_npz(tmp_path / "d", validate))
    )
    assert provider.fingerprint == reference.fingerprint
    assert [(split.name, split.samples) for split in provider.list_splits()] == [("train", 20), ("validate", 10)]
    data = opened(tmp_path, pickle.loads(pickle.dumps(provider)))
    np.testing.assert_array_equal(data.train["x"], train["x"])
    np.testing.assert_array_equal(data.validate["y"], validate["y"])
    assert data.tensors("train")["x"].shape == (20, 3)
    assert data.shapes == {"x": (3,), "y": ()}
    assert {name: data.count_rows(name) for name in data.split_names} == {"train": 20, "validate": 10}
    assert data["train"] is data.train
    with pytest.raises(KeyError, match="no split 'test'"):
        data.split("test")


def test_npy_files_are_memory_mapped(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a", draw(20, 0))
    data = opened(tmp_path, prepared(tmp_path, train=str(folder), validate=str(write_npz(tmp_path / "b", draw(5, 1)))))
    assert isinstance(data.train["x"], np.memmap)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("marks", [("train", "validate", "test"), (1, 2, 3), (1.0, 2.0, 3.0)])
def test_a_file_with_all_rows_is_divided_by_one_of_its_arrays(
    tmp_path: Path, write: Writer, marks: tuple[Any, ...]
) -> None:
    arrays = draw(12, 0) | {"fold": np.array([marks[i % 3] for i in range(12)])}
    named = {} if marks[0] == "train" else {"train": 1, "validate": [2], "tests": {"test": 3}}
    provider = prepared(tmp_path, file=str(write(tmp_path / "a", arrays)), split="fold", **named)
    data = opened(tmp_path, provider)
    for first, name in enumerate(("train", "validate", "test")):
        assert list(data.split(name)) == ["x", "y"]
        np.testing.assert_array_equal(data.split(name)["x"], arrays["x"][first::3])


def test_a_share_of_the_training_rows_is_divided_off_in_the_same_way_every_time(tmp_path: Path) -> None:
    arrays = draw(50, 0)
    train = str(write_npz(tmp_path / "a", arrays))
    first, again, other = (prepared(tmp_path, train=train, validate=0.2, seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    data = opened(tmp_path, first)
    rows = [*data.train["x"].tolist(), *data.validate["x"].tolist()]
    assert (len(data.train["y"]), len(data.validate["y"])) == (40, 10)
    assert sorted(rows) == sorted(arrays["x"].tolist())
    assert "divided with seed 0" in first.describe_notes()[1]


def test_the_fingerprint_follows_the_values_and_not_the_place(tmp_path: Path) -> None:
    validate = str(write_npz(tmp_path / "v", draw(5, 9)))
    first = prepared(tmp_path, train=str(write_npz(tmp_path / "a", draw(20, 0))), validate=validate)
    moved = prepared(tmp_path, train=str(write_npz(tmp_path / "b", draw(20, 0))), validate=validate)
    changed = draw(20, 0)
    changed["y"][3] += 1
    other = prepared(tmp_path, train=str(write_npz(tmp_path / "c", changed)), validate=validate)
    assert first.fingerprint == moved.fingerprint != other.fingerprint
    assert first.list_splits()[1] == other.list_splits()[1]


def test_what_the_plan_says(tmp_path: Path) -> None:
    train, validate = draw(20, 0), draw(10, 1)
    validate["x"][:3], validate["y"][:3] = train["x"][5:8], train["y"][5:8]
    validate["x"][4] = np.nan
    files = {"train": str(write_npz(tmp_path / "a", train)), "validate": str(write_npz(tmp_path / "b", validate))}
    assert prepared(tmp_path, **files).describe_notes() == [
        "arrays x float32 (3), y int64",
        "validate: 3 values of x are NaN or infinite",
        "3 of 10 rows of validate are also in train",
    ]


def test_a_file_that_changes_during_a_search_is_named(tmp_path: Path) -> None:
    files = {name: str(write_npz(tmp_path / name, draw(9, seed))) for seed, name in enumerate(("train", "validate"))}
    provider = prepared(tmp_path, **files)
    write_npz(tmp_path / "train", draw(8, 0))
    with pytest.raises(InputError, match="must not change"):
        opened(tmp_path, provider).split("train")


def test_an_object_array_is_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}, []], object))
    with pytest.raises(InputError, match="Python objects are not read"):
        prepared(tmp_path, train=str(tmp_path / "a.npy"), validate=0.5)


def test_nothing_is_built_in_a_folder_and_a_bucket_gets_a_copy(tmp_path: Path) -> None:
    files = {name: str(write_npz(tmp_path / name, draw(9, seed))) for seed, name in enumerate(("train", "validate"))}
    provider = prepared(tmp_path, **files)
    assert provider.missing_bytes(storage_at(str(tmp_path / "store"))) == {}
    bucket = storage_at((tmp_path / "bucket").as_uri())
    assert not bucket.is_local
    assert set(provider.missing_bytes(bucket)) == {split.folder for split in provider.list_splits()}
    for split in provider.list_splits():
        (tmp_path / "bucket" / split.folder).mkdir(parents=True)  # a bucket has no folders
    provider.build(Builder(bucket))
    assert provider.missing_bytes(bucket) == {}
    for path in files.values():
        Path(path).unlink()  # the other machine does not have it
    data = provider.open_dataset(bucket, tmp_path / "cache")
    np.testing.assert_array_equal(data.train["x"], draw(9, 0)["x"])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("hello"), "readable .npz file"),
    "empty file": (lambda path: path.write_bytes(b""), "readable .npz file"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:200]), "readable .npz file"),
    "objects": (lambda path: np.savez(path, x=np.array([{}, []], object)), "Python objects"),
    "no arrays": (np.savez, "at least one row"),
    "no rows": (lambda path: np.savez(path, x=np.zeros((0, 3)), y=np.zeros(0)), "at least one row"),
    "lengths": (lambda path: np.savez(path, x=np.zeros((3, 3)), y=np.zeros(2)), "the same number of rows"),
    "a scalar": (lambda path: np.savez(path, x=np.zeros((3, 3)), y=np.float64(1)), "one row per sample"),
    "times": (lambda path: np.savez(path, x=np.zeros(3, "datetime64[s]")), "numbers, truth values or text"),
    "records": (lambda path: np.savez(path, x=np.zeros(3, [("a", "f4")])), "numbers, truth values or text"),
    "other names": (
        lambda path: np.savez(path, X=np.zeros((3, 3), "f4"), y=np.zeros(3, "i8")),
        "arrays of the training",
    ),
    "other shape": (lambda path: np.savez(path, x=np.zeros((3, 4), "f4"), y=np.zeros(3, "i8")), "type and shape"),
    "other type": (lambda path: np.savez(path, x=np.zeros((3, 3), "f8"), y=np.zeros(3, "i8")), "type and shape"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_named_with_the_reason(tmp_path: Path, case: str) -> None:
    files = {name: write_npz(tmp_path / name, draw(9, seed)) for seed, name in enumerate(("train", "validate"))}
    spoil, rule = BAD[case]
    spoil(files["validate"])
    with pytest.raises(InputError, match=rule) as caught:
        prepared(tmp_path, **{name: str(path) for name, path in files.items()})
    assert str(files["validate"]) in caught.value.place


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("a.csv", b"1,2", "suffix"),
        ("a.npy", b"1,2", "readable .npy file"),
        ("a.arrow", b"ARROW1", "readable .arrow file"),
        ("a.parquet", b"PAR1", "readable .parquet file"),
        ("a.npy", pickle.dumps([1, 2]), "readable .npy file"),
        ("folder/read.me", b"", r"one \.npy file per array"),
    ],
)
def test_a_file_of_another_format_is_named(tmp_path: Path, name: str, content: bytes, rule: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    given = path.parent if "/" in name else path
    with pytest.raises(InputError, match=rule):
        prepared(tmp_path, train=str(given), validate=0.5)


def test_lists_of_different_length_and_nulls_are_refused(tmp_path: Path) -> None:
    for column, rule in (([[1.0], [2.0, 3.0]], "same length"), ([1.0, None], "no nulls")):
        parquet.write_table(pa.table({"x": column}), tmp_path / "a.parquet")
        with pytest.raises(InputError, match=rule) as caught:
            prepared(tmp_path, train=str(tmp_path / "a.parquet"), validate=0.5)
        assert caught.value.place.endswith("a.parquet, column x")


@pytest.mark.parametrize(
    ("dataset", "key", "rule"),
    [
        ({"validate": 0.1}, "dataset", "`train` must name a file"),
        ({"train": "a.npz"}, "dataset", "`validate` must name a file or folder or a share"),
        ({"train": "a.npz", "validate": 1.5}, "dataset", "between 0 and 1"),
        ({"train": 3, "validate": 0.1}, "dataset", "`train` must name one file"),
        ({"train": "a.npz", "validate": 0.1, "tests": {"train": "b.npz"}}, "dataset", "cannot be called train"),
        ({"train": "a.npz", "validate": 0.1, "tests": {"a/b": "b.npz"}}, "dataset.tests", "text|letters"),
        ({"train": "a.npz", "validate": 0.1, "splits": 1}, "dataset.splits", "must be known"),
    ],
)
def test_a_wrong_description_is_answered_with_its_key(
    tmp_path: Path, dataset: dict[str, Any], key: str, rule: str
) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(str({"kind": "arrays", **dataset}), encoding="utf-8")
    with pytest.raises(InputError, match=rule) as caught:
        read_specs(path, has_gpu=False)
    assert caught.value.place.startswith(f"{path}: {key}")


@pytest.mark.parametrize(
    ("dataset", "key", "rule"),
    [
        ({"train": "none.npz", "validate": 0.1}, "dataset.train", "must exist"),
        ({"train": "a.npz", "validate": "none.npz"}, "dataset.validate", "must exist"),
        ({"train": "a.npz", "validate": 0.1, "tests": {"S0": "none.npz"}}, "dataset.tests.S0", "must exist"),
        ({"file": "none.npz"}, "dataset.file", "must exist"),
        ({"train": "a.npz", "validate": "./a.npz"}, "dataset.validate", "no two splits"),
        ({"train": "a.npz", "validate": 0.1, "tests": {"S0": "a.npz"}}, "dataset.tests.S0", "no two splits"),
        ({"file": "a.npz", "split": "y", "train": [0, 1], "validate": 1}, "dataset.validate", "no two splits"),
        ({"file": "a.npz"}, "a.npz", "the array split names the split"),
        ({"file": "a.npz", "split": "y", "train": 0, "validate": 7, "tests": {}}, "a.npz, array y", "value 7"),
        ({"file": "a.npz", "split": "x"}, "a.npz, array x", "one value per row"),
    ],
)
def test_splits_that_cannot_be_are_answered_with_their_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: dict[str, Any], key: str, rule: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "a", draw(30, 0))
    with pytest.raises(InputError, match=rule) as caught:
        prepared(tmp_path, **dataset)
    assert caught.value.place.endswith(key)


def test_relative_paths_are_those_of_the_launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "a", draw(30, 0))
    provider = prepared(tmp_path, train="a.npz", validate=0.1)
    (tmp_path / "trial").mkdir()
    monkeypatch.chdir(tmp_path / "trial")
    assert len(opened(tmp_path, provider).train["x"]) == 27
