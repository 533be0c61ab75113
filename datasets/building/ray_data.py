"""Execution of builds on all cores and nodes of a Ray cluster; the only module that imports Ray Data."""

from __future__ import annotations

import functools
import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import ray
from ray import data

from datasets.building.builder import ShardExecutor
from datasets.building.manifest import ShardEntry
from datasets.building.parts import Shard
from datasets.building.plan import WriteShard
from runtime.errors import InputError
from runtime.machines import machine
from runtime.machines.working_folder import enter_folder

_SHARDS_PER_TASK: Final = 8

os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")


@functools.lru_cache(maxsize=1)
def _set_up(factory: bytes) -> WriteShard:
    """Return the shard writer of this process; it is kept between tasks, since the preparation takes seconds."""
    import torch

    machine.disable_malloc_trim()
    torch.set_num_threads(1)
    made: WriteShard = pickle.loads(factory)()
    return made


def _write_shard(row: dict[str, Any], factory: bytes, folder: Path) -> dict[str, Any]:
    enter_folder(folder)
    try:
        return {"made": pickle.dumps(_set_up(factory)(pickle.loads(row["shard"])))}
    except InputError as error:  # Ray would wrap it in an exception of its own
        return {"made": pickle.dumps(error)}


def ray_executor(workers: int | None = None, cpus: float = 1.0) -> ShardExecutor:
    """Return an executor that writes shards on Ray, one core per shard.

    Args:
        workers: Maximum number of concurrent tasks; the number of cores if None.
        cpus: CPUs that each task reserves; 0 if a trial that waits for the data has reserved them.
    """

    def execute(factory: Callable[[], WriteShard], shards: Sequence[Shard]) -> Iterator[ShardEntry]:
        data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        most = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        rows = [{"shard": pickle.dumps(shard)} for shard in shards]
        # Several shards per task, since the submission of a task takes about as long as the rendering of a shard.
        blocks = min(len(rows), max(4 * most, len(rows) // _SHARDS_PER_TASK))
        made = data.from_items(rows, override_num_blocks=blocks).map(
            _write_shard,
            fn_args=(pickle.dumps(factory), Path.cwd()),
            compute=data.TaskPoolStrategy(size=min(most, len(rows))),
            num_cpus=cpus,
        )
        for row in made.iter_rows():
            result = pickle.loads(row["made"])
            if isinstance(result, InputError):
                raise result
            yield result

    return execute
