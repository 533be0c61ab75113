"""A search with its files, study and runs on servers: killed, gone on with elsewhere, throttled, without MLflow for a while."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow import MlflowClient

from runtime.storage import storage_at
from search.results import SearchFolder
from search.study.study import Study
from search.study.trials import Trial
from spaces.load import load_space
from tests.e2e.killed import kill_session, start_process
from tests.e2e.services import ROOT, SECRET, Throttle, free_port, mlflow_server, moto_server, postgresql, throttled

SPACE = ROOT / "spaces" / "rg_rep.yaml"
TRIALS = 4
SMALL = [
    "dataset.train=600",
    "dataset.validate=60",
    "dataset.tests={S0: 40, S1: 20, S2: 40}",
    "dataset.excerpts=8",
    "optimizer.epoch_samples=400",
    "network.width=8",
    "network.decoder_width=32",
    "confirm=null",
    f"budget.trials={TRIALS}",
    "budget.epochs=4",
    "resources.cpu=1",
]
PATIENCE_S = 900

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Servers:
    """Where everything is; `tracking_port` is where MLflow's server listens while it runs."""

    storage: str
    study: str
    tracking_port: int
    throttle: Throttle

    @property
    def tracking(self) -> str:
        return f"http://me:{SECRET}@127.0.0.1:{self.tracking_port}"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    pytest.importorskip("psycopg", reason="psycopg is not there: pip install -e '.[cluster]'")
    with ExitStack() as stack:
        moto = stack.enter_context(moto_server(tmp_path / "moto.log"))
        throttle = stack.enter_context(throttled(moto, every=5))
        database = stack.enter_context(postgresql())
        endpoint = quote(f"http://127.0.0.1:{throttle.port}", safe="")
        storage = f"s3://KEY:{SECRET}@results/deep?endpoint_override={endpoint}&scheme=http&region=us-east-1"
        yield Servers(storage, f"postgresql://me:{SECRET}@{database}/postgres", free_port(), throttle)


def launch(servers: Servers, cache: Path, *options: str) -> subprocess.Popen[str]:
    sets = [word for override in SMALL for word in ("--set", override)]
    where = ["--storage", servers.storage, "--study", servers.study, "--tracking-uri", servers.tracking]
    command = [sys.executable, "-m", "search.launch", str(SPACE), "--profile", "laptop", *where, "--cache", str(cache)]
    with cache.with_suffix(".log").open("a") as log:
        return start_process([*command, *sets, *options], stdout=log, stderr=log)


def said(cache: Path) -> str:
    return cache.with_suffix(".log").read_text()


def trials(servers: Servers, cache: Path) -> list[Trial]:
    """What the study says, read beside a launch that runs."""
    folder = SearchFolder.from_storage(servers.storage, "rg_rep", str(cache))
    if not folder.is_started():
        return []
    with closing(
        Study(servers.study, load_space(SPACE, has_gpu=False, overrides=SMALL), folder.study_name(), joins=True)
    ) as study:
        return study.get_trials()


def wait_for(
    condition: Callable[[list[Trial]], bool], process: subprocess.Popen[str], servers: Servers, cache: Path
) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition(trials(servers, cache.parent / "onlooker")):
        assert process.poll() is None, said(cache)
        assert time.monotonic() < end, said(cache)
        time.sleep(1)


def end(process: subprocess.Popen[str], cache: Path) -> str:
    process.wait(PATIENCE_S)
    assert process.returncode == 0, said(cache)
    return said(cache)


def objects(servers: Servers) -> dict[str, bytes]:
    store = storage_at(servers.storage)
    return {name: store.read_file(name) or b"" for name in store.list_names("")}


def statuses(servers: Servers) -> list[str]:
    client = MlflowClient(f"http://127.0.0.1:{servers.tracking_port}")
    experiment = client.get_experiment_by_name("rg_rep")
    assert experiment is not None
    return [run.info.status for run in client.search_runs([experiment.experiment_id])]


