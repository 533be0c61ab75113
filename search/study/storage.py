"""Storages of studies: a journal file, a PostgreSQL database, or a database behind Optuna's gRPC proxy."""

from __future__ import annotations

import functools
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from runtime import uris
from runtime.errors import InputError
from runtime.retry import retry_call

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_POSTGRESQL: Final = ("postgresql://", "postgresql+psycopg://")
_GRPC: Final = "grpc://"
_CONNECT_TIMEOUT_S: Final = 10
_CREATION_LOCK: Final = 0x534F554E44
"""Key of the advisory lock of a database that is being opened."""
_WRITES: Final = ("create_", "delete_", "set_")
"""Beginnings of the names of the methods of Optuna's storages that change a study."""
RETRY_TIMEOUT_S: Final = 600.0
RETRY_INTERVAL_S: Final = 3.0
"""Time that a running search waits for an unreachable study server, and pause between two requests."""


def check_study_uri(uri: str, *, connect: bool = True) -> None:
    """Check that a study can be stored at a URI, without writing to it.

    Args:
        uri: URI of the study: `postgresql://…` or `grpc://host:port`.
        connect: Whether to connect to the server.

    Raises:
        InputError: If the scheme is not supported, a package is missing, or the server cannot be used.
    """
    if uri.startswith(_POSTGRESQL):
        _require_package("psycopg", "psycopg[binary]")
        require = _require_database
    elif uri.startswith(_GRPC):
        _host_and_port(uri)
        _require_package("grpc", "grpcio")
        require = _require_proxy
    else:
        raise InputError(
            "--study",
            "the study must be in PostgreSQL or behind Optuna's gRPC proxy",
            value=uris.redact_argument(uri),
            remedy="write postgresql://user@host/database or grpc://host:port; without --study it is a file in --storage",
        )
    if connect:
        require(uri)


def open_storage(location: Path | str) -> BaseStorage:
    """Open the Optuna storage at the path of a journal or at a checked URI; requests to a server or a full disk are retried.

    Raises:
        InputError: If a journal cannot be used.
    """
    from optuna.storages import GrpcStorageProxy

    from search.study.journal_storage import open_journal

    if isinstance(location, Path):
        return open_journal(location)
    if location.startswith(_GRPC):
        host, port = _host_and_port(location)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # GrpcStorageProxy is experimental
            storage: BaseStorage = GrpcStorageProxy(host=host, port=port)
    else:
        storage = _open_database(location)
    return cast("BaseStorage", RetryingStorage(storage, location))


def _open_database(uri: str) -> BaseStorage:
    """Open a database, and create its tables if it is new.

    Optuna creates the tables in several transactions, which fail if another process creates them at the same moment. An
    advisory lock therefore lets one process after the other open the database.
    """
    from optuna.storages import RDBStorage, get_storage
    from sqlalchemy import NullPool, create_engine, text

    address = _psycopg_uri(uri)
    with create_engine(address, poolclass=NullPool).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CREATION_LOCK})
        # pre-ping replaces connections that the server has closed
        database = RDBStorage(address, engine_kwargs={"pool_pre_ping": True, "pool_recycle": 600})
    return get_storage(database)


