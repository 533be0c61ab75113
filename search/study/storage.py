"""Where a study is kept: a journal file, a PostgreSQL database, or behind Optuna's gRPC proxy."""

from __future__ import annotations

import functools
import importlib.util
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from runtime import uris
from runtime.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_POSTGRESQL: Final = ("postgresql://", "postgresql+psycopg://")
_GRPC: Final = "grpc://"
_PATIENCE_S: Final = 10
PATIENCE_S: Final = 600.0
PAUSE_S: Final = 3.0
"""How long a search that runs waits for its study's server, and how often it asks."""


def check_study_uri(uri: str, *, ask: bool = True) -> None:
    """Check that a study can be kept at a URI; nothing is written.

    Args:
        uri: Of the study.
        ask: Whether to try it.

    Raises:
        InputError: If the URI is none of ours, a package is missing, or nobody answers there.
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
            "a study is kept in PostgreSQL or behind Optuna's gRPC proxy",
            value=uris.redact_argument(uri),
            remedy="postgresql://user@host/database or grpc://host:port; leave --study out for a file in the storage folder",
        )
    if ask:
        require(uri)


def open_storage(where: Path | str) -> BaseStorage:
    """Optuna's storage at a journal's path or a URI that was checked; a server may be away for a while."""
    from optuna.storages import GrpcStorageProxy, JournalStorage, RDBStorage, get_storage
    from optuna.storages.journal import JournalFileBackend

    if isinstance(where, Path):
        return JournalStorage(JournalFileBackend(str(where)))
    if where.startswith(_GRPC):
        host, port = _host_and_port(where)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the proxy is experimental
            storage: BaseStorage = GrpcStorageProxy(host=host, port=port)
    else:  # a connection that the server has closed meanwhile is replaced before it is used
        database = RDBStorage(_psycopg_uri(where), engine_kwargs={"pool_pre_ping": True, "pool_recycle": 600})
        storage = get_storage(database)
    return cast("BaseStorage", RetryingStorage(storage, where))


class RetryingStorage:
    """A storage whose requests are repeated while its server is restarted, say; other errors are raised at once."""

    def __init__(self, storage: BaseStorage, where: str) -> None:
        self.storage = storage
        self.hurried = False
        self._where = where

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.storage, name)
        return functools.partial(self._retry_call, found) if callable(found) else found

    def _retry_call(self, request: Callable[..., Any], *words: Any, **named: Any) -> Any:
        until = time.monotonic() + PATIENCE_S
        repeated = False
        while True:
            try:
                return request(*words, **named)
            except Exception as error:
                if repeated and type(error).__name__ == "UpdateFinishedTrialError":
                    return True  # the server had done it, and was gone before it could say so
                if self.hurried or not _is_transient(error) or time.monotonic() > until:
                    raise
                if not repeated:
                    reason = _first_line(error, self._where)
                    print(f"study    waiting for {uris.redact_uri(self._where)}: {reason}", file=sys.stderr, flush=True)
            repeated = True
            time.sleep(PAUSE_S)


def _is_transient(error: BaseException) -> bool:
    """Whether a server is out of reach; anything else it says it will say again."""
    code = getattr(error, "code", None)  # of gRPC
    if callable(code):
        behind = "UNKNOWN" in str(code()) and "commit" in str(error)  # the proxy is there, and its database is not
        return behind or str(code()) in ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED")
    seen: BaseException | None = error
    while seen is not None and type(seen).__name__ not in ("OperationalError", "InterfaceError"):
        seen = seen.__cause__
    return seen is not None


def stop_retrying(storage: BaseStorage) -> None:
    """Wait no longer for a server that is away: the search is ending."""
    if isinstance(storage, RetryingStorage):
        storage.hurried = True


def close_storage(storage: BaseStorage) -> None:
    """Let go of connections, which a server has a limited number of."""
    storage = getattr(storage, "storage", storage)
    engine = getattr(getattr(storage, "_backend", storage), "engine", None)
    if engine is not None:
        engine.dispose()
    elif hasattr(storage, "close"):
        storage.close()


@contextmanager
def readable_errors(where: Path | str) -> Iterator[None]:
    """Turn a database that goes away into an error a person can read.

    Raises:
        InputError: Instead of what Optuna, SQLAlchemy or gRPC raise.
    """
    try:
        yield
    except Exception as error:
        if isinstance(where, Path) or not _is_study_error(error):
            raise
        raise InputError(
            "--study",
            "the study's database must stay within reach",
            value=_first_line(error, where),
            remedy="nothing is lost: when it is back, go on with --resume",
        ) from None


def _is_study_error(error: BaseException) -> bool:
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    return bool(names & {"optuna.StorageInternalError", "sqlalchemy.SQLAlchemyError", "grpc.RpcError"})


def _require_package(module: str, requirement: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise InputError(
            "--study",
            f"the package {module} must be there",
            remedy=f"pip install -c constraints.txt '{requirement}', or with all that a cluster needs: "
            "pip install -c constraints.txt -e '.[cluster]'",
        )


def _psycopg_uri(uri: str) -> str:
    return uri.replace("postgresql://", "postgresql+psycopg://", 1)


def _require_database(uri: str) -> None:
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        engine = sqlalchemy.create_engine(_psycopg_uri(uri), connect_args={"connect_timeout": _PATIENCE_S})
    except (ArgumentError, ValueError) as error:
        raise _unreachable_error(uri, error) from None
    try:
        with engine.connect() as connection:
            writable = connection.execute(sqlalchemy.text("SELECT has_schema_privilege(current_schema(), 'CREATE')"))
            if not writable.scalar():
                raise InputError(
                    "--study",
                    "the user must be allowed to create tables in the database",
                    value=uris.redact_argument(uri),
                    remedy="let its owner run  GRANT CREATE ON SCHEMA public TO …",
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
        proxy.wait_server_ready(timeout=_PATIENCE_S)
        proxy.get_all_studies()
    except ConnectionError:
        raise _unreachable_error(uri, ConnectionError(f"no answer within {_PATIENCE_S} s")) from None
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
            "--study", "a proxy has a host and a port", value=uris.redact_argument(uri), remedy="grpc://host:port"
        )
    return host, port


def _unreachable_error(uri: str, error: Exception) -> InputError:
    return InputError(
        "--study",
        f"the study's database must answer at {uris.redact_uri(uri)}",
        value=_first_line(error, uri),
        remedy="check host, port, database, user and password (PGPASSWORD or ~/.pgpass keep it out of the command line)"
        if not uri.startswith(_GRPC)
        else "start the proxy there (docs/cluster.md), or check host and port",
    )


def _first_line(error: Any, uri: str) -> str:
    origin = getattr(error, "orig", None) or error.__cause__ or error
    text = next((line for line in str(origin).splitlines() if line.strip()), type(origin).__name__)
    return uris.redact_text(text.strip(), uri)
