"""Random batches of DOAnet, for measurements of training steps without recordings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainables.doanet.config import DoanetConfig
from trainables.doanet.features import BANDS, FEATURE_CHANNELS, FRAMES_PER_LABEL
from trainables.doanet.targets import EMPTY, ReferenceTracks


def draw_batch(config: DoanetConfig, sequences: int) -> tuple[Tensor, ReferenceTracks]:
    """Draw features and labels of a batch of sequences, the same ones at each call.

    Args:
        config: Hyperparameters.
        sequences: Number of sequences.

    Returns:
        Features, shape (sequences, channels, frames, 64), and labels with up to `max_sources` events at a time.
    """
    generator = torch.Generator().manual_seed(0)
    labels, sources = config.sequence_frames, config.max_sources
    features = torch.randn(
        sequences, FEATURE_CHANNELS[config.format], labels * FRAMES_PER_LABEL, BANDS, generator=generator
    )
    directions = functional.normalize(torch.randn(sequences, labels, sources, 3, generator=generator), dim=-1)
    active = torch.arange(sources) < torch.randint(sources + 1, (sequences, labels, 1), generator=generator)
    return features, ReferenceTracks(directions, active, torch.where(active, torch.arange(sources), EMPTY))
