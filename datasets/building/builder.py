"""Resumable builder of datasets: content-addressed folders, shard by shard."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.building.manifest import Manifest, ShardEntry
from datasets.building.parts import DatasetPart, Shard
from datasets.building.plan import DatasetPlan, WriterFactory, missing_parts
from runtime.storage import Storage, storage_at

Progress = Callable[[str, int, int], None]
"""Called with the unit of the rows, the number of rows that are finished, and their total."""

ShardExecutor = Callable[[WriterFactory, Sequence[Shard]], Iterator[ShardEntry]]
"""Writes shards in any order and process; calls the factory once in each process."""


def build_in_process(factory: WriterFactory, shards: Sequence[Shard]) -> Iterator[ShardEntry]:
    """Write shards one after the other in this process."""
    write_shard = factory()
    for shard in shards:
        yield write_shard(shard)


def _print_message(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class PartBuild:
    """State of a part that is being built.

    Attributes:
        part: The part.
        intact: Entries of the intact shards by name.
        shards: Shards to be written.
    """

    part: DatasetPart
    intact: dict[str, ShardEntry]
    shards: list[Shard]


@dataclass(frozen=True)
class Builder:
    """Builder of the missing parts of datasets.

    Attributes:
        store: Location of the datasets.
        progress: Called after every shard.
        over: Executor that writes the shards.
        cache: Local folder for copies of shards from a remote store.
        print_line: Prints a message about another build that has to be waited for.
    """

    store: Storage
    progress: Progress = lambda *_: None
    over: ShardExecutor = build_in_process
    cache: Path = Path(tempfile.gettempdir()) / "soundsweep"
    print_line: Callable[[str], None] = _print_message

    def build(self, plan: DatasetPlan, *, verify: bool = False) -> tuple[str, ...]:
        """Build the missing parts of a dataset; an interrupted build continues with the shards that are missing.

        Args:
            plan: Plan of the dataset.
            verify: Whether to read every byte of the finished parts.

        Returns:
            Names of the damaged shards, which have been rebuilt.

        Raises:
            InputError: If a sound file cannot be decoded, a split has no audible excerpt, or the disk is full.
        """
        with self.store.build_lock(
            plan.fingerprint, lambda text: self.print_line(f"data     {plan.fingerprint}: {text}")
        ):
            return self._build(plan, verify=verify)

    def _build(self, plan: DatasetPlan, *, verify: bool) -> tuple[str, ...]:
        missing = {part.folder for part in missing_parts(plan, self.store)}
        damaged: list[str] = []
        builds: list[PartBuild] = []
        needed: set[str] = set()
        for part in reversed(plan.list_parts()):  # splits first: they determine which other parts are needed
            manifest = Manifest.read(self.store, part.folder)
            if part.folder not in missing | needed and not (verify and manifest is not None):
                continue
            build, part_damaged = self._verify_part(plan, part, manifest, verify=verify)
            damaged += part_damaged
            if build.shards:
                needed |= {other.folder for other in plan.dependencies(part)}
            builds.append(build)
        for kind in dict.fromkeys(part.kind for part in plan.list_parts()):
            self._write_shards(plan, [build for build in builds if build.part.kind == kind])
        for build in builds:
            # The manifest of an intact part stays as it is, with the versions of the packages that built it.
            if build.shards or build.part.folder in missing:
                self._finish_part(plan, build)
        return tuple(sorted(damaged))

    def _verify_part(
        self, plan: DatasetPlan, part: DatasetPart, manifest: Manifest | None, *, verify: bool
    ) -> tuple[PartBuild, list[str]]:
        """Verify the shards of a part; return what is to be built, and the names of the damaged shards."""
        listed = {} if manifest is None else {entry.name: entry for entry in manifest.shards}
        build = PartBuild(part, {}, [])
        damaged = []
        for shard in part.list_shards():
            verified = plan.verify_shard(self.store, shard, listed.get(shard.name), verify=verify)
            if verified.entry is not None:
                build.intact[shard.name] = verified.entry
                continue
            build.shards.append(shard)
            damaged += [shard.name] * (verified.state == "damaged")
        return build, damaged

    def _write_shards(self, plan: DatasetPlan, builds: list[PartBuild]) -> None:
        shards = [shard for build in reversed(builds) for shard in build.shards]
        if not shards:
            return
        unit = builds[0].part.unit
        total = sum(build.part.samples for build in builds)
        done = total - sum(shard.samples for shard in shards)
        entries = {build.part.folder: build.intact for build in builds}
        self.progress(unit, done, total)
        for entry in self.over(plan.writer_factory(self.store, self.cache), shards):
            entries[entry.name.partition("/")[0]][entry.name] = entry
            done += entry.samples
            self.progress(unit, done, total)

    def _finish_part(self, plan: DatasetPlan, build: PartBuild) -> None:
        part = build.part
        self.store.remove_partials(part.folder)
        Manifest.write(
            self.store,
            part.folder,
            part.identity,
            plan.sound_files if part.uses_sound_files else None,
            (build.intact[shard.name] for shard in part.list_shards()),
        )


def estimate_seconds(plan: DatasetPlan, miniature: DatasetPlan, workers: int) -> float:
    """Estimate the duration of a build by building a miniature in this process.

    Args:
        plan: Plan of the dataset.
        miniature: Plan of a smaller dataset with the same kinds of parts.
        workers: Number of processes that will build the dataset.

    Returns:
        Duration in seconds.
    """
    began: dict[str, tuple[float, int]] = {}
    spent: dict[str, tuple[float, int]] = {}

    def measure(unit: str, done: int, _total: int) -> None:
        now = time.perf_counter()
        first, _ = began.setdefault(unit, (now, done))
        spent[unit] = (now - first, done)

    with tempfile.TemporaryDirectory() as folder:
        Builder(storage_at(f"{folder}/datasets"), measure).build(miniature)
    total = 0.0
    for unit in dict.fromkeys(part.unit for part in plan.list_parts()):
        if unit in spent:
            measured = spent[unit][0] / spent[unit][1] * _count_rows(miniature, unit)
            total += measured * _sum_effort(plan, unit) / _sum_effort(miniature, unit) / workers
    return total


def _count_rows(plan: DatasetPlan, unit: str) -> int:
    return sum(part.samples for part in plan.list_parts() if part.unit == unit)


def _sum_effort(plan: DatasetPlan, unit: str) -> float:
    return sum(part.samples * part.effort for part in plan.list_parts() if part.unit == unit)
