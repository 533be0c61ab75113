"""Learning curves of trainings, and the Parquet files that hold them.

A file has one row per training and epoch, in the order of the trainings, with these columns:

| column | content |
|---|---|
| `configuration` | number of the configuration: the baseline is 0, those of `start` follow, then the random ones |
| `role` | `baseline`, `start 0`, … or `random` |
| `seed` | seed of the training; the data is the same for all seeds |
| `parameters` | searched parameters as a JSON object; inactive ones are absent, which null could not express |
| `outcome`, `reason` | `finished` or `failed`, with the reason of the failure |
| `epoch` | number of the epoch, from 1 |
| `seconds` | wall time of the epoch with its validation; depends on other load of the machine |
| `cpu_seconds` | CPU time of the same, on one thread, with the checkpoint; hardly depends on other load |
| `metric.NAME` | metrics of training, and of validation with the best inference parameters; null if undefined |
| `setting.NAME` | inference parameters with the best validation result |

The epoch in which a training failed has a row as well, with null for all metrics. The metadata of the file has, under
`soundsweep.recording`, a JSON object with the values of the space (`space`, as in a search's `space.json`), the command, the
resources of a training, the package versions, the commit and the CPU.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from runtime.files import atomic_write
from spaces.schema import Value

METADATA: Final = b"soundsweep.recording"
_METRIC: Final = "metric."
_SETTING: Final = "setting."


@dataclass(frozen=True)
class CurveEpoch:
    """One epoch of a recorded training.

    Attributes:
        epoch: Number of the epoch, from 1.
        metrics: Metrics; empty in the epoch in which the training failed.
        setting: Inference parameters with the best validation result.
        seconds: Wall time with validation.
        cpu_seconds: CPU time of the process with validation.
    """

    epoch: int
    metrics: Mapping[str, float]
    setting: Mapping[str, float]
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Curve:
    """Recorded training of one configuration on one seed.

    Attributes:
        configuration: Number of the configuration.
        role: `baseline`, `start 0`, … or `random`.
        seed: Seed of the training.
        parameters: Searched parameters.
        outcome: Whether all epochs ended.
        reason: Reason of a failure.
        epochs: All epochs, in order.
    """

    configuration: int
    role: str
    seed: int
    parameters: Mapping[str, Value]
    outcome: Literal["finished", "failed"]
    reason: str
    epochs: tuple[CurveEpoch, ...]


def from_json(content: Mapping[str, Any]) -> Curve:
    """Return a curve from the dictionary that `dataclasses.asdict` made of it."""
    return Curve(**{**content, "epochs": tuple(CurveEpoch(**epoch) for epoch in content["epochs"])})


def write_curves(path: Path, curves: Sequence[Curve], description: Mapping[str, Any]) -> None:
    """Write a file of curves, completely or not at all.

    Args:
        path: Parquet file.
        curves: Trainings.
        description: Origin of the curves, for the metadata.
    """
    rows = [_to_row(curve, epoch) for curve in curves for epoch in curve.epochs]
    names = {name: None for row in rows for name in row if name.startswith((_METRIC, _SETTING))}
    fixed = [
        *(("configuration", pa.int32()), ("role", pa.string()), ("seed", pa.int64()), ("parameters", pa.string())),
        *(("outcome", pa.string()), ("reason", pa.string()), ("epoch", pa.int32())),
        *(("seconds", pa.float64()), ("cpu_seconds", pa.float64())),
    ]
    schema = pa.schema([*fixed, *((name, pa.float64()) for name in names)])
    schema = schema.with_metadata({METADATA: json.dumps(description, ensure_ascii=False).encode()})
    with atomic_write(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema), temporary, compression="zstd")


def _to_row(curve: Curve, epoch: CurveEpoch) -> dict[str, Any]:
    return {
        "configuration": curve.configuration,
        "role": curve.role,
        "seed": curve.seed,
        "parameters": json.dumps(curve.parameters, ensure_ascii=False),
        "outcome": curve.outcome,
        "reason": curve.reason,
        "epoch": epoch.epoch,
        "seconds": round(epoch.seconds, 3),
        "cpu_seconds": round(epoch.cpu_seconds, 3),
        **{_METRIC + name: value for name, value in epoch.metrics.items()},
        **{_SETTING + name: value for name, value in epoch.setting.items()},
    }


def read_curves(path: Path) -> tuple[dict[str, Any], list[Curve]]:
    """Return the description and the curves of a file, by configuration and seed."""
    table = pq.read_table(path)
    grouped: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        grouped.setdefault((row["configuration"], row["seed"]), []).append(row)
    return json.loads(table.schema.metadata[METADATA]), [_from_rows(rows) for _, rows in sorted(grouped.items())]


def _from_rows(rows: Sequence[Mapping[str, Any]]) -> Curve:
    first = rows[0]
    return Curve(
        configuration=first["configuration"],
        role=first["role"],
        seed=first["seed"],
        parameters=json.loads(first["parameters"]),
        outcome=first["outcome"],
        reason=first["reason"],
        epochs=tuple(
            CurveEpoch(
                row["epoch"],
                dict(_without_prefix(row.items(), _METRIC)),
                dict(_without_prefix(row.items(), _SETTING)),
                row["seconds"],
                row["cpu_seconds"],
            )
            for row in sorted(rows, key=lambda row: int(row["epoch"]))
        ),
    )


def _without_prefix(items: Iterable[tuple[str, Any]], prefix: str) -> Iterable[tuple[str, float]]:
    return (
        (name.removeprefix(prefix), value) for name, value in items if name.startswith(prefix) and value is not None
    )
