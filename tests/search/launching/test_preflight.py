"""The resources that a space requests are compared with the available ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import InputError
from runtime.machines import machine
from runtime.machines.machine import Gpu
from search.launching import preflight
from spaces.load import load_space
from spaces.schema import Space

SPACES = Path(__file__).resolve().parent.parent.parent.parent / "spaces"


def asking(space: str, *overrides: str) -> Space:
    return load_space(SPACES / f"{space}.yaml", has_gpu=True, overrides=overrides)


@pytest.mark.parametrize("space", ["rg_rep", "doanet_foa"])
def test_trials_may_have_several_gpus(space: str) -> None:
    preflight.check_several_gpus(asking(space, "resources.gpu=4"))


def test_a_network_of_a_minute_has_one_gpu() -> None:
    with pytest.raises(InputError, match="hnet trains on one GPU"):
        preflight.check_several_gpus(asking("hnet", "resources.gpu=2"))


def test_every_gpu_has_a_part_of_the_smallest_batch() -> None:
    space = asking("rg_rep", "resources.gpu=16", "search.optimizer.batch_size={choice: [8, 128]}", "start=[]")
    with pytest.raises(InputError, match=r"8, with resources\.gpu=16"):
        preflight.check_several_gpus(space)


def test_a_machine_has_as_many_gpus_as_a_trial_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_gpu", lambda: True)
    monkeypatch.setattr(machine, "list_gpus", lambda: (Gpu("any", 2**34, "570"),) * 2)
    preflight.check_resources(asking("rg_rep", "resources.gpu=2", "resources.cpu=1"))
    with pytest.raises(InputError, match="4 of 2"):
        preflight.check_resources(asking("rg_rep", "resources.gpu=4", "resources.cpu=1"))
