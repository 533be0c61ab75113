"""URIs of buckets, databases and servers: how they may be shown, since some carry a password."""

from __future__ import annotations

import re
from typing import Final

_SECRET: Final = re.compile(r"(?i)([?&][^=&#]*(?:pass|secret|token|key|cred|sign)[^=&#]*=)[^&#]*")
_OWNER: Final = re.compile(r"^([^/?#:@]*)(:.*)?$", re.DOTALL)
HIDDEN: Final = "***"


def is_uri(text: str) -> bool:
    """Whether it names something that is no local path."""
    return "://" in text


def redact_uri(uri: str) -> str:
    """A URI as it may be shown and stored: without user, password and options; a path stays as it is."""
    if not is_uri(uri):
        return uri
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{_split_options(rest)[1].partition('?')[0]}"


def redact_argument(word: str) -> str:
    """A word of a command line with passwords and keys in a URI replaced, the rest as it was.

    The user's name stays for databases and servers; in a bucket's URI it is the access key and goes too.
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
    """A library's message, with whatever is secret in these URIs replaced."""
    for uri in uris:
        if not is_uri(uri):
            continue
        owner, address = _split_options(uri.partition("://")[2])
        secrets = [owner, owner.partition(":")[2], *(value for value in _secret_values(address) if len(value) > 2)]
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
    return text


def join_uri(uri: str, name: str) -> str:
    """A path or URI of something inside, the options kept."""
    if not is_uri(uri):
        return f"{uri.rstrip('/')}/{name}"
    address, found, options = uri.partition("?")
    return f"{address.rstrip('/')}/{name}{found}{options}"


def _split_options(rest: str) -> tuple[str, str]:
    """What stands before the last `@`, and what follows; an `@` in the options alone divides nothing.

    A password with a raw `?` or `/` is no valid URI, and people write such: so whatever stands before an `@` is taken for
    one, unless a plain host or bucket with its path stands before the options.
    """
    owner, found, address = rest.rpartition("@")
    if not found or re.match(r"^[^:@?]*\?", rest):
        return "", rest
    return owner, address


def _secret_values(address: str) -> list[str]:
    return [match.group(0).partition("=")[2] for match in _SECRET.finditer(address)]
