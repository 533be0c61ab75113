"""Studies in PostgreSQL and behind Optuna's proxy: many at once lose and double nothing, and mistakes are named."""

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

Opened = Callable[..., Study]
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
while (trial := study.next()) is not None:
    for number in (1, 2):
        assert study.record(trial.number, epoch(number, (trial.number % 7) / 10, worker=worker))
    study.end(trial.number, "finished" if trial.number % 3 else "stopped", f"by {{worker}}")
    done.append(trial.number)
print(json.dumps(done))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="psycopg is not there: pip install -e '.[cluster]'")
    with postgresql() as address:
        yield address


@pytest.fixture(scope="module")
def uri(server: str) -> str:
    return f"postgresql://me:{SECRET}@{server}/postgres"


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens studies that let go of their connections when the test ends."""
    with ExitStack() as stack:
        yield lambda *where, **more: stack.enter_context(closing(Study(*where, **more)))


def test_eight_processes_at_once_lose_and_double_no_trial(uri: str, opened: Opened) -> None:
    searched = space(budget=Budget(trials=TRIALS, epochs=2))
    opened(uri, searched, "many")  # begins it, as a launch does
    workers = [
        subprocess.Popen([sys.executable, "-c", WORK, uri, str(n)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for n in range(WORKERS)
    ]
    said = [worker.communicate(timeout=900)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * WORKERS
    done = {worker: json.loads(text) for worker, text in enumerate(said)}
    owners = {number: worker for worker, numbers in done.items() for number in numbers}
    assert len(owners) == sum(map(len, done.values()))  # nobody had another's trial
    assert all(len(numbers) > 1 for numbers in done.values())
    trials = opened(uri, searched, "many", joins=True).get_trials()
    assert {trial.number for trial in trials} == set(owners)
    assert TRIALS <= len(trials) < TRIALS + WORKERS  # who asks at the same moment may go over
    assert [trial.number for trial in trials if trial.is_baseline] == [0]
    for trial in trials:
        assert trial.outcome == ("finished" if trial.number % 3 else "stopped")
        assert trial.reason == f"by {owners[trial.number]}" or trial.outcome == "finished"
        assert [(e.epoch, e.metrics["worker"]) for e in trial.epochs] == [(n, owners[trial.number]) for n in (1, 2)]


def test_a_study_in_a_database_is_there_after_a_restart(uri: str, opened: Opened) -> None:
    study = opened(uri, space(), "restart")
    first = study.next_trial()
    assert first is not None
    study.set_run_id(0, "abc")
    study.end_trial(0, "stopped", "test")
    study.set_run_id(0, "made later")  # MLflow was away, and came back after the trial's end
    study.next_trial()
    again = opened(uri, space(), "restart")
    assert again.get_trial(0).run_id == "made later"
    taken = again.next_trial()
    assert taken is not None
    assert taken.number == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda uri, _: uri.replace(SECRET, "letmein"), "password authentication failed"),
        (lambda uri, _: uri.replace("/postgres", "/nothing", 1), "nothing"),
        (lambda uri, server: uri.replace(server, f"127.0.0.1:{free_port()}"), "refused"),
        (lambda uri, server: uri.replace(server, "no-such-host.invalid"), "no-such-host.invalid"),
        (lambda uri, server: uri.replace(server, "127.0.0.1:port"), "port"),
        (lambda _uri, _: "grpc://127.0.0.1:9", "no answer within"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(
    change: object, says: str, uri: str, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(change)
    changed = change(uri, server)
    (tmp_path / "space.yaml").write_text(GOOD)
    command = [str(tmp_path / "space.yaml"), "--storage", str(tmp_path / "runs"), "--study", changed]
    assert main(command) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") <= 5
    assert "--study" in said.err
    assert says in said.err
    assert SECRET not in said.err
    assert "letmein" not in said.err
    assert not (tmp_path / "runs").exists()


def test_a_database_that_goes_away_for_good_is_told_in_one_sentence(
    uri: str, opened: Opened, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setattr(database, "PATIENCE_S", 0.5)
    monkeypatch.setattr(database, "PAUSE_S", 0.1)
    with postgresql() as address:
        gone = uri.rpartition("@")[0] + f"@{address}/postgres"
        study = opened(gone, space(), "gone")
    with pytest.raises(InputError, match="stay within reach") as caught, database.readable_errors(gone):
        study.next_trial()
    said = capsys.readouterr().err
    assert said.count("waiting for postgresql://") == 1
    assert SECRET not in str(caught.value) + said


def test_a_study_behind_optunas_proxy(
    uri: str, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("grpc", reason="grpcio is not there: pip install -e '.[cluster]'")
    monkeypatch.setattr(database, "PAUSE_S", 0.2)
    port = free_port()
    serve = (
        "import sys, warnings; warnings.simplefilter('ignore'); "
        "from optuna.storages import get_storage, run_grpc_proxy_server; "
        "run_grpc_proxy_server(get_storage(sys.argv[1]), host='127.0.0.1', port=int(sys.argv[2]))"
    )
    behind = uri.replace("postgresql://", "postgresql+psycopg://")
    with running([sys.executable, "-c", serve, behind, str(port)], tmp_path / "log"):
        proxied = f"grpc://127.0.0.1:{port}"

        def ready() -> bool:
            try:
                database.check_study_uri(proxied)
            except InputError:
                return False
            return True

        wait_until(ready, "the proxy")
        study = opened(proxied, space(), "proxied")
        trial = study.next_trial()
        assert trial is not None
        assert trial.is_baseline
        study.end_trial(0, "stopped", "test")
    assert opened(uri, space(), "proxied", joins=True).get_trial(0).outcome == "stopped"

    with ThreadPoolExecutor() as pool:  # the proxy is away, and the search asks it nevertheless
        asked = pool.submit(study.next_trial)
        wait_until(lambda: "waiting for grpc://" in capsys.readouterr().err, "the search's patience")
        assert not asked.done()
        with running([sys.executable, "-c", serve, behind, str(port)], tmp_path / "log"):
            answer = asked.result(timeout=120)
            assert answer is not None
            assert answer.number == 1
            study.end_trial(1, "stopped", "test")
    trials = opened(uri, space(), "proxied", joins=True).get_trials()
    assert [(trial.number, trial.outcome) for trial in trials] == [(0, "stopped"), (1, "stopped")]

    monkeypatch.setattr(database, "PATIENCE_S", 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match="stay within reach"), database.readable_errors(proxied):
            study.next_trial()


def test_what_a_server_had_done_before_it_went_away_is_not_done_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class AwayError(Exception):
        def code(self) -> str:
            return "StatusCode.UNAVAILABLE"

    class Storage:
        told = 0

        def set_trial_state_values(self, trial_id: int) -> bool:
            self.told += 1
            raise AwayError("gone") if self.told == 1 else UpdateFinishedTrialError(str(trial_id))

        def get_all_studies(self) -> None:
            raise KeyError("no such study")

    patient: Any = database.RetryingStorage(Storage(), "grpc://here:1")  # type: ignore[arg-type]
    monkeypatch.setattr(database, "PAUSE_S", 0.0)
    assert patient.set_trial_state_values(3)
    assert "study    waiting for grpc://here:1: gone" in capsys.readouterr().err
    with pytest.raises(KeyError):
        patient.get_all_studies()


def test_a_search_that_ends_waits_for_no_server() -> None:
    class Storage:
        asked = 0

        def get_all_studies(self) -> None:
            self.asked += 1
            raise OperationalError("select", {}, Exception("refused"))

    patient: Any = database.RetryingStorage(Storage(), "postgresql://here/x")  # type: ignore[arg-type]
    database.stop_retrying(patient)
    with pytest.raises(OperationalError):
        patient.get_all_studies()
    assert patient.storage.asked == 1
