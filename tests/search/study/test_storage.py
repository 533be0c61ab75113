"""Studies in PostgreSQL and behind Optuna's gRPC proxy: concurrent workers, restarts and error messages."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from optuna.exceptions import UpdateFinishedTrialError
from sqlalchemy.exc import OperationalError

from runtime.errors import InputError
from search.launch import main
from search.study import storage as database
from search.study.study import Study
from spaces.schema import Budget
from tests.e2e.services import ROOT, SECRET, free_port, postgresql, running, wait_until
from tests.search.support import space
from tests.search.wrong_inputs import GOOD

OpenStudy = Callable[..., Study]
TRIALS = 200
WORKERS = 8
WORK = f"""
import json, sys
from search.study.study import Study
from spaces.schema import Budget
from tests.search.support import epoch, space
worker = int(sys.argv[2])
study = Study(sys.argv[1], space(budget=Budget(trials={TRIALS}, epochs=2)), "many", joins=True)
done = []
while (trial := study.next_trial()) is not None:
    for number in (1, 2):
        assert study.record_epoch(trial.number, epoch(number, (trial.number % 7) / 10, worker=worker))
    study.end_trial(trial.number, "finished" if trial.number % 3 else "stopped", f"by {{worker}}")
    done.append(trial.number)
print(json.dumps(done))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install -e '.[cluster]'")
    with postgresql() as address:
        yield address


@pytest.fixture(scope="module")
def uri(server: str) -> str:
    return f"postgresql://me:{SECRET}@{server}/postgres"


@pytest.fixture
def open_study() -> Iterator[Callable[..., Study]]:
    """Function that opens studies; their connections are closed when the test ends."""
    with ExitStack() as stack:
        yield lambda *where, **more: stack.enter_context(closing(Study(*where, **more)))


