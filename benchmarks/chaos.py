"""`python -m benchmarks.chaos`: a search whose driver, workers and MLflow server are killed at random moments.

A search of 40 short trials is killed 30 times with SIGKILL: its driver (alone, or with all its processes as in a power
failure), a worker in training, or the MLflow server. A killed driver is started again with --resume, a killed server is
restarted. The second scenario also tears the last entry of the study's journal at each kill of the driver, and fills and frees
the disk of the search five times; it mounts a tmpfs, which needs root.

After each death of the driver, the ended trials in the journal are noted. At the end each of them must be unchanged (else it
is lost), must not have been trained any further according to a ledger outside the search (else it is repeated), and nothing
may be left running in the study or in MLflow.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal

import yaml

from benchmarks.chaos_trainable import LEDGER, score_of
from benchmarks.measure import write_results
from search.results import SearchFolder
from search.study.study import read_trials
from search.study.trials import Trial

_ROOT: Final = Path(__file__).resolve().parent.parent
_NAME: Final = "chaos"
_TRIALS: Final = 40
_EPOCHS: Final = 6
_FIRST_RUNG: Final = 3
_LEAST_EPOCHS: Final = 150
"""Number of epochs that 40 trials train at least, since half of those at the rung are promoted: all events happen before."""
_TMPFS_BYTES: Final = 3 * 2**30
_FULL_S: Final = 20.0
_TIMEOUT_S: Final = 1800.0
Event = Literal["driver", "driver and workers", "worker", "server", "full disk"]


@dataclass
class Outcome:
    """Result of a scenario.

    Attributes:
        scenario: Name of the scenario.
        kills: Number of kills by victim, and of times that the disk was full.
        launches: Number of launches of the search.
        refused: Exit statuses of launches that ended by themselves before the search was complete.
        lost: Number of trials that had ended and later had another outcome or other results.
        repeated: Number of trials that were trained after they had ended.
        duplicates: Number of trials with parameters of another trial.
        wrong_epochs: Number of trials whose epochs are incomplete, doubled or have another result than expected.
        running: Number of trials that the study leaves running.
        mlflow_running: Number of runs that MLflow leaves running.
        mlflow_wrong: Number of trials without exactly one run with one point per epoch.
        epochs: Number of epochs in the study.
        retrained: Number of epochs trained more than once, because a kill came before their checkpoint.
        minutes: Duration.
    """

    scenario: str
    kills: dict[str, int] = field(default_factory=dict)
    launches: int = 0
    refused: list[int] = field(default_factory=list)
    lost: int = 0
    repeated: int = 0
    duplicates: int = 0
    wrong_epochs: int = 0
    running: int = 0
    mlflow_running: int = 0
    mlflow_wrong: int = 0
    epochs: int = 0
    retrained: int = 0
    minutes: float = 0.0

    def is_clean(self) -> bool:
        """Return whether nothing was lost, repeated or left running."""
        faults = (self.lost, self.repeated, self.duplicates, self.wrong_epochs, self.running)
        return not any(faults) and not self.mlflow_running and not self.mlflow_wrong


class Server:
    """MLflow server on loopback, with its database in the storage of the search."""

    def __init__(self, storage: Path, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._storage = storage
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Tracking URI."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the server without waiting for it."""
        words = ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"]
        places = ["--backend-store-uri", f"sqlite:///{self._storage}/server.db"]
        places += ["--artifacts-destination", str(self._storage / "artifacts")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *words, *places],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            )

    def wait_until_ready(self) -> None:
        """Wait for the server; restart it if it has ended."""
        end = time.monotonic() + 180
        while not self._responds():
            if self._process is None or self._process.poll() is not None:
                self.start()
            if time.monotonic() > end:
                raise TimeoutError(f"no MLflow server at {self.uri}; its log: {self._log}")
            time.sleep(0.5)

    def _responds(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """Kill the server with its workers."""
        if self._process is not None:
            kill_session(self._process.pid)
            self._process.wait()


def list_session(session: int) -> dict[int, str]:
    """Return the command lines of the processes of a session by process id."""
    processes = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if entry.name.isdigit() and int(fields[3]) == session and fields[0] != "Z":
                processes[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    return processes


def kill_session(session: int) -> None:
    """Kill all processes of a session."""
    while processes := list_session(session):
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


class Chaos:
    """A search that is killed according to a plan.

    Args:
        scenario: Name of the scenario.
        folder: Folder for the space, the ledger and the logs.
        storage: Storage of the search.
        seed: Seed of the order of events and of the torn bytes.
        tears: Whether each kill of the driver tears the last entry of the journal.
        fills: How often the disk is filled.
        kills: Number of kills.
    """

    def __init__(
        self, scenario: str, folder: Path, storage: Path, *, seed: int, tears: bool, fills: int, kills: int
    ) -> None:
        self._folder, self._storage, self._tears = folder, storage, tears
        self._random = random.Random(seed)
        self._ledger = folder / "ledger"
        self._results = SearchFolder(storage, _NAME)
        self._server = Server(storage, folder / "server.log")
        self._driver: subprocess.Popen[bytes] | None = None
        self._ended: dict[int, Trial] = {}
        self._repeated: set[int] = set()
        self._ledger_seen = 0
        self._events = self._plan_events(kills, fills)
        self.outcome = Outcome(scenario)

    def _plan_events(self, kills: int, fills: int) -> list[tuple[int, Event]]:
        """Return the events, each with the number of recorded epochs that it follows."""
        victims: list[Event] = ["driver", "worker", "driver and workers", "worker", "server"]
        events: list[Event] = [victims[number % len(victims)] for number in range(kills)]
        events += ["full disk"] * fills
        self._random.shuffle(events)
        return [(1 + number * _LEAST_EPOCHS // (len(events) + 1), event) for number, event in enumerate(events)]

    def run(self) -> Outcome:
        """Run the search to its end, with all events, and check what it left."""
        started = time.monotonic()
        self._write_space()
        self._server.start()
        try:
            self._search(started + _TIMEOUT_S)
            self._server.wait_until_ready()
            self._launch()  # a complete search trains nothing; MLflow receives what it missed while its server was down
            self._wait_for_driver(time.monotonic() + 120)
            self._check()
        finally:
            if self._driver is not None:
                kill_session(self._driver.pid)
            self._server.kill()
        self.outcome.minutes = round((time.monotonic() - started) / 60, 1)
        return self.outcome

    def _write_space(self) -> None:
        space = {
            "name": _NAME,
            "trainable": "benchmarks.chaos_trainable:ChaosTrainable",
            "dataset": {"kind": "matrices"},
            "search": {"x": {"uniform": [0.0, 1.0]}},
            "objectives": [{"metric": "score"}],
            "budget": {"trials": _TRIALS, "epochs": _EPOCHS},
            "stopping": {"rule": "asha", "reduction": 2, "first_rung": _FIRST_RUNG},
        }
        (self._folder / "chaos.yaml").write_text(yaml.safe_dump(space))

    def _search(self, deadline: float) -> None:
        """Launch the search until it is complete, and let the events happen as it progresses."""
        self._launch()
        while True:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the search is not complete; its log: {self._folder / 'driver.log'}")
            assert self._driver is not None
            status = self._driver.poll()
            if status == 0 and not self._events:
                return
            if status is not None:
                self.outcome.refused.append(status)
                print(f"  the launch ended by itself with status {status}", flush=True)
                self._launch()
            if self._events and self._count_epochs() >= self._events[0][0]:
                time.sleep(self._random.uniform(0, 0.7))  # any moment of an epoch
                self._handle(self._events.pop(0)[1])
            time.sleep(0.1)

    def _launch(self) -> None:
        self._server.wait_until_ready()
        resume = ["--resume"] if self._results.is_started() else []
        options = ["--storage", str(self._storage), "--tracking-uri", self._server.uri, *resume]
        with (self._folder / "driver.log").open("ab") as log:
            self._driver = subprocess.Popen(
                [sys.executable, "-m", "search.launch", str(self._folder / "chaos.yaml"), *options],
                stdout=log,
                stderr=log,
                cwd=_ROOT,
                start_new_session=True,
                env={**os.environ, LEDGER: str(self._ledger)},
            )
        self.outcome.launches += 1

    def _wait_for_driver(self, deadline: float) -> None:
        assert self._driver is not None
        if self._driver.wait(deadline - time.monotonic()) != 0:
            self.outcome.refused.append(self._driver.returncode)

    def _count_epochs(self) -> int:
        """Return the number of recorded epochs, from the text of the journal."""
        with suppress(OSError):
            return self._results.journal_path.read_bytes().count(b'"epoch:')
        return 0

    def _handle(self, event: Event) -> None:
        print(f"  after {self._count_epochs():3} epochs: {event}", flush=True)
        kills = Counter(self.outcome.kills)
        kills[event] += 1
        self.outcome.kills = dict(kills)
        if event == "server":
            self._server.kill()
            self._server.start()
        elif event == "full disk":
            self._fill_disk()
        elif event == "worker":
            self._kill_worker()
        else:
            self._kill_driver(with_workers=event != "driver" or self._tears)

    def _kill_worker(self) -> None:
        assert self._driver is not None
        end = time.monotonic() + 60
        while time.monotonic() < end:
            workers = [
                pid
                for pid, command in list_session(self._driver.pid).items()
                if command.startswith("ray::") and "Trainable" in command
            ]
            if workers:
                os.kill(self._random.choice(workers), signal.SIGKILL)
                return
            time.sleep(0.1)
        raise TimeoutError("no worker is training")

    def _kill_driver(self, *, with_workers: bool) -> None:
        assert self._driver is not None
        os.kill(self._driver.pid, signal.SIGKILL)
        self._driver.wait()
        if with_workers:
            kill_session(self._driver.pid)
        if self._tears:
            self._tear_journal()
        self._note_ended_trials()
        self._launch()

    def _tear_journal(self) -> None:
        """Cut the last entry of the journal, or replace its end by zeros, as a power failure may."""
        content = self._results.journal_path.read_bytes()
        last = len(content) - (content.rstrip(b"\n").rfind(b"\n") + 1)
        torn = self._random.randint(1, last)
        zeros = b"\0" * torn if self._random.random() < 0.5 else b""
        self._results.journal_path.write_bytes(content[:-torn] + zeros)

    def _note_ended_trials(self) -> None:
        """Note the ended trials of the journal, and which of those noted before have been trained since."""
        self._find_repeated()
        copy = self._folder / "journal.copy"
        content = self._results.journal_path.read_bytes().rstrip(b"\0")
        copy.write_bytes(content[: content.rfind(b"\n") + 1])
        with suppress(KeyError):
            for trial in read_trials(copy):
                if trial.outcome not in ("running", "paused"):
                    self._ended.setdefault(trial.number, trial)

    def _find_repeated(self) -> None:
        lines = self._read_ledger()
        trained = {float(line.split()[0]) for line in lines[self._ledger_seen :]}
        self._ledger_seen = len(lines)
        self._repeated |= {number for number, trial in self._ended.items() if trial.parameters["x"] in trained}

    def _read_ledger(self) -> list[str]:
        return self._ledger.read_text().splitlines() if self._ledger.is_file() else []

    def _fill_disk(self) -> None:
        """Allocate all free space of the storage, wait, and free it."""
        ballast = self._storage / "ballast"
        with ballast.open("wb", buffering=0) as file:
            with suppress(OSError):
                free = os.statvfs(self._storage)
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
            with suppress(OSError):
                while True:
                    file.write(b"\0" * 4096)
        time.sleep(_FULL_S)
        ballast.unlink()

    def _check(self) -> None:
        outcome, trials = self.outcome, read_trials(self._results.journal_path)
        self._find_repeated()
        by_number = {trial.number: trial for trial in trials}
        outcome.lost = sum(not _is_same(trial, by_number.get(number)) for number, trial in self._ended.items())
        outcome.lost += _TRIALS - len(trials)
        outcome.repeated = len(self._repeated)
        outcome.duplicates = len(trials) - len({trial.parameters["x"] for trial in trials})
        outcome.wrong_epochs = sum(not _has_right_epochs(trial) for trial in trials)
        outcome.running = sum(trial.outcome == "running" for trial in trials)
        outcome.epochs = sum(len(trial.epochs) for trial in trials)
        outcome.retrained = sum(count - 1 for count in Counter(self._read_ledger()).values())
        self._check_mlflow(trials)

    def _check_mlflow(self, trials: Sequence[Trial]) -> None:
        from mlflow import MlflowClient

        client = MlflowClient(self._server.uri)
        experiment = client.get_experiment_by_name(_NAME)
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        self.outcome.mlflow_running = sum(run.info.status == "RUNNING" for run in runs)
        ended = [run for run in runs if run.info.status == "FINISHED"]
        for trial in trials:
            own = [run.info.run_id for run in ended if run.data.tags.get("trial") == str(trial.number)]
            steps = [metric.step for run in own for metric in client.get_metric_history(run, "score")]
            self.outcome.mlflow_wrong += len(own) != 1 or sorted(steps) != [epoch.epoch for epoch in trial.epochs]


def _is_same(before: Trial, after: Trial | None) -> bool:
    return after is not None and (before.outcome, before.parameters, before.epochs) == (
        after.outcome,
        after.parameters,
        after.epochs,
    )


def _has_right_epochs(trial: Trial) -> bool:
    expected = [score_of(float(str(trial.parameters["x"])), number + 1) for number in range(len(trial.epochs))]
    numbers = [epoch.epoch for epoch in trial.epochs]
    return numbers == [*range(1, len(numbers) + 1)] and [e.metrics["score"] for e in trial.epochs] == expected


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a tmpfs that can be filled without harm to the machine."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_TMPFS_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run_scenarios(folder: Path, options: argparse.Namespace) -> list[Outcome]:
    """Run the scenarios that the options select."""
    outcomes, seed, kills = [], options.seed, options.kills
    if options.only != "disk":
        (folder / "kills").mkdir(parents=True)
        print("kills", flush=True)
        chaos = Chaos(
            "kills", folder / "kills", folder / "kills" / "runs", seed=seed, tears=False, fills=0, kills=kills
        )
        outcomes.append(chaos.run())
    if options.only != "kills":
        (folder / "disk").mkdir(parents=True)
        name, fills = "kills, torn journals, full disk", options.fills
        print(name, flush=True)
        with small_disk(folder / "disk" / "runs") as storage:
            chaos = Chaos(name, folder / "disk", storage, seed=seed + 1, tears=True, fills=fills, kills=kills)
            outcomes.append(chaos.run())
    return outcomes


def print_table(outcomes: Sequence[Outcome]) -> None:
    """Print the results, one scenario per column."""
    rows = [asdict(outcome) for outcome in outcomes]
    for name in rows[0]:
        cells = [", ".join(f"{k} {v}" for k, v in r[name].items()) if name == "kills" else str(r[name]) for r in rows]
        print(f"{name:<15}  " + "  |  ".join(cells))


def main() -> int:
    """Run the scenarios, print the table and store it; return 1 if anything was lost, repeated or left running."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="number of kills per scenario")
    parser.add_argument("--fills", type=int, default=5, help="how often the second scenario fills the disk")
    parser.add_argument("--seed", type=int, default=0, help="seed of the events")
    parser.add_argument("--only", choices=["kills", "disk"], help="run one of the scenarios")
    parser.add_argument(
        "--folder", type=Path, help="new folder for all files, which is kept (default: a temporary one)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = options.folder or Path(temporary) / "chaos"
        outcomes = run_scenarios(folder.absolute(), options)
    print_table(outcomes)
    print(write_results("chaos", {"trials": _TRIALS, "outcomes": [asdict(outcome) for outcome in outcomes]}))
    return 0 if all(outcome.is_clean() for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
