"""The only file that knows Ray Data: makes shards on all cores and nodes of a running Ray."""

from __future__ import annotations

import functools
import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import ray
from ray import data

from datasets.building.builder import ShardExecutor
from datasets.building.manifest import ShardEntry
from datasets.building.parts import Shard
from datasets.building.plan import WriteShard
from runtime import machine
from runtime.errors import InputError

_SHARDS_A_TASK: Final = 8

os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")


@functools.lru_cache(maxsize=1)
def _set_up(factory: bytes) -> WriteShard:
    """What makes shards in this process; Ray's workers outlive a task, and setting up costs seconds."""
    import torch

    machine.disable_malloc_trim()
    torch.set_num_threads(1)
    made: WriteShard = pickle.loads(factory)()
    return made


def _write_shard(row: dict[str, Any], factory: bytes) -> dict[str, Any]:
    try:
        return {"made": pickle.dumps(_set_up(factory)(pickle.loads(row["shard"])))}
    except InputError as error:  # Ray would wrap it beyond recognition
        return {"made": pickle.dumps(error)}


def ray_executor(workers: int | None = None, cpus: float = 1.0) -> ShardExecutor:
    """A way to make shards on Ray, one core a shard.

    Args:
        workers: At most so many at once; as many as there are cores if None.
        cpus: Of Ray's resources, for each; 0 where a trial that waits for the data holds them.
    """

    def over(factory: Callable[[], WriteShard], shards: Sequence[Shard]) -> Iterator[ShardEntry]:
        data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        most = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        rows = [{"shard": pickle.dumps(shard)} for shard in shards]
        # Several shards a task: handing out a task takes a tenth of a second, rendering a shard not much more.
        blocks = min(len(rows), max(4 * most, len(rows) // _SHARDS_A_TASK))
        made = data.from_items(rows, override_num_blocks=blocks).map(
            _write_shard,
            fn_args=(pickle.dumps(factory),),
            compute=data.TaskPoolStrategy(size=min(most, len(rows))),
            num_cpus=cpus,
        )
        for row in made.iter_rows():
            result = pickle.loads(row["made"])
            if isinstance(result, InputError):
                raise result
            yield result

    return over
