"""URIs are shown without what is secret in them, however badly they are written."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from runtime import uris

SECRET = "hun/t?er2"


@pytest.mark.parametrize(
    ("uri", "shown", "hidden"),
    [
        ("runs/data@home?", "runs/data@home?", "runs/data@home?"),
        ("s3://bucket/p?region=eu", "s3://bucket/p", "s3://bucket/p?region=eu"),
        (f"s3://KEY:{SECRET}@bucket/p?region=eu", "s3://bucket/p", "s3://***@bucket/p?region=eu"),
        (f"--storage=s3://KEY:{SECRET}@bucket/p", "--storage=s3://bucket/p", "--storage=s3://***@bucket/p"),
        (f"postgresql://me:{SECRET}@host:5432/db", "postgresql://host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me@host/db", "postgresql://host/db", "postgresql://me@host/db"),
        (f"postgresql://me:p@{SECRET}@host/db", "postgresql://host/db", "postgresql://me:***@host/db"),
        (
            "postgresql://host/db?password=hunter2&user=me",
            "postgresql://host/db",
            "postgresql://host/db?password=***&user=me",
        ),
        (f"https://me:{SECRET}@host/mlflow", "https://host/mlflow", "https://me:***@host/mlflow"),
        ("s3://bucket/p?mail=me@home", "s3://bucket/p", "s3://bucket/p?mail=me@home"),
    ],
)
def test_what_is_shown_and_what_stands_in_a_command_again(uri: str, shown: str, hidden: str) -> None:
    assert uris.redact_uri(uri) == shown
    assert uris.redact_argument(uri) == hidden


def test_a_librarys_message_loses_what_was_secret_in_the_uri() -> None:
    message = "no route to https://me:hunter2@host/x?password=letmein"
    assert uris.redact_text(message, "https://me:hunter2@host/x?password=letmein") == (
        "no route to https://***@host/x?password=***"
    )
    assert uris.redact_text("no password hunter2", "https://me:hunter2@host", "runs") == "no password ***"
    assert uris.redact_text("nothing to hide", "runs", "https://host") == "nothing to hide"


@pytest.mark.parametrize(
    ("uri", "below"),
    [("runs/", "runs/data"), ("s3://k:s@b/p?region=eu", "s3://k:s@b/p/data?region=eu"), ("s3://b", "s3://b/data")],
)
def test_the_options_stay_behind_the_path(uri: str, below: str) -> None:
    assert uris.join_uri(uri, "data") == below


def test_locations_are_absolute_and_the_home_folder_is_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/user")
    assert uris.absolute_location("runs") == f"{tmp_path}/runs"
    assert uris.absolute_location("~/runs") == "/home/user/runs"
    assert uris.absolute_location("s3://bucket/~") == "s3://bucket/~"
    assert uris.absolute_sqlite_uri("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert uris.absolute_sqlite_uri("sqlite:////data/mlflow.db") == "sqlite:////data/mlflow.db"
    assert uris.absolute_sqlite_uri("http://host:5000") == "http://host:5000"
    with pytest.raises(ArgumentTypeError, match="must not be empty"):
        uris.absolute_location("")
