"""The doctor's checks of what a search talks to: buckets, MLflow servers, databases."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path
from typing import Final

from runtime.errors import InputError
from runtime.storage import Store
from runtime.uris import shown, without_secrets
from search.doctor.result import Finding

_PATIENCE_S: Final = 10.0
_DATABASES: Final = ("sqlite", "postgresql", "mysql", "mariadb")


def check_bucket(uri: str) -> Finding:
    """Write an object, read it, remove it."""
    store, name, content = Store(uri), f".doctor-{uuid.uuid4().hex}", os.urandom(64)
    try:
        store.require_open()
        store.write(name, content)
        same = store.read(name) == content
        store.delete(name)
    except InputError as error:
        return Finding("bad", f"{error.place}: {error.value}", error.remedy)
    if not same:
        return Finding(
            "bad", f"{store.name} returns other bytes than were written", "use a store that reads its own writes"
        )
    return Finding("ok", f"{store.name}: written, read and removed")


def check_service(name: str, uri: str) -> Finding:
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


def _check_path(name: str, path: Path) -> Finding:
    if path.absolute().parent.is_dir():
        return Finding("ok", f"{name}: {path} is on this machine")
    return Finding("bad", f"{name}: there is no folder {path.absolute().parent}", "create it, or name another path")


def _check_mlflow(name: str, uri: str) -> Finding:
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
        reason = without_secrets(type(error).__name__, uri)
        return Finding(
            "bad", f"{name}: {shown(uri)} does not answer: {reason}", "start `mlflow server`, check the address"
        )
    remedies = {
        401: "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        403: "name this host in `mlflow server --allowed-hosts`, or ask for permission",
        404: "check the address: there is a server, but no MLflow",
    }
    if answer.status_code != requests.codes.ok:
        remedy = remedies.get(answer.status_code, "see the server's log")
        return Finding("bad", f"{name}: {shown(uri)} answers {answer.status_code}", remedy)
    return Finding("ok", f"{name}: MLflow answers at {shown(uri)}")


def _check_database(name: str, uri: str) -> Finding:
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(uri)
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("select 1"))
        engine.dispose()
    except ModuleNotFoundError as error:
        return Finding("bad", f"{name}: no driver for {shown(uri)}", f"pip install {error.name}")
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = without_secrets(str(error).partition("\n")[0], uri)
        return Finding("bad", f"{name}: {shown(uri)}: {reason}", "check host, database, user and password")
    return Finding("ok", f"{name}: the database answers at {shown(uri)}")


def _check_port(name: str, uri: str) -> Finding:
    host, _, port = shown(uri).partition("://")[2].partition("/")[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
    except (OSError, ValueError, OverflowError) as error:
        return Finding("bad", f"{name}: {shown(uri)}: {error}", "start the server, check host and port")
    return Finding("ok", f"{name}: something listens at {shown(uri)}")
