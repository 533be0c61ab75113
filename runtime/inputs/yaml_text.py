"""Strict reading of YAML: keys are text and occur once, dates and times are text, and ambiguous numbers are refused."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from runtime.errors import InputError

MAX_BYTES: Final = 1_000_000
"""Size up to which a file is read."""
_MAX_DEPTH: Final = 50
_MAX_NODES: Final = 100_000
"""Number of values up to which aliases are expanded; nested aliases multiply."""
_TAG: Final = "tag:yaml.org,2002:"
_PLAIN_TAGS: Final = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_MERGE: Final = f"{_TAG}merge"
_LEADING_ZERO: Final = re.compile(r"[-+]?0[0-9_]+")
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)$")
_FLOAT: Final = re.compile(
    r"(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)


class _DepthError(yaml.MarkedYAMLError):
    """Error for values that are nested too deeply."""


class _Loader(yaml.SafeLoader):
    """Loader of YAML 1.1 without dates and base-60 numbers, with 1e-3 as a number, and with a limited depth."""

    depth: int = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Compose a node and the nodes below it."""
        if self.depth > _MAX_DEPTH:
            raise _DepthError(problem_mark=self.get_mark())
        self.depth += 1
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag not in (f"{_TAG}timestamp", f"{_TAG}int", f"{_TAG}float")]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{_TAG}int", _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789."))


def read_text(path: Path, what: str) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with a byte order mark.

    Args:
        path: Path of the file.
        what: Name of such a file in messages, such as `space file`.

    Raises:
        InputError: If the file is too large or is not text.
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        rule = f"the {what} must have at most {MAX_BYTES:,} bytes"
        raise InputError(str(path), rule, remedy="name a YAML file that describes a search or a dataset")
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}",
            f"the {what} must be text in UTF-8",
            value=content[error.start : error.start + 1],
            remedy="save the file as UTF-8, or name a YAML file",
        ) from error


def parse_yaml(text: str, source: str, *, is_text: Callable[[tuple[str, ...]], bool] = lambda _: False) -> Any:
    """Return the value that a YAML document describes.

    Args:
        text: YAML document.
        source: Name of the file or option, for errors.
        is_text: Return whether the value at a path of keys is text, so that 2024 without quotes is text there.

    Raises:
        InputError: If the text is not valid YAML, a key occurs twice, or a value is ambiguous.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _Checker(source, is_text).check_node(node, ())
        return loader.construct_document(node)
    except _DepthError as error:
        raise _depth_error(_locate(source, error.problem_mark)) from error
    except yaml.YAMLError as error:
        raise _syntax_error(error, source) from error
    except (ValueError, OverflowError) as error:  # an integer of thousands of digits, or !!int before text
        rule = "numbers must have a usual form and length"
        raise InputError(source, rule, remedy="shorten the number, or remove its tag") from error


def find_comment(text: str) -> str:
    """Return the comment that ends a YAML document of one line; empty if there is none."""
    try:
        node = _Loader(text).get_single_node()
    except yaml.YAMLError:
        return ""
    start = 0 if node is None else node.end_mark.index
    rest = text[start:].strip()
    return rest if rest.startswith("#") else ""


def _syntax_error(error: yaml.YAMLError, source: str) -> InputError:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    remedy = "correct that line" if mark is not None else "correct the text"
    if "single document" in str(error) or "document" in str(getattr(error, "context", "")):
        problem, remedy = "a second document begins with ---", "keep one document, and move the other to its own file"
    elif r"'\t'" in problem:
        remedy = "indent with spaces instead of tabs"
    return InputError(_locate(source, mark), "the text must be valid YAML", value=problem, remedy=remedy)


def _depth_error(source: str) -> InputError:
    rule = f"values must be nested at most {_MAX_DEPTH} levels deep"
    return InputError(source, rule, remedy="remove the surplus brackets or the alias that contains itself")


def _locate(source: str, mark: Any) -> str:
    """Return the source with the line of a mark; options have one line only."""
    return source if mark is None or source.startswith("--") else f"{source}, line {mark.line + 1}"


@dataclass
class _Checker:
    """Checks of a document before its values are built.

    Attributes:
        source: Name of the file or option, for errors.
        is_text: Return whether the value at a path of keys is text.
        visited: Number of values so far, with aliases expanded.
    """

    source: str
    is_text: Callable[[tuple[str, ...]], bool]
    visited: int = field(default=0)

    def check_node(self, node: Node, path: tuple[str, ...], depth: int = 0) -> None:
        """Check a node and all nodes below it, and mark the ones that are text as text.

        Raises:
            InputError: If one of them is not allowed.
        """
        self.visited += 1
        if depth > _MAX_DEPTH:
            raise _depth_error(_locate(self.source, node.start_mark))
        if self.visited > _MAX_NODES:
            rule = f"a file must have at most {_MAX_NODES:,} values, with aliases expanded"
            raise InputError(_locate(self.source, node.start_mark), rule, remedy="remove aliases of aliases")
        if isinstance(node, ScalarNode):
            self._check_scalar(node, path)
            return
        self._require_tag(node, path)
        if isinstance(node, SequenceNode):
            for item in node.value:
                self.check_node(item, path, depth + 1)
        elif isinstance(node, MappingNode):
            for key, value in self._check_keys(node, path):
                self.check_node(value, path if key is None else (*path, key), depth + 1)

    def _check_scalar(self, node: ScalarNode, path: tuple[str, ...]) -> None:
        is_plain = node.style is None
        if is_plain and node.tag != f"{_TAG}null" and self.is_text(path):
            node.tag = f"{_TAG}str"
        elif is_plain and node.tag == f"{_TAG}str" and _LEADING_ZERO.fullmatch(node.value):
            raise InputError(
                self._place(path, node),
                "a number must not begin with 0, which YAML reads as octal",
                value=node.value,
                remedy=f"write {int(node.value.replace('_', ''))}, or {node.value!r} in quotes if it is text",
            )
        elif node.tag == f"{_TAG}float" and _overflows(node.value):
            raise InputError(self._place(path, node), "a number must be finite", value=node.value, remedy="reduce it")
        self._require_tag(node, path)

    def _check_keys(self, node: MappingNode, path: tuple[str, ...]) -> Iterator[tuple[str | None, Node]]:
        """Yield the keys of a mapping and their values; None for the key `<<`, whose content is merged."""
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                where = self._place(path, key)
                raise InputError(where, "a key must be text", remedy="write  name: value, or quote braces in text")
            line = key.start_mark.line + 1
            if key.value in lines:
                raise InputError(
                    self._place((*path, key.value), key),
                    f"a key must be given once; it is in line {lines[key.value]} and in line {line}",
                    remedy="remove one of the two, or merge their values",
                )
            lines[key.value] = line
            is_merge = key.tag == _MERGE
            if not is_merge:
                key.tag = f"{_TAG}str"
            yield None if is_merge else key.value, value

    def _require_tag(self, node: Node, path: tuple[str, ...]) -> None:
        if node.tag not in _PLAIN_TAGS:
            raise InputError(
                self._place(path, node),
                "values must be numbers, text, true, false, null, lists and mappings",
                value=node.tag.replace(_TAG, "!!"),
                remedy="remove the tag, or quote the value",
            )

    def _place(self, path: tuple[str, ...], node: Node) -> str:
        return _locate(f"{self.source}: {'.'.join(path)}" if path else self.source, node.start_mark)


def _overflows(written: str) -> bool:
    """Return whether a number such as 1e400 exceeds the range of floats; `.inf` and `.nan` are meant."""
    return "n" not in written.lower() and math.isinf(float(written.replace("_", "")))
