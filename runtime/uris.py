"""URIs of buckets, databases and servers, and their redaction, since some contain passwords."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Final

_SECRET: Final = re.compile(r"(?i)([?&][^=&#]*(?:pass|secret|token|key|cred|sign)[^=&#]*=)[^&#]*")
_OWNER: Final = re.compile(r"^([^/?#:@]*)(:.*)?$", re.DOTALL)
HIDDEN: Final = "***"


def is_uri(text: str) -> bool:
    """Return whether a text is a URI instead of a local path."""
    return "://" in text


def sqlite_uri(path: Path) -> str:
    """Return the URI of an SQLite database; characters with a meaning in URIs are quoted."""
    return "sqlite:///" + str(path).replace("%", "%25").replace("?", "%3F").replace("#", "%23")


def absolute_location(location: str) -> str:
    """Return a local path as an absolute one, since worker processes may have other working directories, or a URI unchanged.

    A leading `~` is the home folder: shells leave it in `--storage=~/runs`.

    Raises:
        ArgumentTypeError: If the location is empty, as that of a variable that is not set.
    """
    if not location:
        raise argparse.ArgumentTypeError("a path must not be empty")
    return location if is_uri(location) else str(expand_home(location).absolute())


def absolute_sqlite_uri(uri: str) -> str:
    """Return the URI of an SQLite database with an absolute path, or any other text unchanged."""
    prefix, found, path = uri.partition("sqlite:///")
    return f"{found}{expand_home(path).absolute()}" if found and path and not prefix else uri


def expand_home(path: str) -> Path:
    """Return a path with a leading `~` replaced by the home folder; without a home folder it is returned unchanged."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # users of a container need not be in its list of users
        return Path(path)


def redact_uri(uri: str) -> str:
    """Return a URI without user, password and options, for messages and records; a path remains unchanged."""
    if not is_uri(uri):
        return uri
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{_split_options(rest)[1].partition('?')[0]}"


def redact_argument(word: str) -> str:
    """Return a command-line argument with the passwords and keys of a URI replaced.

    The user name of a database or server remains; in the URI of a bucket it is the access key and is replaced too.
    """
    scheme, found, rest = word.partition("://")
    if not found:
        return word
    owner, address = _split_options(rest)
    if owner:
        name, password = _OWNER.sub(r"\1", owner), ":" in owner
        s3 = scheme.endswith("s3")
        owner = (HIDDEN if s3 else name + f":{HIDDEN}" * password) + "@"
    return f"{scheme}://{owner}" + _SECRET.sub(rf"\g<1>{HIDDEN}", address)


def redact_text(text: str, *uris: str) -> str:
    """Return the message of a library with the secrets of URIs replaced."""
    for uri in uris:
        if not is_uri(uri):
            continue
        owner, address = _split_options(uri.partition("://")[2])
        secrets = [owner, owner.partition(":")[2], *(value for value in _secret_values(address) if len(value) > 2)]
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
    return text


def join_uri(uri: str, name: str) -> str:
    """Return the path or URI of an entry below another one; options are preserved."""
    if not is_uri(uri):
        return f"{uri.rstrip('/')}/{name}"
    address, found, options = uri.partition("?")
    return f"{address.rstrip('/')}/{name}{found}{options}"


def _split_options(rest: str) -> tuple[str, str]:
    """Split at the last `@` into user information and address; an `@` within the options does not count.

    A password with a raw `?` or `/` makes a URI invalid but occurs in practice. Therefore all text before an `@` counts as
    user information, unless a plain host or bucket with its path precedes the options.
    """
    owner, found, address = rest.rpartition("@")
    if not found or re.match(r"^[^:@?]*\?", rest):
        return "", rest
    return owner, address


def _secret_values(address: str) -> list[str]:
    return [match.group(0).partition("=")[2] for match in _SECRET.finditer(address)]
