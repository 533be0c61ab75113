"""Objects of a user's own modules, imported by name; every error of the module is named with its line."""

from __future__ import annotations

import difflib
import importlib
import sysconfig
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from runtime.errors import InputError
from runtime.machines.working_folder import add_import_folder


def import_object(path: str, place: str, noun: str) -> Any:
    """Import an object by its path.

    The folder in which the command was started is on the module search path.

    Args:
        path: Import path `package.module:name`.
        place: Location of the path, for errors.
        noun: Name of the object's role, for errors, such as "trainable".

    Raises:
        InputError: If the module is missing, cannot be imported or lacks the name; the line of the module is named.
    """
    module_name, _, attribute = path.partition(":")
    add_import_folder(Path.cwd())
    module = _import_module(module_name, path, place, noun)
    if hasattr(module, attribute):
        return getattr(module, attribute)
    names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    similar = difflib.get_close_matches(attribute, names, 1)
    remedy = f"did you mean {module_name}:{similar[0]}?" if similar else f"write a name that {module_name} defines"
    value = f"module {module_name!r} has no {attribute!r}"
    raise InputError(place, f"the {noun} must be importable", value=value, remedy=remedy)


def _import_module(name: str, path: str, place: str, noun: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except InputError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            package = error.name.partition(".")[0]
            remedy = _path_remedy(path) or f"check the path, run in the folder that contains {package}, or install it"
            raise InputError(place, f"the {noun} must be importable", value=str(error), remedy=remedy) from error
        remedy = f"install {error.name} in the environment of the search, or correct the import"
        raise _broken_error(error, name, place, noun, remedy) from error
    except (Exception, SystemExit) as error:
        remedy = "correct the line; python -c 'import " + name + "' shows the error"
        raise _broken_error(error, name, place, noun, remedy) from error


def _path_remedy(path: str) -> str | None:
    """Return the remedy for a path that names a file; None if it does not."""
    module_name, _, attribute = path.partition(":")
    if not (module_name.endswith(".py") or "/" in module_name):
        return None
    dotted = module_name.removesuffix(".py").strip("./").replace("/", ".")
    return f"write the module instead of its file: {dotted}:{attribute}"


def _broken_error(error: BaseException, name: str, place: str, noun: str, remedy: str) -> InputError:
    message = str(error).partition("\n")[0]
    if isinstance(error, SyntaxError) and error.filename:
        where, message = f"{error.filename}:{error.lineno}", error.msg
    else:
        where = _own_line(error) or name
    if isinstance(error, SystemExit):
        message = f"the module ends the program, status {error.code}"
    value = f"{where}: {type(error).__name__}: {message}"
    return InputError(place, f"the module of the {noun} must be importable without errors", value=value, remedy=remedy)


def _own_line(error: BaseException) -> str:
    """Return file and line of the innermost call that is neither Python's nor an installed package's; empty without calls."""
    installed = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
    others = ("<frozen", __file__, importlib.__file__)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(others)]
    own = [frame for frame in frames if not frame.filename.startswith(installed)]
    return next((f"{frame.filename}:{frame.lineno}" for frame in reversed(own or frames)), "")
