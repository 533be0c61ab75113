"""Ray Data makes the same bytes with any number of workers, and answers wrong input as one process does."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.building.builder import Builder
from datasets.rooms.dataset import find_dataset
from runtime.errors import InputError
from runtime.machines import ray_cluster
from runtime.storage import storage_at
from tests.datasets.small import ECHO, content, flip, made, part_of, source

pytestmark = [
    pytest.mark.slow,  # Ray takes seconds to start
    pytest.mark.filterwarnings("ignore:`use_.* is deprecated:DeprecationWarning"),  # inside Ray Data
]

# More than a thousand training samples, so that there are several shards at their real size: workers know no patches.
ECHOING = {"train": 2_010, "validate": 8, "tests": {"S0": 4}, "acoustics": ECHO | {"positions": 30}}


def listening() -> set[str]:
    """Addresses at which processes of this session's Ray listen."""
    told = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[3] for line in told if (found := re.search(r"pid=(\d+)", line)) and ours(int(found[1]))}


def ours(process: int) -> bool:
    """Whether a process descends from this one."""
    while process > 1:
        if process == os.getpid():
            return True
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    level, disabled = logging.getLogger("ray.data").level, logging.root.manager.disable
    with ray_cluster.start_local_ray():
        yield
    logging.getLogger("ray.data").setLevel(level)
    logging.disable(disabled)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("here")
    made(root, **ECHOING)
    return content(root)


@pytest.mark.usefixtures("ray")
@pytest.mark.skipif(shutil.which("ss") is None, reason="needs iproute2")
def test_ray_on_this_machine_listens_to_this_machine_alone() -> None:
    assert [node.name for node in ray_cluster.alive_nodes()] == ["127.0.0.1"]
    found = listening()
    assert len(found) >= 3
    assert {address for address in found if not address.startswith(("127.", "[::ffff:127."))} == set()


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize(("workers", "cpus"), [(1, 1.0), (2, 1.0), (4, 0.0), (None, 1.0)])
def test_any_number_of_workers_makes_the_same_bytes(
    expected: dict[str, bytes], tmp_path: Path, workers: int | None, cpus: float
) -> None:
    from datasets.building.ray_data import ray_executor

    told: list[tuple[str, int, int]] = []
    builder = Builder(storage_at(str(tmp_path)), lambda *step: told.append(step), ray_executor(workers, cpus))
    assert builder.build(source(**ECHOING)) == ()
    assert len([name for name in expected if name.endswith(".arrow")]) == 1 + 3 * 2 * 2 + 3 + 1 + 1
    assert content(tmp_path) == expected
    assert {(what, done) for what, done, total in told if done == total} == {
        ("excerpts", 24),
        ("places", 3 * 60),
        ("samples", 2_022),
    }


@pytest.mark.usefixtures("ray")
def test_data_is_made_while_trials_hold_every_core(tmp_path: Path) -> None:
    """A trial that waits for its data, beside others that have all cores, would otherwise wait for ever."""
    import ray

    from datasets.building.ray_data import ray_executor

    @ray.remote(num_cpus=1)
    class Holder:
        def here(self) -> None:
            """Answers once it has its core."""

    holders = [Holder.remote() for _ in range(int(ray.cluster_resources()["CPU"]))]  # type: ignore[attr-defined]
    ray.get([holder.here.remote() for holder in holders])
    assert ray.available_resources().get("CPU", 0) == 0
    small = source(train=6, validate=4, tests={"S0": 4}, excerpts=8, excerpt_s=1)
    builder = Builder(storage_at(str(tmp_path)), over=ray_executor(2, cpus=0))
    builder.build(small)
    assert find_dataset(small, storage_at(str(tmp_path))) is not None
    for holder in holders:
        ray.kill(holder)


@pytest.mark.usefixtures("ray")
def test_workers_mend_what_is_damaged(expected: dict[str, bytes], tmp_path: Path) -> None:
    from datasets.building.ray_data import ray_executor

    for name, written in expected.items():
        storage_at(str(tmp_path)).write_file(name, written)
    spoilt = tuple(
        sorted(part_of(name, source(**ECHOING)).list_shards()[-1].name for name in ("music", "responses", "train"))
    )
    for name in spoilt:
        flip(tmp_path / name)
    assert Builder(storage_at(str(tmp_path)), over=ray_executor(2)).build(source(**ECHOING), verify=True) == spoilt
    assert content(tmp_path) == expected


@pytest.mark.usefixtures("ray")
def test_wrong_input_found_by_a_worker_is_answered_like_any_other(tmp_path: Path) -> None:
    from datasets.building.ray_data import ray_executor

    with pytest.raises(InputError, match="at least one audible passage") as caught:
        Builder(storage_at(str(tmp_path)), over=ray_executor(2)).build(source(gate=0.199))
    assert "dataset.gate" in caught.value.remedy
