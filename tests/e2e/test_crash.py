"""A search that is stopped, killed and resumed gives the results of an undisturbed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from datasets.registry import prepare_dataset
from runtime.storage import storage_at
from search.execution.trial import TrialRunner
from search.experiment import Experiment
from search.results import SearchFolder
from search.study.study import Study
from search.study.trials import Trial
from spaces.load import load_space
from tests.e2e.killed import processes_of, start_process

ROOT = Path(__file__).resolve().parent.parent.parent
SPACE = ROOT / "spaces" / "rg_rep.yaml"
TRIALS = 5
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
]

pytestmark = pytest.mark.slow


def launch(storage: Path, *options: str) -> subprocess.Popen[str]:
    sets = [word for override in SMALL for word in ("--set", override)]
    command = [
        sys.executable,
        "-m",
        "search.launch",
        str(SPACE),
        "--storage",
        str(storage),
        "--profile",
        "laptop",
        *sets,
        *options,
    ]
    return start_process(command)


def trials(storage: Path) -> list[Trial]:
    """Return the trials of the study, read without disturbing a running launch."""
    folder = SearchFolder(storage, "rg_rep")
    if not folder.journal_path.is_file():
        return []
    copy = storage / "study.copy"
    lines = folder.journal_path.read_bytes()
    copy.write_bytes(lines[: lines.rfind(b"\n") + 1])
    return Study(copy, load_space(SPACE, has_gpu=False, overrides=SMALL)).get_trials()


def wait_for(condition: object, process: subprocess.Popen[str], storage: Path, what: str) -> list[Trial]:
    assert callable(condition)
    for _ in range(240):
        now = trials(storage)
        if condition(now):
            return now
        if process.poll() is not None:
            pytest.fail(f"ended before {what}:\n{process.communicate()[0]}")
        time.sleep(0.5)
    process.kill()
    pytest.fail(f"never {what}:\n{process.communicate()[0]}")


def working(session: int) -> list[int]:
    """Return the ids of the processes that train."""
    return [pid for pid, command in processes_of(session) if command.startswith("ray::") and "Trainable" in command]


def statuses(storage: Path) -> list[str]:
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("rg_rep")
    assert experiment is not None
    return [run.info.status for run in client.search_runs([experiment.experiment_id])]


def finished(now: list[Trial]) -> dict[int, tuple[object, ...]]:
    ended = [t for t in now if t.outcome not in ("running", "paused")]
    return {t.number: (t.outcome, dict(t.parameters), t.epochs, t.run_id) for t in ended}


def assert_reused_actors_carry_nothing_over(storage: Path, trial: Trial) -> None:
    """Check that the same trial alone, in this process, gives the same numbers."""
    searched = load_space(SPACE, has_gpu=False, overrides=SMALL)
    source = prepare_dataset(searched.dataset, "tests")
    experiment = Experiment(searched, source, SearchFolder(storage, "alone"), storage_at(str(storage / "datasets")))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = TrialRunner(experiment, 0, trial.parameters, 0, "cpu").next_epoch()
    torch.set_num_threads(threads)
    assert alone.metrics["train_loss"] == pytest.approx(trial.epochs[0].metrics["train_loss"], rel=1e-5)


def test_nothing_is_lost_to_ctrl_c_to_a_shutdown_and_to_kill_9(tmp_path: Path) -> None:
    first = launch(tmp_path)
    wait_for(lambda now: any(t.epochs for t in now), first, tmp_path, "an epoch was recorded")
    os.kill(first.pid, signal.SIGINT)
    output = first.communicate(timeout=60)[0]
    assert first.returncode == 130, output
    assert "--resume" in output
    assert "Traceback" not in output
    assert "RUNNING" not in statuses(tmp_path)
    assert processes_of(first.pid) == []

    second = launch(tmp_path, "--resume")
    before = wait_for(
        lambda now: finished(now) and any(t.outcome == "running" and t.epochs for t in now),
        second,
        tmp_path,
        "half done",
    )
    os.kill(second.pid, signal.SIGKILL)
    second.communicate(timeout=60)
    before = trials(tmp_path)  # what the study has at the moment of death

    third = launch(tmp_path, "--resume")
    wait_for(lambda _: working(third.pid), third, tmp_path, "a trial's process was at work")
    os.kill(third.pid, signal.SIGTERM)  # as a machine does that is shut down
    output = third.communicate(timeout=60)[0]
    assert third.returncode == 130, output
    assert "--resume" in output
    assert "RUNNING" not in statuses(tmp_path)

    fourth = launch(tmp_path, "--resume")
    wait_for(lambda _: working(fourth.pid), fourth, tmp_path, "a trial's process was at work again")
    victim = working(fourth.pid)[0]
    os.kill(victim, signal.SIGKILL)  # a trial's process; Tune starts another one, which continues from the checkpoint
    output = fourth.communicate(timeout=300)[0]
    assert fourth.returncode == 0, output
    assert "lost its process" in output
    assert "Traceback" not in output
    after = trials(tmp_path)
    assert [t.number for t in after] == list(range(TRIALS))
    assert after[0].is_baseline
    for number, recorded in finished(before).items():
        assert finished(after)[number] == recorded
    for trial in before:  # those that waited, too
        assert after[trial.number].epochs[: len(trial.epochs)] == trial.epochs
    for trial in after:
        assert trial.outcome in ("finished", "paused")
        assert [epoch.epoch for epoch in trial.epochs] == list(range(1, len(trial.epochs) + 1))
    assert statuses(tmp_path) == ["FINISHED"] * (TRIALS + 1)
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    for trial in after:
        assert trial.run_id is not None
        logged = client.get_metric_history(trial.run_id, "f1_0.3m")
        assert sorted({metric.step for metric in logged}) == [epoch.epoch for epoch in trial.epochs]
    assert_reused_actors_carry_nothing_over(tmp_path, after[-1])
    assert "\nResult   " in output
    assert processes_of(fourth.pid) == []


def test_a_trial_that_fails_costs_itself_alone(tmp_path: Path) -> None:
    unfit, corrupt = (SearchFolder(tmp_path, "rg_rep").checkpoint_path(number) for number in (1, 2))
    for path in (unfit, corrupt):
        path.parent.mkdir(parents=True)
    torch.save({"state": {}, "epochs": []}, unfit)  # trial 1 reads it and fails
    corrupt.write_text("garbage")  # as after a power cut; trial 2 starts again
    launched = launch(tmp_path, "--trials", "3", "--set", "budget.epochs=1")
    output = launched.communicate(timeout=300)[0]
    assert launched.returncode == 0, output
    assert "Traceback" not in output
    assert "trial 1   failed" in output
    assert "trial 2   checkpoint.pt is corrupt" in output
    assert [trial.outcome for trial in trials(tmp_path)] == ["finished", "failed", "finished"]
    assert "log.txt" in trials(tmp_path)[1].reason
    assert sorted(statuses(tmp_path)) == ["FAILED", "FINISHED", "FINISHED", "FINISHED"]


START_RAY = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background of a shell
from runtime.cli import run_command
from runtime.machines.ray_cluster import start_local_ray
from search.launching.shutdown import handle_signals
def work():
    with handle_signals(), start_local_ray():
        print("started", flush=True)
    return 0
raise SystemExit(run_command(work))
"""


def wait_for_process(name: str, process: subprocess.Popen[str]) -> None:
    for _ in range(600):
        if any(name in command for _, command in processes_of(process.pid)):
            return
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"no process {name}: {processes_of(process.pid)}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_ray_starts_leaves_no_process(number: signal.Signals) -> None:
    starting = start_process([sys.executable, "-c", START_RAY])
    wait_for_process("raylet/raylet", starting)
    os.kill(starting.pid, number)
    output = starting.communicate(timeout=60)[0]
    assert starting.returncode == 130, output
    assert "Traceback" not in output
    assert processes_of(starting.pid) == []
