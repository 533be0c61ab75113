"""Tracking losses of DeepMOT, for comparison with those of DOAnet's authors.

Source: Xu et al., "How to train your deep multi-object tracker" (CVPR 2020). Hypotheses are the network's
outputs, objects the events. All outputs take part, as in the authors' form: those beyond the number of events add a
constant to the false positives. All frames have the same weight, and associations persist within a sequence.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.doanet.config import LossConfig
from trainables.doanet.targets import EMPTY, ReferenceTracks


def tracking_losses(
    distances: Float[Tensor, "batch labels sources sources"],
    association: Float[Tensor, "batch labels sources sources"],
    reference: ReferenceTracks,
    loss: LossConfig,
) -> dict[str, Tensor]:
    """Return the tracking losses, means over frames.

    Args:
        distances: Distances; rows are outputs, columns references.
        association: Probabilities of associations, not gated.
        reference: Labels.
        loss: Temperature and δ of the softmax, and weight of the switches.

    Returns:
        `dmotp`, the mean distance of the matches of a frame, with the previous output where an event switched, 0 without
        matches; `dmota`, false positives, misses and weighted switches over the number of events, at least 1.
    """
    columns, rows = _softmax_matrix(association, reference.active, loss)
    matched = _soft_matches(columns, rows, reference.active)
    previous = previous_match(matched, reference.ids)
    remembered = reference.active & (previous != EMPTY)
    missed = columns[..., -1, :]
    stayed = columns[..., :-1, :].gather(-2, previous.clamp(min=0)[..., None, :]).squeeze(-2)
    switches = ((1 - stayed - missed) * remembered).sum(-1)
    misses = (missed * reference.active).sum(-1)
    false_positives = rows[..., -1].sum(-1)
    events = reference.active.sum(-1).clamp(min=1)
    dmota = (false_positives + misses + loss.ids_weight * switches) / events
    return {"dmotp": _dmotp_loss(distances, matched, previous).mean(), "dmota": dmota.mean()}


def _softmax_matrix(association: Tensor, active: Tensor, loss: LossConfig) -> tuple[Tensor, Tensor]:
    """Return softmax along columns with a row of δ below, and along rows of real references with a column of δ."""
    scaled = association * loss.temperature
    delta = torch.full_like(scaled[..., :1], loss.delta * loss.temperature)
    columns = torch.cat([scaled, delta.transpose(-1, -2)], dim=-2).softmax(-2)
    rows = torch.cat([scaled.masked_fill(~active[..., None, :], -torch.inf), delta], dim=-1).softmax(-1)
    return columns, rows


def _soft_matches(
    columns: Float[Tensor, "batch labels rows sources"],
    rows: Float[Tensor, "batch labels sources columns"],
    active: Bool[Tensor, "batch labels sources"],
) -> Int[Tensor, "batch labels sources"]:
    """Return the output that each reference prefers over all others and δ, if the preference is mutual; else -1."""
    sources = active.shape[-1]
    preferred = columns.argmax(-2)
    of_output = rows.argmax(-1).gather(-1, preferred.clamp(max=sources - 1))
    mutual = of_output == torch.arange(sources, device=active.device)
    return torch.where(active & (preferred < sources) & mutual, preferred, EMPTY)


def previous_match(
    matched: Int[Tensor, "batch labels sources"], ids: Int[Tensor, "batch labels sources"]
) -> Int[Tensor, "batch labels sources"]:
    """Return the output of the last match of each event in earlier frames of its sequence; -1 without a match."""
    sources = matched.shape[-1]
    known, column = ids.unique(return_inverse=True)
    frame = torch.arange(matched.shape[1], device=matched.device)[:, None]
    # Later frames have larger numbers, so the running maximum is the last match of every event.
    stamp = torch.where(matched == EMPTY, EMPTY, frame * sources + matched)
    table = stamp.new_full((*matched.shape[:2], len(known)), EMPTY).scatter(2, column, stamp)
    latest = table.cummax(1).values
    before = torch.cat([torch.full_like(latest[:, :1], EMPTY), latest[:, :-1]], dim=1).gather(2, column)
    return torch.where(before == EMPTY, EMPTY, before % sources)


def _dmotp_loss(
    distances: Float[Tensor, "batch labels sources sources"],
    matched: Int[Tensor, "batch labels sources"],
    previous: Int[Tensor, "batch labels sources"],
) -> Float[Tensor, "batch labels"]:
    hit = matched != EMPTY
    hypothesis = torch.where(previous == EMPTY, matched, previous).clamp(min=0)
    matched_distance = distances.gather(-2, hypothesis[..., None, :]).squeeze(-2)
    return (matched_distance * hit).sum(-1) / hit.sum(-1).clamp(min=1)
