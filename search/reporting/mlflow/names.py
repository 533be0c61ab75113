"""Names of metrics, parameters and tags in a form that MLflow accepts."""

from __future__ import annotations

import hashlib
import posixpath
import re
from typing import Final

_MAX_LENGTH: Final = 250
_DIGEST_LENGTH: Final = 12
_REJECTED: Final = r"[^/\w.\- :]"
_REJECTED_IN_PATHS: Final = r"[^\w\- :]"
_TRAINING: Final = "train_"
_TRAINING_SECTION: Final = "train/"
_OF_TRAINING: Final = ("learning_rate",)
"""Metrics of training whose names do not tell."""
_ESCAPE: Final = re.compile(r"_x([0-9a-f]*)_")


def encode_name(name: str) -> str:
    """Return a name that MLflow accepts; different names stay different.

    A character that MLflow rejects becomes `_x` with its code point in hexadecimal and `_`: `MAP@10` is `MAP_x40_10`. The
    same holds for slashes and dots of names that are not normalised paths, and for text that looks like such an escape. A
    name beyond 250 characters ends with a digest of the whole name instead. All other names remain unchanged.
    """
    if not name:
        return "_x_"
    normalised = posixpath.normpath(name) == name and name != "." and not name.startswith(("..", "/"))
    rejected = _REJECTED if normalised else _REJECTED_IN_PATHS
    # An underscore that would begin an escape is escaped itself.
    special = re.compile(rf"{rejected}|_(?=x[0-9a-f]*(?:_|{rejected}))")
    encoded = special.sub(lambda match: f"_x{ord(match.group()):x}_", name)
    if len(encoded) <= _MAX_LENGTH:
        return encoded
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{encoded[: _MAX_LENGTH - _DIGEST_LENGTH - 1].rstrip('/. ')}-{digest}"


def encode_metric(name: str) -> str:
    """Return the name of a metric that MLflow accepts: those of training form a section of their own, `train/loss`.

    All others are of the validation split, or begin with what they are of: `test.`, `setting.` and `best.`.
    """
    is_training = name.startswith(_TRAINING) or name in _OF_TRAINING
    return encode_name(_TRAINING_SECTION + name.removeprefix(_TRAINING) if is_training else name)


def decode_name(encoded: str) -> str:
    """Return the name that `encode_name` has encoded, unless it was shortened."""
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 16)) if match.group(1) else "", encoded)
