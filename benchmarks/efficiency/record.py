"""`python -m benchmarks.efficiency.record SPACE -o FILE.parquet`: learning curves of random configurations of a space.

Recorded are the baseline, the points of `start` and random points that a search could propose too, each over all epochs; then
some of them on further seeds, for the noise: half of these are the best ones, half are spread evenly over the ranks of the
others. `benchmarks.efficiency.curves` describes the columns.

An interrupted recording continues with the same command: every finished training is a file in `FILE.parts/`. With more
`--configurations`, the existing ones are kept. The table of `rg_rep` was recorded by the first command, and one of
`tracking_losses` is recorded by the second:

    python -m benchmarks.efficiency.record spaces/rg_rep.yaml --profile laptop --configurations 150 --seeds-of 20 \
        --set budget.epochs=12 --set optimizer.epoch_samples=1500 --set dataset.validate=1000 \
        -o benchmarks/efficiency/tables/rg_rep.parquet
    python -m benchmarks.efficiency.record spaces/tracking_losses.yaml --profile laptop --configurations 100 --seeds-of 10 \
        --set budget.epochs=18 --set stopping.first_rung=2 -o benchmarks/efficiency/tables/tracking_losses.parquet

A training of the first table takes 45 s of CPU, all 192 of them two and a half hours of one core; one of the second takes 110 s.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import multiprocessing
import os
import random
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.efficiency.curves import Curve, from_json, write_curves
from benchmarks.measure import describe_machine
from runtime.cli import Parser, run_command, whole_number_type
from runtime.console import Console
from runtime.errors import InputError
from runtime.files import write_text_atomic
from runtime.machines import machine
from search import launch
from search.experiment import Experiment
from search.study import pareto
from spaces import feasibility
from spaces.schema import Space, Value

_DRAWS_PER_POINT: Final = 1000


@dataclass(frozen=True)
class Training:
    """A training that is to be recorded.

    Attributes:
        configuration: Number of the configuration.
        role: `baseline`, `start 0`, … or `random`.
        seed: Seed of the training.
        parameters: Searched parameters.
    """

    configuration: int
    role: str
    seed: int
    parameters: dict[str, Value] = field(hash=False)

    @property
    def file_name(self) -> str:
        """Name of the file of the finished training."""
        return f"{self.configuration:05d}-{self.seed}.json"


def list_trainings(space: Space, configurations: int) -> list[Training]:
    """Return a training per configuration: the baseline, the points of `start`, and random points, without repetitions.

    Args:
        space: Space to draw from, with its seed.
        configurations: Number of random points; a larger number adds points to those of a smaller one.

    Raises:
        InputError: If the space has fewer points.
    """
    named = {"baseline": space.baseline, **{f"start {number}": point for number, point in enumerate(space.start)}}
    points = {role: dict(point) for role, point in named.items()}
    trainings = [Training(number, role, space.seed, point) for number, (role, point) in enumerate(points.items())]
    generator = random.Random(space.seed)
    checker = feasibility.PointChecker(space, draws_rooms=True)
    for _ in range(configurations):
        point = _draw_new_point(space, checker, [training.parameters for training in trainings], generator)
        trainings.append(Training(len(trainings), "random", space.seed, point))
    return trainings


def _draw_new_point(
    space: Space, checker: feasibility.PointChecker, earlier: Sequence[dict[str, Value]], generator: random.Random
) -> dict[str, Value]:
    for _ in range(_DRAWS_PER_POINT):
        point = feasibility.draw_point(space.search, generator)
        is_new = not feasibility.contains_point(space.search, earlier, point)
        if is_new and checker.explain_impossible(point) is None:
            return point
    raise InputError(
        "--configurations",
        "the space must have this many possible points",
        value=len(earlier),
        remedy="record fewer configurations",
    )


def list_repetitions(space: Space, curves: Sequence[Curve], seeds_of: int, seeds: int) -> list[Training]:
    """Return the trainings on further seeds: of the best configurations, and of others spread evenly over the ranks.

    Args:
        space: Space with its objectives.
        curves: Trainings of all configurations on the seed of the space.
        seeds_of: Number of configurations.
        seeds: Number of seeds of each of them, that of the space included.
    """
    finished = [curve for curve in curves if curve.seed == space.seed and curve.outcome == "finished"]
    values = [pareto.objective_values(curve.epochs[-1].metrics, space.objectives) for curve in finished]
    ranked = [finished[index] for index in pareto.rank_order(values)]
    best = min((seeds_of + 1) // 2, len(ranked))
    others, count = ranked[best:], min(seeds_of, len(ranked)) - best
    chosen = ranked[:best] + [others[(2 * n + 1) * len(others) // (2 * count)] for n in range(count)]
    return [
        Training(curve.configuration, curve.role, space.seed + more, dict(curve.parameters))
        for more in range(1, seeds)
        for curve in chosen
    ]


def record_training(experiment: Experiment, training: Training, number: int, folder: Path) -> None:
    """Train one configuration over all epochs and write its curve to `folder`, completely or not at all.

    Args:
        experiment: Space, dataset and storage; the files of the trial are removed afterwards.
        training: What is trained.
        number: Number of the trial, which names its files.
        folder: Folder of finished trainings.
    """
    from benchmarks.efficiency.measured_trial import train_in_full  # loads torch

    shutil.rmtree(experiment.results.trial_path(number), ignore_errors=True)
    epochs, reason = train_in_full(experiment.with_seed(training.seed), number, training.parameters)
    shutil.rmtree(experiment.results.trial_path(number), ignore_errors=True)
    outcome: Any = "failed" if reason else "finished"
    curve = Curve(
        training.configuration, training.role, training.seed, training.parameters, outcome, reason, tuple(epochs)
    )
    write_text_atomic(folder / training.file_name, json.dumps(asdict(curve)) + "\n")


def _prepare_worker() -> None:
    """Limit torch to one thread, and end this process when its parent has ended, however it ended."""
    import torch

    machine.disable_malloc_trim()
    torch.set_num_threads(1)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _open_pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes that are ended, in the midst of a training if need be, at the end of the block."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _prepare_worker)
    try:
        yield pool
    finally:
        workers = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()


class RecordingPool:
    """Recording of trainings in several processes.

    Args:
        experiment: Space, dataset and storage.
        folder: Folder of finished trainings.
        processes: Number of trainings at a time.
        report: Receives a line after every training.
    """

    def __init__(self, experiment: Experiment, folder: Path, processes: int, report: Callable[[str], None]) -> None:
        self._experiment = experiment
        self._folder = folder
        self._processes = processes
        self._report = report

    def record(self, trainings: Sequence[Training], more: int = 0) -> list[Curve]:
        """Record the trainings that have no file yet, and return the curves of all.

        Args:
            trainings: What is trained.
            more: Number of trainings that follow later, for the estimate of the time.
        """
        missing = [training for training in trainings if not (self._folder / training.file_name).is_file()]
        if missing:
            with _open_pool(min(self._processes, len(missing))) as pool:
                futures = [
                    pool.submit(record_training, self._experiment, training, number, self._folder)
                    for number, training in enumerate(missing)
                ]
                self._wait(futures, len(trainings), more)
        return [from_json(json.loads((self._folder / t.file_name).read_text(encoding="utf-8"))) for t in trainings]

    def _wait(self, futures: Sequence[Future[None]], total: int, more: int) -> None:
        started = time.monotonic()
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            each = (time.monotonic() - started) / done
            hours = each * (len(futures) - done + more) / 3600
            self._report(
                f"{total - len(futures) + done} of {total} trainings, one per {each:.0f} s, {hours:.1f} h left"
            )


def describe_recording(experiment: Experiment, command: Sequence[str]) -> dict[str, Any]:
    """Return the origin of a table, for its metadata."""
    return {
        "name": experiment.space.name,
        "space": experiment.space.identity(),
        "completed": sorted(experiment.space.completed),
        "data": experiment.dataset.fingerprint,
        "cpu_per_training": experiment.space.resources.cpu,
        "command": " ".join(command),
        "commit": machine.git_commit(),
        "measured_on": describe_machine(),
    }


def _require_same_recording(folder: Path, description: dict[str, Any], output: Path) -> None:
    """Check that the finished trainings in a folder are of the same space and data; begin a new folder.

    Raises:
        InputError: If they are not.
    """
    path = folder / "recording.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        write_text_atomic(path, json.dumps(description, indent=1) + "\n")
    begun = json.loads(path.read_text(encoding="utf-8"))
    asked = json.loads(json.dumps(description))
    different = [key for key in ("space", "data") if begun[key] != asked[key]]
    if different:
        raise InputError(
            str(output),
            f"the trainings in {folder} must be of the same {different[0]}",
            value=begun["command"],
            remedy="repeat the same command, choose another file with -o, or remove that folder",
        )


@contextmanager
def _hold_lock(folder: Path, output: Path) -> Iterator[None]:
    """Hold the lock of a recording; the kernel releases it even after a crash.

    Raises:
        InputError: If another process holds it.
    """
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                str(output), "one process at a time may record it", remedy="wait for the other, or choose another file"
            ) from None
        yield


def record_space(experiment: Experiment, options: argparse.Namespace, command: Sequence[str]) -> None:
    """Record the curves of a space, and write them to the file of `-o`."""
    from search.execution.dataset_provider import DatasetSupplier

    space, folder = experiment.space, options.output.with_suffix(".parts")
    trainings = list_trainings(space, options.configurations)
    supplier = DatasetSupplier.in_process(experiment, Console(sys.stdout))
    for training in trainings:
        supplier.ensure_dataset(experiment.dataset_for(training.parameters))
    pool = RecordingPool(experiment, folder, options.processes, lambda line: print(line, flush=True))
    curves = pool.record(trainings, options.seeds_of * (options.seeds - 1))
    curves += pool.record(list_repetitions(space, curves, options.seeds_of, options.seeds))
    write_curves(options.output, curves, describe_recording(experiment, command))
    seconds = statistics.median(sum(epoch.cpu_seconds for epoch in curve.epochs) for curve in curves)
    print(f"{options.output}: {len(curves)} trainings of {seconds:.0f} s of CPU each (median)")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="python -m benchmarks.efficiency.record",
        description="Record learning curves of random configurations of a space.",
        allow_abbrev=False,
    )
    parser.add_argument("space", type=Path, help="YAML file of the space")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="Parquet file")
    parser.add_argument("--profile", help="profile of the space; `full` for none")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a key of the space")
    number = whole_number_type(1)
    parser.add_argument("--configurations", type=number, default=150, help="number of random configurations")
    parser.add_argument(
        "--seeds-of", type=whole_number_type(0), default=20, help="number of configurations with several seeds"
    )
    parser.add_argument("--seeds", type=number, default=3, help="seeds of each of them")
    parser.add_argument("--processes", type=number, default=machine.count_cores(), help="trainings at a time")
    parser.add_argument("--storage", default="runs", help="folder of the dataset and of running trainings")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)

    def record() -> int:
        options = build_parser().parse_args(words)
        if options.output.suffix != ".parquet":
            raise InputError(
                "-o", "the name must end in .parquet", value=options.output, remedy="write -o NAME.parquet"
            )
        space = [str(options.space), "--storage", options.storage, "--name", f"recording-{options.output.stem}"]
        space += ["--profile", options.profile] if options.profile else []
        space += [word for change in options.set for word in ("--set", change)]
        experiment = launch.prepare_experiment(launch.build_parser().parse_args(space))
        command = ["python", "-m", "benchmarks.efficiency.record", *words]
        folder = options.output.with_suffix(".parts")
        _require_same_recording(folder, describe_recording(experiment, command), options.output)
        with _hold_lock(folder, options.output):
            record_space(experiment, options, command)
        return 0

    return run_command(record)


if __name__ == "__main__":
    sys.exit(main())
