"""The doctor's checks of what a search talks to: buckets, MLflow servers, databases."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path
from typing import Final

from runtime.errors import InputError
from runtime.storage import Store
from runtime.uris import redact_uri, redact_text
from search.doctor.result import CheckResult

_PATIENCE_S: Final = 10.0
_DATABASES: Final = ("sqlite", "postgresql", "mysql", "mariadb")


def check_bucket(uri: str) -> CheckResult:
    """Write an object, read it, remove it."""
    store, name, content = Store(uri), f".doctor-{uuid.uuid4().hex}", os.urandom(64)
    try:
        store.require_open()
        store.write_file(name, content)
        same = store.read_file(name) == content
        store.delete_file(name)
    except InputError as error:
        return CheckResult("bad", f"{error.place}: {error.value}", error.remedy)
    if not same:
        return CheckResult(
            "bad", f"{store.name} returns other bytes than were written", "use a store that reads its own writes"
        )
    return CheckResult("ok", f"{store.name}: written, read and removed")


def check_service(name: str, uri: str) -> CheckResult:
    """Whether a server or a database answers.

    Args:
        name: What it is for.
        uri: Of a server over HTTP, of a database, of any other server as `scheme://host:port`, or a local path.
    """
    scheme = uri.partition("://")[0].partition("+")[0]
    if "://" not in uri:
        return _check_path(name, Path(uri))
    if scheme in ("http", "https"):
        return _check_mlflow(name, uri)
    if scheme in _DATABASES:
        return _check_database(name, uri)
    return _check_port(name, uri)


def _check_path(name: str, path: Path) -> CheckResult:
    if path.absolute().parent.is_dir():
        return CheckResult("ok", f"{name}: {path} is on this machine")
    return CheckResult("bad", f"{name}: there is no folder {path.absolute().parent}", "create it, or name another path")


def _check_mlflow(name: str, uri: str) -> CheckResult:
    import requests

    token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        # Its version page answers without rights too; this one is what a search will ask.
        answer = requests.get(
            f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1",
            headers=headers,
            auth=(user, password) if user else None,
            timeout=_PATIENCE_S,
        )
    except requests.RequestException as error:
        reason = redact_text(type(error).__name__, uri)
        return CheckResult(
            "bad", f"{name}: {redact_uri(uri)} does not answer: {reason}", "start `mlflow server`, check the address"
        )
    remedies = {
        401: "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        403: "name this host in `mlflow server --allowed-hosts`, or ask for permission",
        404: "check the address: there is a server, but no MLflow",
    }
    if answer.status_code != requests.codes.ok:
        remedy = remedies.get(answer.status_code, "see the server's log")
        return CheckResult("bad", f"{name}: {redact_uri(uri)} answers {answer.status_code}", remedy)
    return CheckResult("ok", f"{name}: MLflow answers at {redact_uri(uri)}")


def _check_database(name: str, uri: str) -> CheckResult:
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(uri)
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("select 1"))
        engine.dispose()
    except ModuleNotFoundError as error:
        return CheckResult("bad", f"{name}: no driver for {redact_uri(uri)}", f"pip install {error.name}")
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = redact_text(str(error).partition("\n")[0], uri)
        return CheckResult("bad", f"{name}: {redact_uri(uri)}: {reason}", "check host, database, user and password")
    return CheckResult("ok", f"{name}: the database answers at {redact_uri(uri)}")


def _check_port(name: str, uri: str) -> CheckResult:
    host, _, port = redact_uri(uri).partition("://")[2].partition("/")[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
    except (OSError, ValueError, OverflowError) as error:
        return CheckResult("bad", f"{name}: {redact_uri(uri)}: {error}", "start the server, check host and port")
    return CheckResult("ok", f"{name}: something listens at {redact_uri(uri)}")
