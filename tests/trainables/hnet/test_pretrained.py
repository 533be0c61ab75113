"""Networks that are trained once, and files that are no networks."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datasets.matrices import MatricesSpec
from runtime.errors import InputError
from trainables.doanet.config import DoanetConfig
from trainables.doanet.trainable import build_association
from trainables.hnet import pretrained
from trainables.hnet.config import HnetConfig
from trainables.hnet.trainable import Hnet

SMALL = HnetConfig.model_validate({"data": {"matrices": 150}, "network": {"hidden": 8}})


def test_a_recipe_is_trained_once_and_another_one_beside_it(tmp_path: Path) -> None:
    first = pretrained.train_or_load(SMALL, tmp_path, device="cpu", epochs=1)
    written = first.stat().st_mtime_ns
    assert pretrained.train_or_load(SMALL, tmp_path, device="cpu", epochs=1) == first
    assert first.stat().st_mtime_ns == written
    assert pretrained.train_or_load(SMALL, tmp_path, device="cpu", epochs=2) != first
    content = torch.load(first, weights_only=True)
    assert 0 <= content["metrics"]["exact"] <= 1


def test_a_training_that_waits_for_another_one_prints_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pretrained.train_or_load(SMALL, tmp_path, device="cpu", epochs=1)
    real = fcntl.flock
    with first.with_suffix(".lock").open("w") as held:
        real(held, fcntl.LOCK_EX)

        def lock(file: Any, operation: int) -> None:
            if operation == fcntl.LOCK_EX:  # waiting: the other training ends
                real(held, fcntl.LOCK_UN)
            real(file, operation)

        monkeypatch.setattr(fcntl, "flock", lock)
        assert pretrained.train_or_load(SMALL, tmp_path, device="cpu", epochs=1) == first
    assert f"waiting for another process, which is training {first.name}" in capsys.readouterr().out


def test_what_was_kept_associates_as_the_network_that_was_trained(tmp_path: Path) -> None:
    path = pretrained.train_or_load(SMALL, tmp_path, device="cpu", epochs=1)
    config, network = pretrained.load_pretrained(path, "tests")
    trained = Hnet(config, MatricesSpec(), device="cpu", seed=0, epochs=1)
    trained.train_epoch()
    found = torch.from_numpy(np.random.default_rng(0).random((5, 2, 2), np.float32))
    assert torch.equal(network(found).entries.sigmoid(), trained.associate(found))
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_gradients_flow_through_a_frozen_network(tmp_path: Path) -> None:
    path = pretrained.train_or_load(SMALL, tmp_path, device="cpu", epochs=1)
    assign = build_association(DoanetConfig(hnet=str(path)), tmp_path, "cpu")
    found = torch.rand(4, 2, 2, requires_grad=True)
    assign(found).sum().backward()
    assert found.grad is not None
    assert bool((found.grad != 0).any())


def test_a_file_that_is_no_network_is_answered(tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    torch.save({"weights": {}}, other)
    for path in (other, tmp_path / "missing.pt"):
        with pytest.raises(InputError, match=r"spaces/hnet\.yaml") as caught:
            pretrained.load_pretrained(path, "hnet")
        assert caught.value.place == "hnet"


def test_a_network_for_other_numbers_of_sources_is_refused(tmp_path: Path) -> None:
    path = pretrained.train_or_load(SMALL, tmp_path, device="cpu", epochs=1)
    with pytest.raises(InputError, match="3 sources"):
        build_association(DoanetConfig(hnet=str(path), max_sources=3), tmp_path, "cpu")
