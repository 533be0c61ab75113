"""Text of space files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml


def format_space_file(content: Mapping[str, Any], comment: Sequence[str] = ()) -> str:
    """Return the text of a space file.

    Args:
        content: Content of the file.
        comment: Lines of the comment at its beginning.
    """
    text: str = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    return "\n".join([*(f"# {line}" for line in comment), text])
