"""Two processes that train one model compute what one would, and neither outlives the other."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from search.execution import tune
from search.execution.ddp import DdpWorkers
from search.execution.trial import TrialRunner
from search.experiment import Experiment
from tests.search.ddp_model import CPUS, LinearTrainable
from tests.search.execution.test_trial import PARAMETERS, experiment  # noqa: F401  # a fixture
from trainables import distributed
from trainables.contract import DivergedError

ROOT = Path(__file__).resolve().parents[3]


def in_time(holds: Callable[[], bool], patience_s: float = 60) -> bool:
    started = time.monotonic()
    while not holds() and time.monotonic() < started + patience_s:
        time.sleep(0.1)
    return holds()


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_alone_nothing_is_shared() -> None:
    assert (distributed.world_size(), distributed.rank(), distributed.rank_seed(5)) == (1, 0, 5)
    assert distributed.shard_batch(3) == slice(0, 3)
    assert torch.equal(distributed.all_reduce_mean(torch.tensor([1.0, 2.0])), torch.tensor([1.0, 2.0]))
    network = torch.nn.Linear(1, 1)
    assert distributed.wrap_ddp(network) is network


@pytest.mark.slow
def test_two_processes_compute_what_one_does() -> None:
    alone = LinearTrainable("cpu")
    expected = [alone.train_epoch() for _ in range(2)]
    together = LinearTrainable("cpu")
    peers = DdpWorkers(CPUS, LinearTrainable)
    try:
        found = [peers.run_on_all(together.train_epoch) for _ in range(2)]
        assert distributed.shard_batch(7) == slice(0, 3)  # of seven, three for each
    finally:
        peers.close()
    assert [round(epoch["train_loss"], 5) for epoch in found] == [round(epoch["train_loss"], 5) for epoch in expected]
    for name, weight in alone.weights().items():
        torch.testing.assert_close(together.weights()[name], weight)
    assert expected[1]["train_loss"] < expected[0]["train_loss"]
    assert distributed.world_size() == 1
    assert not any(process.is_alive() for process in peers._processes)


@pytest.mark.slow
def test_a_trial_in_two_processes_goes_on_from_its_checkpoint_bit_for_bit(experiment: Experiment) -> None:  # noqa: F811
    undisturbed = TrialRunner(experiment, 0, PARAMETERS, 0, *CPUS)
    expected = [undisturbed.next_epoch().metrics for _ in range(2)]
    undisturbed.close()
    killed = TrialRunner(experiment, 1, PARAMETERS, 0, *CPUS)
    first = killed.next_epoch().metrics
    killed.close()
    resumed = TrialRunner(experiment, 1, PARAMETERS, 1, *CPUS)
    assert [first, resumed.next_epoch().metrics] == expected
    resumed.close()
    alone = TrialRunner(experiment, 2, PARAMETERS, 0, "cpu").next_epoch().metrics
    assert alone["train_loss"] == pytest.approx(first["train_loss"], rel=0.2)  # each part has statistics of its own


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trouble", "says"), [("raises", "no more memory"), ("cannot be built", "no room on this GPU")]
)
def test_what_goes_wrong_in_the_other_process_is_told(trouble: str, says: str) -> None:
    peers = DdpWorkers(CPUS, partial(LinearTrainable, failure=trouble))
    try:
        with pytest.raises(RuntimeError, match=f"ValueError in process 1 of the trial: {says}"):
            peers.run_on_all(LinearTrainable("cpu").train_epoch)
    finally:
        peers.close()


@pytest.mark.slow
def test_a_training_that_diverges_is_told_as_such() -> None:
    peers = DdpWorkers(CPUS, partial(LinearTrainable, failure="diverges"))
    try:
        with pytest.raises(DivergedError):
            peers.run_on_all(LinearTrainable("cpu", failure="diverges").train_epoch)
    finally:
        peers.close()


@pytest.mark.slow
def test_the_process_of_trials_lets_go_of_the_others_with_each(
    experiment: Experiment,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Shell(tune._TuneTrial):
        def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override]
            super().setup(config, experiment)

    monkeypatch.setattr(tune, "trial_devices", lambda _: list(CPUS))
    shell = Shell({"number": 0, "parameters": PARAMETERS, "recorded": 0})
    assert shell.train()["result"].epoch == 1
    assert shell._runner._workers is not None
    first = shell._runner._workers._processes
    assert [process.is_alive() for process in first] == [True]
    assert shell.reset({"number": 1, "parameters": PARAMETERS, "recorded": 0})
    assert [process.is_alive() for process in first] == [False]
    assert shell.train()["result"].epoch == 1
    assert shell._runner._workers is not None
    second = shell._runner._workers._processes
    shell.stop()
    assert [process.is_alive() for process in second] == [False]
    assert distributed.world_size() == 1


@pytest.mark.slow
def test_where_one_process_dies_the_other_ends_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.search.ddp_model"]
    done = subprocess.run(
        [*command, "dies", str(tmp_path)], check=False, cwd=ROOT, timeout=100, capture_output=True, text=True
    )
    assert done.returncode == 1  # as if it had been killed itself, so that Tune starts the trial again
    assert "a process of this trial is gone" in done.stderr
    with subprocess.Popen([*command, "waits", str(tmp_path)], cwd=ROOT) as first:
        (tmp_path / "peer").unlink()
        assert in_time((tmp_path / "peer").exists)
        peer = int((tmp_path / "peer").read_text())
        assert alive(peer)
        first.kill()
    assert in_time(lambda: not alive(peer), 10)
