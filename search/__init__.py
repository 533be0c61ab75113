"""The search: plan, study, stopping, trials on Ray Tune, tracking in MLflow, terminal output; `Search` from Python."""

import importlib
import os
import runpy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.errors import InputError
    from search.api import Search, SearchResults

__all__ = ["InputError", "Search", "SearchResults"]

# By its path, since `runtime` itself may be shadowed.
runpy.run_path(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "runtime", "import_path.py"))[
    "arrange_import_path"
]()


def __getattr__(name: str) -> Any:
    """Import the classes of the Python API on first use, so that `import search` stays fast."""
    if name not in __all__:
        raise AttributeError(f"module 'search' has no attribute {name!r}")
    return getattr(importlib.import_module("runtime.errors" if name == "InputError" else "search.api"), name)
