"""`python -m datasets.generate SPEC`: builds datasets ahead of time, shard by shard, on all cores."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from datasets import asked, blueprint
from datasets.blueprint import Source
from datasets.command import DataProgress, Line, Parser, answer, require_space, size
from datasets.dcase2020.build import SceneSource, SceneWork
from datasets.dcase2020.spec import SceneSpec
from datasets.manifest import missing
from datasets.spec import LocalizerSpec
from datasets.store import Store

_SPARE_BYTES: Final = 200 * 10**6


def parser() -> Parser:
    """The command line."""
    result = Parser(
        prog="python -m datasets.generate",
        description="Build the datasets of a space, or of a file with the keys of one dataset. What is there is not made "
        "again: after an interruption the same command goes on.",
        epilog="Example: python -m datasets.generate spaces/rg_rep.yaml --profile full --set train=20000",
        allow_abbrev=False,
    )
    asked.add_options(result)
    result.add_argument("--workers", type=_count, metavar="N", help="processes of one core each (default: all cores)")
    result.add_argument(
        "--verify", action="store_true", help="read every byte of what is there; what is damaged is rebuilt"
    )
    result.add_argument("--dry-run", action="store_true", help="say what would be made, and make nothing")
    return result


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return value


_count.__name__ = "whole number"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    return answer(lambda: _generate(parser().parse_args(arguments)))


def _generate(options: argparse.Namespace) -> int:
    specs, store, place = asked.read(options)
    local = Path(options.storage) / "datasets"
    line = Line(sys.stdout)
    works = [_work(spec, store, local, place) for spec in specs]
    for text in dict.fromkeys(text for work in works for text in work.describe()):
        line.say(text)
    if store.is_local:
        needed = {folder: count for work in works for folder, count in work.bytes_missing().items()}
        require_space(Path(store.uri), sum(needed.values()) + _SPARE_BYTES)
    if options.dry_run:
        return 0
    if not options.verify and not any(work.lacking() for work in works):
        line.say("done     nothing to make; --verify reads every byte")
        return 0
    return _build(works, line, workers=options.workers, verify=options.verify)


def _build(works: Sequence[LocalizerWork | SceneWork], line: Line, *, workers: int | None, verify: bool) -> int:
    from datasets import cluster  # Ray takes seconds to load

    started = time.perf_counter()
    damaged: list[str] = []
    line.say("starting Ray")
    with cluster.local():
        from datasets.distribute import over_ray

        ready = time.perf_counter()
        for work in works:
            damaged += work.build(DataProgress(line), over_ray(workers), verify=verify)
    for name in dict.fromkeys(damaged):
        line.say(f"damaged  {name}: made again")
    if verify:
        line.say("verified" + ("" if damaged else " every byte: nothing was damaged"))
    now = time.perf_counter()
    line.say(f"done     in {now - started:.1f} s, {ready - started:.1f} s of it to start Ray")
    return 0


class LocalizerWork:
    """A dataset for the 2D localizer to be built."""

    def __init__(self, source: Source, store: Store, cache: Path) -> None:
        self._source = source
        self._store = store
        self._cache = cache

    def describe(self) -> list[str]:
        """Its parts in words."""
        sizes = blueprint.bytes_of(self._source)
        lacking = {part.folder for part in missing(self._source, self._store)}
        unit = {"music": "excerpts", "responses": "places", "split": "samples"}
        return [
            f"data     {part.folder:<28} {part.samples:>9,} {unit[part.kind]:<9}{size(sizes[part.folder]):>9}"
            + ("" if part.folder in lacking else "  (there)")
            for part in self._source.parts()
        ]

    def lacking(self) -> bool:
        """Whether anything is to be made."""
        return bool(missing(self._source, self._store))

    def bytes_missing(self) -> dict[str, int]:
        """What it will take on disk, by folder."""
        sizes = blueprint.bytes_of(self._source)
        return {part.folder: sizes[part.folder] for part in missing(self._source, self._store)}

    def build(self, progress: Callable[[str, int, int], None], over: Any, *, verify: bool) -> tuple[str, ...]:
        """Make what is missing; returns what was damaged."""
        from datasets.build import Builder

        return Builder(self._store, progress, over, self._cache).build(self._source, verify=verify)


def _work(spec: LocalizerSpec | SceneSpec, store: Store, cache: Path, place: str) -> LocalizerWork | SceneWork:
    if isinstance(spec, SceneSpec):
        return SceneWork(SceneSource.prepare(spec, place), store)
    return LocalizerWork(blueprint.prepare(spec, place), store, cache)


if __name__ == "__main__":
    sys.exit(main())
