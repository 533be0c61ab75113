"""Import path of the commands. Executed by its path before the packages are imported, so it imports only built-in modules.

A `datasets.py`, `runtime.py` or `random.py` in the working directory must not replace a package of this project, of the
standard library or of another one, neither with `python -m` nor in the worker processes of Ray. Nor must the package `datasets`
of Hugging Face.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

PACKAGES = ("runtime", "datasets", "trainables", "spaces", "search")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def arrange_import_path() -> None:
    """Let the packages of this project be found first, and modules in the working directory last.

    Raises:
        ImportError: If another package of the same name has been imported, or overwrites one of this project.
    """
    if sys.argv[:1] == ["-m"] and sys.path and os.path.realpath(sys.path[0]) != os.path.realpath(ROOT):
        sys.path.append(sys.path.pop(0))
    if any(_find_folder(name) != os.path.join(ROOT, name) for name in PACKAGES):
        sys.path.insert(0, ROOT)
    for name in PACKAGES:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None and os.path.dirname(os.path.abspath(file)) != os.path.join(ROOT, name):
            raise ImportError(f"{file} replaces the package {name!r} of this project: rename or remove it")
    if os.path.exists(os.path.join(ROOT, "datasets", "arrow_dataset.py")):
        raise ImportError(
            f"{ROOT} holds the package `datasets` of Hugging Face too: install this project in an environment of its own"
        )


def _find_folder(name: str) -> str | None:
    """Return the folder of the package that an import finds; a module has none."""
    spec = PathFinder.find_spec(name)
    return None if spec is None or spec.origin is None else os.path.dirname(os.path.abspath(spec.origin))


def find_shadowing_modules(folder: str) -> list[str]:
    """Return the modules and packages in a folder that other ones of the same name exist of, on the rest of the path."""
    if os.path.realpath(folder) == os.path.realpath(ROOT):
        return []
    rest = [entry for entry in sys.path if os.path.realpath(entry or os.curdir) != os.path.realpath(folder)]
    names = [name.removesuffix(".py") for name in sorted(os.listdir(folder))]
    importable = [name for name in dict.fromkeys(names) if name.isidentifier() and _is_importable(name, folder)]
    return [name for name in importable if name in sys.stdlib_module_names or PathFinder.find_spec(name, rest)]


def _is_importable(name: str, folder: str) -> bool:
    path = os.path.join(folder, name)
    return os.path.isfile(f"{path}.py") or os.path.isfile(os.path.join(path, "__init__.py"))
