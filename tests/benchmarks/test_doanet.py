"""The plain ways that DOAnet is measured against do the same work."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import doanet
from trainables.doanet.config import DoanetConfig, Format
from trainables.doanet.features import extract_features


@pytest.mark.parametrize("fmt", ["foa", "mic"])
def test_the_plain_features_are_the_same(fmt: Format) -> None:
    recording = np.random.default_rng(0).normal(0, 0.1, (4, 480 * 120 + 100)).astype(np.float32)
    recording[:, 480 * 90 :] *= 1e-6
    found = doanet.plain_extract(recording, fmt)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:4], extract_features(torch.from_numpy(recording)[None], fmt)[0, :4], atol=2e-4)
    np.testing.assert_allclose(found[4:], extract_features(torch.from_numpy(recording)[None], fmt)[0, 4:], atol=2e-6)


def test_the_plain_step_has_the_same_loss_and_gradients() -> None:
    config = DoanetConfig.model_validate(
        {"sequence_frames": 4, "network": {"channels": 4, "gru": 8, "branch": 4}, "loss": {"gate": 0.45}}
    )
    found = []
    for network, loss in doanet.loss_functions(config, 3):
        value = loss()
        value.backward()
        # A bias before a normalisation has no gradient: ours is not asked for it.
        own = network.parameters()
        found.append([value.detach(), *(torch.zeros_like(p) if p.grad is None else p.grad for p in own)])
    assert found[0][0] > 1
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
