"""Shards on disk: uncompressed Arrow IPC files that plain pyarrow can read, memory-mapped for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def encode_table(columns: Mapping[str, NDArray[Any]]) -> Any:
    """Encode columns as the content of an Arrow IPC file."""
    arrays = [
        pa.array(column) if column.ndim == 1 else pa.FixedShapeTensorArray.from_numpy_ndarray(column)
        for column in columns.values()
    ]
    table = pa.record_batch(arrays, names=list(columns))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_batch(table)
    return sink.getvalue()


def read_columns(path: Path, names: Sequence[str]) -> list[NDArray[Any]]:
    """Memory-map columns of a shard."""
    table = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    return [_as_numpy(table.column(name)) for name in names]


def _as_numpy(column: Any) -> NDArray[Any]:
    if isinstance(column, pa.FixedShapeTensorArray):
        return np.asarray(column.to_numpy_ndarray())
    return np.asarray(column.to_numpy(zero_copy_only=False))