def assert_mirrored(servers: Servers, done: list[Trial]) -> None:
    client = MlflowClient(f"http://127.0.0.1:{servers.tracking_port}")
    assert statuses(servers) == ["FINISHED"] * (TRIALS + 1)
    assert len({trial.run_id for trial in done}) == TRIALS
    for trial in done:
        assert trial.run_id is not None
        logged = client.get_metric_history(trial.run_id, "f1_0.3m")
        assert sorted({metric.step for metric in logged}) == [epoch.epoch for epoch in trial.epochs]


def assert_whole(done: list[Trial]) -> None:
    assert [trial.number for trial in done] == list(range(TRIALS))
    for trial in done:
        assert trial.outcome in ("finished", "paused")
        assert [epoch.epoch for epoch in trial.epochs] == list(range(1, len(trial.epochs) + 1))


def assert_no_secret(*texts: str) -> None:
    for text in texts:
        assert SECRET not in text


def test_a_search_on_servers_alone_survives_them_and_itself(servers: Servers, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"  # two machines' local disks
    with mlflow_server(tmp_path / "mlflow", servers.tracking_port):
        first = launch(servers, one)
        wait_for(lambda now: any(len(t.epochs) >= 2 for t in now), first, servers, one)
        kill_session(first)  # the machine is gone, and its disk with it
        before = trials(servers, one)

        second = launch(servers, other, "--resume")
        wait_for(
            lambda now: sum(len(t.epochs) for t in now) > sum(len(t.epochs) for t in before), second, servers, other
        )
    # MLflow's server is gone in the middle, and the search goes on
    text = end(second, other)
    assert "MLflow could not record" in text
    done = trials(servers, other)
    assert_whole(done)
    for trial in before:
        assert done[trial.number].parameters == trial.parameters
        assert done[trial.number].epochs[: len(trial.epochs)] == trial.epochs  # nothing is trained or told twice
    assert len(servers.throttle.asked) > 100
    assert not [
        path for _, path in servers.throttle.asked if "tuner.pkl" in path
    ]  # Tune gives up on a bucket that refuses

    with mlflow_server(tmp_path / "mlflow", servers.tracking_port):
        third = launch(servers, other, "--resume")
        end(third, other)
        assert_mirrored(servers, trials(servers, other))

    kept = objects(servers)
    names = {name.removeprefix("searches/rg_rep/") for name in kept if name.startswith("searches/")}
    files = {"space.json", "result.json", "result.md", "report.html", "report.md", "live.html"} | {
        "space.yaml",
        "winner.yaml",
    }
    assert {name.partition("/")[0] for name in names} == {*files, "trials"}
    waiting = {f"trials/{trial.number:04d}/checkpoint.pt" for trial in done if trial.outcome == "paused"}
    assert {name for name in names if name.endswith("checkpoint.pt")} == waiting
    assert [name for name in names if name.endswith("model.pt")]
    assert not list(other.rglob("checkpoint.pt"))
    assert_no_secret(said(one), said(other), *(content.decode("latin1") for content in kept.values()))
    assert_no_secret((tmp_path / "mlflow" / "mlflow.db").read_bytes().decode("latin1"))
    assert_no_secret(repr([dataclasses.asdict(trial) for trial in trials(servers, other)]))


def test_a_search_in_a_folder_with_its_study_in_postgresql(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not there: pip install -e '.[cluster]'")
    sets = [word for override in [*SMALL, "budget.trials=2", "budget.epochs=1"] for word in ("--set", override)]
    with postgresql() as address:
        study = f"postgresql://me:{SECRET}@{address}/postgres"
        storage = ["--profile", "laptop", "--storage", str(tmp_path / "runs"), "--study", study]
        for again in ([], ["--fresh"]):
            command = [sys.executable, "-m", "search.launch", str(SPACE), *storage, *sets, *again]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            assert_no_secret(done.stdout, done.stderr)
        searched = load_space(SPACE, has_gpu=False, overrides=[*SMALL, "budget.trials=2", "budget.epochs=1"])
        for name in ("rg_rep", "rg_rep.old1"):  # two searches of one name share the database, not the study
            folder = SearchFolder.from_storage(str(tmp_path / "runs"), name)
            with closing(Study(study, searched, folder.study_name(), joins=True)) as kept:
                found = kept.get_trials()
            assert [(trial.number, len(trial.epochs)) for trial in found] == [(0, 1), (1, 1)]
            assert not folder.journal_path.exists()