def test_eight_concurrent_processes_neither_lose_nor_repeat_a_trial(uri: str, open_study: OpenStudy) -> None:
    searched = space(budget=Budget(trials=TRIALS, epochs=2))
    open_study(uri, searched, "many")  # created first, as a launch does
    workers = [
        subprocess.Popen([sys.executable, "-c", WORK, uri, str(n)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for n in range(WORKERS)
    ]
    outputs = [worker.communicate(timeout=900)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * WORKERS
    done = {worker: json.loads(text) for worker, text in enumerate(outputs)}
    owners = {number: worker for worker, numbers in done.items() for number in numbers}
    assert len(owners) == sum(map(len, done.values()))  # no trial ran on two workers
    assert all(len(numbers) > 1 for numbers in done.values())
    trials = open_study(uri, searched, "many", joins=True).get_trials()
    assert {trial.number for trial in trials} == set(owners)
    assert TRIALS <= len(trials) < TRIALS + WORKERS  # workers that ask at the same moment may exceed the budget
    assert [trial.number for trial in trials if trial.is_baseline] == [0]
    for trial in trials:
        assert trial.outcome == ("finished" if trial.number % 3 else "stopped")
        assert trial.reason == f"by {owners[trial.number]}" or trial.outcome == "finished"
        assert [(e.epoch, e.metrics["worker"]) for e in trial.epochs] == [(n, owners[trial.number]) for n in (1, 2)]


def test_processes_that_open_a_new_database_at_once_all_find_its_tables(server: str) -> None:
    import psycopg

    def open_and_close(uri: str) -> None:
        database.close_storage(database.open_storage(uri))

    for number in range(3):
        with psycopg.connect(f"postgresql://me:{SECRET}@{server}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE new{number}")
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(open_and_close, [f"postgresql://me:{SECRET}@{server}/new{number}"] * WORKERS))


def test_a_study_in_a_database_survives_a_restart(uri: str, open_study: OpenStudy) -> None:
    study = open_study(uri, space(), "restart")
    first = study.next_trial()
    assert first is not None
    study.set_run_id(0, "abc")
    study.end_trial(0, "stopped", "test")
    study.set_run_id(0, "made later")  # MLflow was unreachable until after the end of the trial
    study.next_trial()
    restarted = open_study(uri, space(), "restart")
    assert restarted.get_trial(0).run_id == "made later"
    reclaimed = restarted.next_trial()
    assert reclaimed is not None
    assert reclaimed.number == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda uri, _: uri.replace(SECRET, "letmein"), "password authentication failed"),
        (lambda uri, _: uri.replace("/postgres", "/nothing", 1), "nothing"),
        (lambda uri, server: uri.replace(server, f"127.0.0.1:{free_port()}"), "refused"),
        (lambda uri, server: uri.replace(server, "no-such-host.invalid"), "no-such-host.invalid"),
        (lambda uri, server: uri.replace(server, "127.0.0.1:port"), "port"),
        (lambda _uri, _: "grpc://127.0.0.1:9", "no answer within"),
    ],
)
def test_the_error_for_an_unusable_database_hides_its_password(
    change: object, message: str, uri: str, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(change)
    changed = change(uri, server)
    (tmp_path / "space.yaml").write_text(GOOD)
    command = [str(tmp_path / "space.yaml"), "--storage", str(tmp_path / "runs"), "--study", changed]
    assert main(command) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") <= 5
    assert "--study" in printed.err
    assert message in printed.err
    assert SECRET not in printed.err
    assert "letmein" not in printed.err
    assert not (tmp_path / "runs").exists()


def test_a_database_that_stays_unreachable_gives_a_readable_error(
    uri: str, open_study: OpenStudy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setattr(database, "RETRY_TIMEOUT_S", 0.5)
    monkeypatch.setattr(database, "RETRY_INTERVAL_S", 0.1)
    with postgresql() as address:
        gone = uri.rpartition("@")[0] + f"@{address}/postgres"
        study = open_study(gone, space(), "gone")
    with pytest.raises(InputError, match="stay reachable") as caught, database.readable_errors(gone):
        study.next_trial()
    printed = capsys.readouterr().err
    assert printed.count("waiting for postgresql://") == 1
    assert SECRET not in str(caught.value) + printed


def test_a_study_behind_optunas_proxy(
    uri: str, open_study: OpenStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("grpc", reason="grpcio is not installed: pip install -e '.[cluster]'")
    monkeypatch.setattr(database, "RETRY_INTERVAL_S", 0.2)
    port = free_port()
    serve = (
        "import sys, warnings; warnings.simplefilter('ignore'); "
        "from optuna.storages import get_storage, run_grpc_proxy_server; "
        "run_grpc_proxy_server(get_storage(sys.argv[1]), host='127.0.0.1', port=int(sys.argv[2]))"
    )
    behind = uri.replace("postgresql://", "postgresql+psycopg://")
    with running([sys.executable, "-c", serve, behind, str(port)], tmp_path / "log"):
        proxied = f"grpc://127.0.0.1:{port}"

        def is_ready() -> bool:
            try:
                database.check_study_uri(proxied)
            except InputError:
                return False
            return True

        wait_until(is_ready, "the proxy")
        study = open_study(proxied, space(), "proxied")
        trial = study.next_trial()
        assert trial is not None
        assert trial.is_baseline
        study.end_trial(0, "stopped", "test")
    assert open_study(uri, space(), "proxied", joins=True).get_trial(0).outcome == "stopped"

    with ThreadPoolExecutor() as pool:  # a request while the proxy is down
        pending = pool.submit(study.next_trial)
        wait_until(lambda: "waiting for grpc://" in capsys.readouterr().err, "the message about waiting")
        assert not pending.done()
        with running([sys.executable, "-c", serve, behind, str(port)], tmp_path / "log"):
            trial = pending.result(timeout=120)
            assert trial is not None
            assert trial.number == 1
            study.end_trial(1, "stopped", "test")
    trials = open_study(uri, space(), "proxied", joins=True).get_trials()
    assert [(trial.number, trial.outcome) for trial in trials] == [(0, "stopped"), (1, "stopped")]

    monkeypatch.setattr(database, "RETRY_TIMEOUT_S", 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match="stay reachable"), database.readable_errors(proxied):
            study.next_trial()


def test_a_request_whose_reply_was_lost_counts_as_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class UnavailableError(Exception):
        def code(self) -> str:
            return "StatusCode.UNAVAILABLE"

    class Storage:
        calls = 0

        def set_trial_state_values(self, trial_id: int) -> bool:
            self.calls += 1
            raise UnavailableError("gone") if self.calls == 1 else UpdateFinishedTrialError(str(trial_id))

        def get_all_studies(self) -> None:
            raise KeyError("no such study")

    retrying: Any = database.RetryingStorage(Storage(), "grpc://here:1")  # type: ignore[arg-type]
    monkeypatch.setattr(database, "RETRY_INTERVAL_S", 0.0)
    assert retrying.set_trial_state_values(3)
    assert "study    waiting for grpc://here:1: gone" in capsys.readouterr().err
    with pytest.raises(KeyError):
        retrying.get_all_studies()


def test_requests_are_not_repeated_while_a_search_ends() -> None:
    class Storage:
        calls = 0

        def get_all_studies(self) -> None:
            self.calls += 1
            raise OperationalError("select", {}, Exception("refused"))

    retrying: Any = database.RetryingStorage(Storage(), "postgresql://here/x")  # type: ignore[arg-type]
    database.stop_retrying(retrying)
    with pytest.raises(OperationalError):
        retrying.get_all_studies()
    assert retrying.storage.calls == 1
