"""The parts together: a few thousand matrices teach the network something."""

from __future__ import annotations

import numpy as np
import torch

from trainables.hnet import matrices, metrics
from trainables.hnet.config import HnetConfig
from trainables.hnet.losses import association_loss
from trainables.hnet.network import HungarianNetwork


def test_a_short_training_beats_finding_nothing() -> None:
    config = HnetConfig()
    drawn = matrices.draw_matrices(2, 300, np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(len(drawn))
    distances, truth = (torch.from_numpy(array[order]) for array in (drawn.distances, drawn.associations))
    train, held_out = slice(0, 7000), slice(7000, None)
    torch.manual_seed(0)
    network = HungarianNetwork(config)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(3):
        for first in range(0, 7000, 100):
            batch = slice(first, first + 100)
            loss = association_loss(network(distances[train][batch]), truth[train][batch], config.loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])
    with torch.inference_mode():
        logits = network(distances[held_out]).entries
    weights = metrics.class_prevalence(truth[train])
    learned = metrics.summarise_counts(logits, truth[held_out], weights)
    nothing = metrics.summarise_counts(torch.full_like(logits, -1), truth[held_out], weights)
    assert learned["f_weighted"] > nothing["f_weighted"] + 0.15
    assert learned["f1"] > 0.6
    assert learned["exact"] > nothing["exact"] + 0.1