class RetryingStorage:
    """Storage that repeats requests while its server is unreachable, e.g. during a restart, and raises other errors at once.

    Attributes:
        storage: The Optuna storage.
        retries: Whether to repeat requests.
        before_write: Called before every request that changes the study; an exception prevents the request.
    """

    def __init__(self, storage: BaseStorage, uri: str) -> None:
        self.storage = storage
        self.retries = True
        self.before_write: Callable[[], None] = lambda: None
        self._uri = uri

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.storage, name)
        return functools.partial(self._retry_call, attribute) if callable(attribute) else attribute

    def _retry_call(self, request: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if getattr(request, "__name__", "").startswith(_WRITES):
            self.before_write()
        errors: list[Exception] = []

        def attempt() -> Any:
            try:
                return request(*args, **kwargs)
            except Exception as error:
                if errors and type(error).__name__ == "UpdateFinishedTrialError":
                    return True  # an earlier request succeeded, but its reply was lost
                raise

        def report(error: Exception) -> None:
            if not errors:
                reason = _first_line(error, self._uri)
                print(f"study    waiting for {uris.redact_uri(self._uri)}: {reason}", file=sys.stderr, flush=True)
            errors.append(error)

        return retry_call(
            attempt,
            lambda error: self.retries and _is_transient(error),
            repeat(RETRY_INTERVAL_S),
            timeout_s=RETRY_TIMEOUT_S,
            on_retry=report,
        )


def _is_transient(error: BaseException) -> bool:
    """Return whether the server is unreachable; any other error would occur again."""
    code = getattr(error, "code", None)  # of a gRPC error
    if callable(code):
        # The proxy answers, but its database does not.
        is_database_away = "UNKNOWN" in str(code()) and "commit" in str(error)
        return is_database_away or str(code()) in ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED")
    cause: BaseException | None = error
    while cause is not None and type(cause).__name__ not in ("OperationalError", "InterfaceError"):
        cause = cause.__cause__
    return cause is not None


def stop_retrying(storage: BaseStorage) -> None:
    """Stop repeating requests to an unreachable server or a full disk, because the search is ending."""
    retrying: Any = storage if isinstance(storage, RetryingStorage) else getattr(storage, "_backend", None)
    if hasattr(retrying, "retries"):
        retrying.retries = False


def guard_writes(storage: BaseStorage, check: Callable[[], None]) -> None:
    """Call a function before every write; an exception that it raises prevents the write."""
    guarded: Any = storage if isinstance(storage, RetryingStorage) else getattr(storage, "_backend", None)
    guarded.before_write = check


class StudyAttribute:
    """Text in an attribute of a study, read and written at once: neither retried nor guarded, and from any thread.

    Args:
        storage: Storage of the study.
        study_id: Identifier of the study in its storage.
        name: Name of the attribute.
    """

    def __init__(self, storage: BaseStorage, study_id: int, name: str) -> None:
        self._storage: BaseStorage = getattr(storage, "storage", storage)
        self._study_id = study_id
        self._name = name

    def read(self) -> str | None:
        """Return the text; None if there is none."""
        value = self._storage.get_study_user_attrs(self._study_id).get(self._name)
        return None if value is None else str(value)

    def write(self, text: str) -> None:
        """Replace the text."""
        self._storage.set_study_user_attr(self._study_id, self._name, text)

    def delete(self) -> None:
        """Replace the text by an empty one, since Optuna removes no attributes."""
        self.write("")


def close_storage(storage: BaseStorage) -> None:
    """Close the connections of a storage; servers limit their number."""
    storage = getattr(storage, "storage", storage)
    engine = getattr(getattr(storage, "_backend", storage), "engine", None)
    if engine is not None:
        engine.dispose()
    elif hasattr(storage, "close"):
        storage.close()


@contextmanager
def readable_errors(location: Path | str) -> Iterator[None]:
    """Replace errors of an unreachable database by an `InputError` for users.

    Raises:
        InputError: Instead of the errors of Optuna, SQLAlchemy and gRPC.
    """
    try:
        yield
    except Exception as error:
        if isinstance(location, Path) or not _is_study_error(error):
            raise
        raise InputError(
            "--study",
            "the study's database must stay reachable",
            value=_first_line(error, location),
            remedy="no result is lost: continue with --resume once the database is back",
        ) from None


def _is_study_error(error: BaseException) -> bool:
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    return bool(names & {"optuna.StorageInternalError", "sqlalchemy.SQLAlchemyError", "grpc.RpcError"})


def _require_package(module: str, requirement: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise InputError(
            "--study",
            f"the package {module} must be installed",
            remedy=f"pip install -c constraints.txt '{requirement}', or everything that a cluster needs: "
            "pip install -c constraints.txt -e '.[cluster]'",
        )


def _psycopg_uri(uri: str) -> str:
    return uri.replace("postgresql://", "postgresql+psycopg://", 1)


def _require_database(uri: str) -> None:
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        engine = sqlalchemy.create_engine(_psycopg_uri(uri), connect_args={"connect_timeout": _CONNECT_TIMEOUT_S})
    except (ArgumentError, ValueError) as error:
        raise _unreachable_error(uri, error) from None
    try:
        with engine.connect() as connection:
            writable = connection.execute(sqlalchemy.text("SELECT has_schema_privilege(current_schema(), 'CREATE')"))
            if not writable.scalar():
                raise InputError(
                    "--study",
                    "the user must have the right to create tables in the database",
                    value=uris.redact_argument(uri),
                    remedy="have its owner run  GRANT CREATE ON SCHEMA public TO …",
                )
    except (SQLAlchemyError, ValueError) as error:
        raise _unreachable_error(uri, error) from None
    finally:
        engine.dispose()


def _require_proxy(uri: str) -> None:
    from optuna.storages import GrpcStorageProxy

    host, port = _host_and_port(uri)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proxy = GrpcStorageProxy(host=host, port=port)
    try:
        proxy.wait_server_ready(timeout=_CONNECT_TIMEOUT_S)
        proxy.get_all_studies()
    except ConnectionError:
        raise _unreachable_error(uri, ConnectionError(f"no answer within {_CONNECT_TIMEOUT_S} s")) from None
    except Exception as error:
        if not _is_study_error(error):
            raise
        raise _unreachable_error(uri, error) from None
    finally:
        proxy.close()


def _host_and_port(uri: str) -> tuple[str, int]:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise InputError(
            "--study",
            "the URI of a proxy must hold a host and a port",
            value=uris.redact_argument(uri),
            remedy="write grpc://host:port",
        )
    return host, port


def _unreachable_error(uri: str, error: Exception) -> InputError:
    return InputError(
        "--study",
        f"the study's database must answer at {uris.redact_uri(uri)}",
        value=_first_line(error, uri),
        remedy="check host, port, database, user and password (PGPASSWORD or ~/.pgpass keep the password out of the command line)"
        if not uri.startswith(_GRPC)
        else "start the proxy there (docs/cluster.md), or check host and port",
    )


def _first_line(error: Any, uri: str) -> str:
    origin = getattr(error, "orig", None) or error.__cause__ or error
    text = next((line for line in str(origin).splitlines() if line.strip()), type(origin).__name__)
    return uris.redact_text(text.strip(), uri)
