"""A storage folder that was moved or copied keeps its artifacts, wherever it lies."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from runtime.errors import InputError
from search.reporting.mlflow.files import check_database, relocate_artifacts
from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.store import MlflowStore

ODD = "runs #1 100%20?é&a=b_%"


def make_store(storage: Path, name: str = "rg_rep") -> str:
    """Create a store with one run that has an artifact; return the run."""
    storage.mkdir(parents=True, exist_ok=True)
    logger = MlflowLogger(MlflowStore.from_uri(storage, None), name)
    run_id = logger.open_run(None, "search", {}, {"role": "search"})
    assert run_id is not None
    (storage / "space.json").write_text("{}")
    logger.log_artifact(run_id, storage / "space.json")
    logger.close()
    assert logger.problems == []
    return run_id


def artifact_files(storage: Path) -> list[Path]:
    return sorted(path for path in (storage / "mlartifacts").rglob("*") if path.is_file())


def log_file(storage: Path, run_id: str, name: str) -> None:
    """Log an artifact as a resumed search does, in a new process, and check that MLflow returns it."""
    _artifact_repos_cache.clear()
    logger = MlflowLogger(MlflowStore.from_uri(storage, None), "rg_rep", run_id)
    (storage / name).write_text(name)
    logger.log_artifact(run_id, storage / name)
    logger.close()
    assert logger.problems == []
    uri = MlflowStore.from_uri(storage, None).uri
    client = MlflowClient(uri)
    assert {file.path for file in client.list_artifacts(run_id)} == {"space.json", name}
    assert Path(client.download_artifacts(run_id, name)).read_text() == name


@pytest.mark.slow
def test_a_folder_with_any_name_is_moved(tmp_path: Path) -> None:
    run_id = make_store(tmp_path / ODD)
    assert relocate_artifacts(tmp_path / ODD) == 0
    (tmp_path / ODD).rename(tmp_path / "plain")
    assert relocate_artifacts(tmp_path / "plain") == 1
    log_file(tmp_path / "plain", run_id, "after.txt")
    (tmp_path / "plain").rename(tmp_path / f"{ODD} again")
    assert relocate_artifacts(tmp_path / f"{ODD} again") == 1
    log_file(tmp_path / f"{ODD} again", run_id, "after.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{ODD} again"]


@pytest.mark.slow
def test_a_copy_does_not_write_into_the_original(tmp_path: Path) -> None:
    run_id = make_store(tmp_path / "runs")
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    before = artifact_files(tmp_path / "runs")
    assert relocate_artifacts(tmp_path / "copy") == 1
    log_file(tmp_path / "copy", run_id, "after.txt")
    assert artifact_files(tmp_path / "runs") == before
    assert relocate_artifacts(tmp_path / "runs") == 0


@pytest.mark.slow
def test_a_registered_model_moves_with_its_folder(tmp_path: Path) -> None:
    run_id = make_store(tmp_path / "runs")
    client = MlflowClient(MlflowStore.from_uri(tmp_path / "runs", None).uri)
    client.create_registered_model("rg_rep")
    elsewhere = "s3://models/of/another/program"
    for source in (f"{client.get_run(run_id).info.artifact_uri}/space.json", elsewhere):
        client.create_model_version("rg_rep", source, run_id)
    (tmp_path / "runs").rename(tmp_path / ODD)
    assert relocate_artifacts(tmp_path / ODD) == 1
    moved = MlflowClient(MlflowStore.from_uri(tmp_path / ODD, None).uri)
    location = moved.get_model_version_download_uri("rg_rep", "1")
    assert location == moved.get_model_version("rg_rep", "1").source
    assert Path(url2pathname(urlsplit(location).path)).is_file()
    assert (tmp_path / ODD).as_uri() in location
    assert moved.get_model_version("rg_rep", "2").source == elsewhere


def test_a_database_of_a_version_without_a_registry_is_relocated(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "mlartifacts", tmp_path / "new" / "mlartifacts"
    new.mkdir(parents=True)
    with closing(sqlite3.connect(tmp_path / "new" / "mlflow.db")) as database:
        database.execute("create table experiments (artifact_location text)")
        database.execute("create table runs (artifact_uri text)")
        database.execute("create table model_versions (source text)")  # without storage_location
        database.execute("insert into experiments values (?)", (f"{old.as_uri()}/rg_rep",))
        database.execute("insert into model_versions values (?)", (f"{old.as_uri()}/rg_rep/1/artifacts/champion",))
        database.commit()
    assert relocate_artifacts(tmp_path / "new") == 1
    with closing(sqlite3.connect(tmp_path / "new" / "mlflow.db")) as database:
        assert database.execute("select source from model_versions").fetchone() == (
            f"{new.as_uri()}/rg_rep/1/artifacts/champion",
        )


@pytest.mark.slow
def test_locations_that_are_elsewhere_on_purpose_are_kept(tmp_path: Path) -> None:
    make_store(tmp_path / "runs")
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    assert relocate_artifacts(tmp_path / "link") == 0
    database, other = MlflowStore.from_uri(tmp_path / "runs", None), tmp_path / "other"
    store = MlflowStore.from_uri(other, database.uri)  # --tracking-uri sqlite:///runs/mlflow.db --storage other
    logger = MlflowLogger(store, "of another storage")
    logger.close()
    (other / "mlartifacts").mkdir(parents=True)
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert relocate_artifacts(tmp_path / "moved") == 1
    with closing(sqlite3.connect(tmp_path / "moved" / "mlflow.db")) as connection:
        rows = dict(connection.execute("select name, artifact_location from experiments"))
    assert rows["of another storage"] == f"{(other / 'mlartifacts').as_uri()}/of another storage"
    assert rows["rg_rep"] == f"{(tmp_path / 'moved' / 'mlartifacts').as_uri()}/rg_rep"


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_corrupt_database_is_named_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mlflow.db").write_bytes(content)
    with pytest.raises(InputError, match=r"mlflow\.db(.|\n)*move the file away"):
        check_database(tmp_path)


def test_a_folder_without_a_database_is_accepted(tmp_path: Path) -> None:
    check_database(tmp_path)
    assert relocate_artifacts(tmp_path) == 0
    (tmp_path / "mlflow.db").touch()
    check_database(tmp_path)
    assert relocate_artifacts(tmp_path) == 0
