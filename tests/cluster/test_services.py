"""The databases of the head are copied consistently to the bucket, and restored on a new head."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import make_url

from deploy import services


def database(file: Path, *rows: str) -> Path:
    with sqlite3.connect(file) as connection:
        connection.execute("create table if not exists t (x text)")
        connection.executemany("insert into t values (?)", [(row,) for row in rows])
    connection.close()
    return file


def rows(file: Path) -> list[str]:
    with sqlite3.connect(file) as connection:
        values = [row[0] for row in connection.execute("select x from t order by rowid")]
    connection.close()
    return values


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, str]:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    return old, new, (tmp_path / "bucket").as_uri()


def test_a_new_head_continues_with_the_databases_of_the_old_one(folders: tuple[Path, Path, str]) -> None:
    old, new, bucket = folders
    database(old / "study.db", "trial 0")
    assert services.keep_databases(bucket, old) == ["study"]
    database(old / "study.db", "trial 1")
    assert services.keep_databases(bucket, old) == ["study"]
    assert services.fetch_databases(bucket, new) == ["study"]
    assert rows(new / "study.db") == ["trial 0", "trial 1"]


def test_the_copy_of_a_database_in_use_is_consistent(folders: tuple[Path, Path, str]) -> None:
    old, new, bucket = folders
    database(old / "mlflow.db", "committed")
    with sqlite3.connect(old / "mlflow.db", isolation_level=None) as writer:
        writer.execute("begin")
        writer.execute("insert into t values ('half done')")
        services.keep_databases(bucket, old)
        writer.execute("rollback")
    writer.close()
    services.fetch_databases(bucket, new)
    assert rows(new / "mlflow.db") == ["committed"]


def test_a_local_database_is_not_overwritten_by_an_older_copy(folders: tuple[Path, Path, str]) -> None:
    old, new, bucket = folders
    database(old / "study.db", "old")
    services.keep_databases(bucket, old)
    database(new / "study.db", "newer")
    assert services.fetch_databases(bucket, new) == []
    assert rows(new / "study.db") == ["newer"]


def test_an_empty_bucket_is_a_first_start(folders: tuple[Path, Path, str]) -> None:
    assert services.fetch_databases(folders[2], folders[1]) == []


def test_with_a_database_server_both_services_use_it() -> None:
    mlflow, study = services.service_commands("s3://bucket", Path("/state"), "postgresql://me@host/soundsweep")
    assert "postgresql+psycopg://me@host/soundsweep" in mlflow
    (uri,) = (make_url(word) for word in study if word.startswith("postgresql"))
    assert (uri.drivername, uri.host, uri.database) == ("postgresql+psycopg", "host", "soundsweep")
    assert uri.query["options"] == "-csearch_path=study"  # separate from MLflow's tables


def test_without_a_storage_the_error_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SOUNDSWEEP_STORAGE", raising=False)
    assert services.main(["start"]) == 2
    assert "SOUNDSWEEP_STORAGE" in capsys.readouterr().err
