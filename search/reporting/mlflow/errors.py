"""Errors of MLflow stores in messages, with remedies and without passwords."""

from __future__ import annotations

from typing import Final

from runtime import uris
from runtime.errors import InputError

_REMEDIES: Final = {
    "out-of-date database schema": "make a copy of the database, then run  mlflow db upgrade {uri}  and continue with --resume",
    "Can't locate revision": "the database was written by a newer MLflow: install that version, or name another --tracking-uri",
    "database is locked": "end the program that holds the database; then continue with --resume",
    "not a database": "move the file away; --resume then writes the finished trials to a new one",
    "malformed": "move the file away; --resume then writes the finished trials to a new one",
    "readonly database": "make the file and its folder writable, or name another --tracking-uri",
    "unable to open database": "make the folder of the database writable, or name another --tracking-uri",
}
"""Remedies of stores that do not open, by a part of the error message."""

BUSY: Final = ("database is locked", "database or disk is full", "disk I/O error")
"""Messages of SQLite that may disappear; a request waits 20 s for a lock."""


def closed_store_error(error: Exception, uri: str) -> InputError:
    """Return the error of a store that does not open, with a remedy for the cause.

    Args:
        error: Error of MLflow or of the database.
        uri: Tracking URI.
    """
    place = uris.redact_uri(uri)
    remedy = next(
        (remedy.format(uri=place) for sign, remedy in _REMEDIES.items() if sign in str(error)),
        "check the address, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; then continue with --resume",
    )
    rule = f"MLflow must answer at {place}"
    return InputError("--tracking-uri", rule, value=describe_error(error, uri), remedy=remedy)


def describe_error(error: Exception, uri: str) -> str:
    """Return the reason of an error in one line, without the credentials of a tracking URI."""
    text = str(error)
    first = next((reason for reason in BUSY if reason in text), next(iter(text.splitlines()), ""))
    return uris.redact_text(first, uri)
