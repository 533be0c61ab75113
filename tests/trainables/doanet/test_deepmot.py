"""DeepMOT's losses against loops with a dictionary for a memory, and in the cases it was made for."""

from __future__ import annotations

import math

import pytest
import torch

from tests.trainables.doanet.support import on_horizon, random_directions, random_reference
from trainables.doanet import association, deepmot
from trainables.doanet.config import LossConfig
from trainables.doanet.targets import ReferenceTracks


def softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


def by_loops(found: list, raw: list, active: list, ids: list, loss: LossConfig) -> tuple[float, float]:  # type: ignore[type-arg]
    """Means over frames of dMOTP and dMOTA, one sequence after the other."""
    distances, accuracies = [], []
    n = len(found[0][0])
    for b in range(len(found)):
        memory: dict[int, int] = {}
        for t in range(len(found[b])):
            a, present = raw[b][t], [j for j in range(n) if active[b][t][j]]
            column = {
                j: softmax([loss.temperature * a[i][j] for i in range(n)] + [loss.temperature * loss.delta])
                for j in present
            }
            row = [
                softmax([loss.temperature * a[i][j] for j in present] + [loss.temperature * loss.delta])
                for i in range(n)
            ]
            total = sum(r[-1] for r in row) + sum(column[j][-1] for j in present)
            pairs = []
            for place, j in enumerate(present):
                event = ids[b][t][j]
                h = max(range(n + 1), key=lambda i: column[j][i])
                if event in memory:
                    total += loss.ids_weight * sum(column[j][i] for i in range(n) if i != memory[event])
                if h < n and max(range(len(present) + 1), key=lambda k: row[h][k]) == place:
                    pairs.append(found[b][t][memory.get(event, h)][j])
                    memory[event] = h
            accuracies.append(total / max(len(present), 1))
            distances.append(sum(pairs) / max(len(pairs), 1))
    return sum(distances) / len(distances), sum(accuracies) / len(accuracies)


@pytest.mark.parametrize("sources", [1, 2, 3])
@pytest.mark.parametrize("temperature", [5.0, 100.0])
def test_it_follows_the_loops(sources: int, temperature: float) -> None:
    reference = random_reference(4, 12, sources, seed=5)
    found = association.pairwise_distances(random_directions(4, 12, sources), reference)
    raw = torch.rand(found.shape, generator=torch.Generator().manual_seed(6))
    loss = LossConfig(form="deepmot", temperature=temperature, ids_weight=2.0, delta=0.4)
    parts = deepmot.tracking_losses(found, raw, reference, loss)
    expected = by_loops(found.tolist(), raw.tolist(), reference.active.tolist(), reference.ids.tolist(), loss)
    assert (float(parts["dmotp"]), float(parts["dmota"])) == pytest.approx(expected, rel=1e-4)


def dmota(
    outputs: list[tuple[float, float]], events: list[tuple[float | None, float | None]], ids: list[list[int]]
) -> float:
    """One sequence, exact assignment, with nothing but switches weighed beside misses and false positives."""
    active = torch.tensor([[[a is not None for a in frame] for frame in events]])
    directions = torch.stack([on_horizon(*(a or 0.0 for a in frame)) for frame in events])[None]
    reference = ReferenceTracks(directions, active, torch.tensor(ids)[None])
    found = association.pairwise_distances(torch.stack([on_horizon(*frame) for frame in outputs])[None], reference)
    chosen = association.exact_association(found[0])[None]
    return float(deepmot.tracking_losses(found, chosen, reference, LossConfig(form="deepmot"))["dmota"])


def test_a_steady_output_costs_nothing_and_a_swap_two() -> None:
    assert dmota([(10, 100)] * 3, [(10, 100)] * 3, [[0, 1]] * 3) == pytest.approx(0, abs=1e-5)
    swap = dmota([(10, 100), (100, 10), (100, 10)], [(10, 100)] * 3, [[0, 1]] * 3)
    assert swap == pytest.approx((2 / 2) / 3, rel=1e-5)


def test_an_onset_costs_nothing_and_a_slide_of_the_slots_neither() -> None:
    # One false positive a frame in which one event sounds and two outputs speak.
    onset = dmota([(10, 100)] * 3, [(10, None), (10, 100), (10, 100)], [[0, -1], [0, 1], [0, 1]])
    assert onset == pytest.approx(1 / 3, rel=1e-5)
    slide = dmota([(10, 100)] * 3, [(10, 100), (100, None), (100, None)], [[0, 1], [1, -1], [1, -1]])
    assert slide == pytest.approx(2 / 3, rel=1e-5)


def test_the_memory_survives_a_gap() -> None:
    # Frame 1 is silent: two false positives. Then the event returns in the other output: one switch, one false positive.
    gap = dmota([(10, 100), (10, 100), (100, 10)], [(10, None), (None, None), (10, None)], [[0, -1], [-1, -1], [0, -1]])
    assert gap == pytest.approx((1 + 2 + 1 + 1) / 3, rel=1e-5)


def test_no_memory_passes_from_one_sequence_to_the_next() -> None:
    matched = torch.tensor([[[0, 1]], [[1, 0]]])
    assert (deepmot.previous_match(matched, torch.tensor([[[0, 1]], [[0, 1]]])) == -1).all()
