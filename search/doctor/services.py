"""Checks of the services of a search: buckets, MLflow servers and databases."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path
from typing import Final

from runtime.errors import InputError
from runtime.storage import storage_at
from runtime.uris import redact_text, redact_uri
from search.doctor.result import CheckResult

_TIMEOUT_S: Final = 10.0
_DATABASES: Final = ("sqlite", "postgresql", "mysql", "mariadb")


def check_bucket(uri: str) -> CheckResult:
    """Check that an object can be written, read and removed in a bucket."""
    store, name, content = storage_at(uri), f".doctor-{uuid.uuid4().hex}", os.urandom(64)
    try:
        store.require_open()
        store.write_file(name, content)
        is_same = store.read_file(name) == content
        store.delete_file(name)
    except InputError as error:
        return CheckResult("error", f"{error.place}: {error.value}", error.remedy)
    if not is_same:
        return CheckResult(
            "error",
            f"{store.name} does not return the bytes that were written",
            "use a store with read-after-write consistency",
        )
    return CheckResult("ok", f"{store.name}: written, read and removed")


def check_service(name: str, uri: str) -> CheckResult:
    """Check that a server or database answers.

    Args:
        name: Name of the service in the message, e.g. "MLflow".
        uri: URI of an HTTP server, of a database, of any other server as `scheme://host:port`, or a local path.
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
    return CheckResult(
        "error", f"{name}: the folder {path.absolute().parent} does not exist", "create it, or name another path"
    )


def _check_mlflow(name: str, uri: str) -> CheckResult:
    import requests

    token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        # Unlike the version page, this one needs the same rights as a search.
        response = requests.get(
            f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1",
            headers=headers,
            auth=(user, password) if user else None,
            timeout=_TIMEOUT_S,
        )
    except requests.RequestException as error:
        reason = redact_text(type(error).__name__, uri)
        return CheckResult(
            "error",
            f"{name}: {redact_uri(uri)} does not answer: {reason}",
            "start `mlflow server`, or check the address",
        )
    remedies = {
        401: "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        403: "add this host to `mlflow server --allowed-hosts`, or request permission",
        404: "check the address: the server is not MLflow",
    }
    if response.status_code != requests.codes.ok:
        remedy = remedies.get(response.status_code, "see the log of the server")
        return CheckResult("error", f"{name}: {redact_uri(uri)} answers {response.status_code}", remedy)
    return CheckResult("ok", f"{name}: MLflow answers at {redact_uri(uri)}")


def _check_database(name: str, uri: str) -> CheckResult:
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(uri)
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("select 1"))
        engine.dispose()
    except ModuleNotFoundError as error:
        return CheckResult("error", f"{name}: no database driver for {redact_uri(uri)}", f"pip install {error.name}")
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = redact_text(str(error).partition("\n")[0], uri)
        return CheckResult("error", f"{name}: {redact_uri(uri)}: {reason}", "check host, database, user and password")
    return CheckResult("ok", f"{name}: the database answers at {redact_uri(uri)}")


def _check_port(name: str, uri: str) -> CheckResult:
    host, _, port = redact_uri(uri).partition("://")[2].partition("/")[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_TIMEOUT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        return CheckResult("error", f"{name}: {redact_uri(uri)}: {error}", "start the server, or check host and port")
    return CheckResult("ok", f"{name}: a server listens at {redact_uri(uri)}")
