"""Reading of arrays from NumPy, Arrow and Parquet files; memory-mapped where the format allows it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runtime.errors import InputError

Arrays = dict[str, NDArray[Any]]
"""Arrays of one split by name, with the rows along the first axis."""

_KINDS: Final = "biufcUS"
"""Kinds of NumPy types that are read: numbers, truth values and text."""
SINGLE: Final = "x"
"""Name of the array of a single .npy file."""
_FORMATS: Final = ".npz, .npy, .arrow, .feather or .parquet"


def read_arrays(path: Path) -> Arrays:
    """Read all arrays of a file, or of the files of a folder.

    A folder holds one `.npy` file per array, or tables whose rows follow each other in the order of their names.

    Args:
        path: File or folder.

    Raises:
        InputError: If it is missing, unreadable or empty; has another format; holds Python objects; or its arrays differ in
            their number of rows.
    """
    if path.is_dir():
        arrays = _read_folder(path)
    elif path.exists():
        arrays = _read_file(path)
    else:
        raise _missing_error(path)
    for name, array in arrays.items():
        _check_array(array, f"{path}, array {name}")
    _check_rows(arrays, path)
    return arrays


def _missing_error(path: Path) -> InputError:
    return InputError(
        str(path),
        "the file of a split must exist on the machine of every trial",
        remedy="correct the path, which begins at the folder in which the command is started; on a cluster, use a shared "
        "folder, or --datasets with a bucket, to which the arrays are copied",
    )


def _read_folder(path: Path) -> Arrays:
    files = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
    arrays = {file.stem: _read_npy(file) for file in files if file.suffix.lower() == ".npy"}
    tables = [file for file in files if file.suffix.lower() in _TABLES]
    if arrays and tables:
        raise InputError(
            str(path), "a folder holds either .npy files or tables", value=tables[0].name, remedy="divide the folder"
        )
    if not (arrays or tables):
        raise InputError(
            str(path),
            "the folder of a split holds one .npy file per array, or tables (.arrow, .feather, .parquet)",
            value=", ".join(file.name for file in files[:5]) or "an empty folder",
            remedy="name another folder or a file",
        )
    return arrays or _join_tables([_read_file(file) for file in tables], tables)


def _join_tables(parts: list[Arrays], files: list[Path]) -> Arrays:
    for part, file in zip(parts, files, strict=True):
        if part.keys() != parts[0].keys():
            raise InputError(
                str(file),
                f"all tables of a folder have the columns {', '.join(parts[0])}",
                value=", ".join(part),
                remedy="correct the table, or remove it from the folder",
            )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _read_file(path: Path) -> Arrays:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            str(path), f"arrays are in a file with the suffix {_FORMATS}", value=path.suffix, remedy="convert the file"
        )
    try:
        return reader(path)
    except InputError:
        raise
    except Exception as error:  # corrupt files raise errors of many kinds
        raise _unreadable_error(path, error) from error


def _unreadable_error(path: Path, error: Exception) -> InputError:
    if any(word in str(error) for word in ("allow_pickle", "Object arrays", "Python objects")):
        return InputError(
            str(path),
            "arrays hold numbers or text; Python objects are not read, since they may run code",
            value="an object array",
            remedy="save it as an array of numbers; rows of different length have to be padded",
        )
    text = str(error).partition("\n")[0]
    return InputError(
        str(path), f"the file must be a readable {path.suffix} file", value=text, remedy="replace the file"
    )


def _read_npz(path: Path) -> Arrays:
    if not zipfile.is_zipfile(path):
        raise ValueError("the file is no npz archive")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_npy(path: Path) -> NDArray[Any]:
    with path.open("rb") as file:
        if not file.read(6).startswith(b"\x93NUMPY"):  # which NumPy would take for pickled data
            raise _unreadable_error(path, ValueError("the file does not begin as a .npy file"))
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _unreadable_error(path, error) from error
    return array


def _read_arrow(path: Path) -> Arrays:
    import pyarrow as pa

    source = pa.memory_map(str(path))
    try:
        table = pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid:
        table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
    return _table_arrays(table, path)


def _read_parquet(path: Path) -> Arrays:
    from pyarrow import parquet

    return _table_arrays(parquet.ParquetFile(path, memory_map=True).read(), path)


def _table_arrays(table: Any, path: Path) -> Arrays:
    return {name: _column_array(table.column(name), f"{path}, column {name}") for name in table.column_names}


def _column_array(column: Any, place: str) -> NDArray[Any]:
    """Return a column as an array; lists and tensors of a fixed size add axes."""
    import pyarrow as pa

    if column.null_count:
        raise InputError(place, "a column has no nulls", value=f"{column.null_count} nulls", remedy="fill or drop them")
    chunk = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(chunk, pa.ChunkedArray):  # a table without rows has no chunk
        chunk = pa.concat_arrays(chunk.chunks) if chunk.num_chunks else pa.array([], column.type)
    if isinstance(chunk.type, pa.DictionaryType):
        chunk = chunk.dictionary_decode()
    if isinstance(chunk, pa.FixedShapeTensorArray):
        return np.asarray(chunk.to_numpy_ndarray())
    return _nested_array(chunk, place)


def _nested_array(chunk: Any, place: str) -> NDArray[Any]:
    import pyarrow as pa

    if pa.types.is_fixed_size_list(chunk.type):
        return _nested_array(chunk.flatten(), place).reshape(len(chunk), chunk.type.list_size, *_rest(chunk))
    if pa.types.is_list(chunk.type) or pa.types.is_large_list(chunk.type):
        return _equal_lists(chunk, place)
    if pa.types.is_string(chunk.type) or pa.types.is_large_string(chunk.type):
        return np.array(chunk.to_pylist(), dtype=np.str_)
    array: NDArray[Any] = chunk.to_numpy(zero_copy_only=False)
    return array


def _rest(chunk: Any) -> tuple[int, ...]:
    """Return the sizes of the inner lists of a list of lists."""
    import pyarrow as pa

    inner = chunk.type.value_type
    sizes = []
    while pa.types.is_fixed_size_list(inner):
        sizes.append(inner.list_size)
        inner = inner.value_type
    return tuple(sizes)


def _equal_lists(chunk: Any, place: str) -> NDArray[Any]:
    """Return lists of equal length as an array with one more axis."""
    lengths = np.diff(chunk.offsets.to_numpy(zero_copy_only=False))
    if len(lengths) and (lengths != lengths[0]).any():
        raise InputError(
            place,
            "all lists of a column have the same length",
            value=f"{lengths.min()} to {lengths.max()} values",
            remedy="pad the lists to one length",
        )
    inner = _nested_array(chunk.flatten(), place)
    return inner.reshape(len(chunk), int(lengths[0]) if len(lengths) else 0, *inner.shape[1:])


def _check_array(array: NDArray[Any], place: str) -> None:
    if array.dtype.kind not in _KINDS:
        raise InputError(
            place,
            "an array holds numbers, truth values or text",
            value=f"type {array.dtype}",
            remedy="convert it, e.g. times to seconds; records to one array per field",
        )
    if array.ndim == 0:
        raise InputError(
            place,
            "an array has one row per sample",
            value="a single value",
            remedy="leave it out, or repeat it for each row",
        )


def _check_rows(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    rows = {name: len(array) for name, array in arrays.items()}
    if not rows or not max(rows.values()):
        raise InputError(
            str(path),
            "a split must hold at least one row",
            value=", ".join(f"{name} {count}" for name, count in rows.items()) or "no arrays",
            remedy="name another file",
        )
    if len(set(rows.values())) > 1:
        raise InputError(
            str(path),
            "all arrays of a split have the same number of rows, the length of their first axis",
            value=", ".join(f"{name} {count}" for name, count in rows.items()),
            remedy="save one row per sample in each array",
        )


_TABLES: Final = (".arrow", ".feather", ".ipc", ".parquet")
_READERS: Final[Mapping[str, Callable[[Path], Arrays]]] = {
    ".npz": _read_npz,
    ".npy": lambda path: {SINGLE: _read_npy(path)},
    ".arrow": _read_arrow,
    ".feather": _read_arrow,
    ".ipc": _read_arrow,
    ".parquet": _read_parquet,
}
