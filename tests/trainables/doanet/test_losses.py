"""The losses against explicit loops, an exact assignment plugged in, and the cases in which ratios vanish."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tests.trainables.doanet.support import on_horizon, random_directions, random_reference, smooth
from trainables.doanet import association, losses
from trainables.doanet.config import LossConfig
from trainables.doanet.network import DoaOutput
from trainables.doanet.targets import ReferenceTracks

CLOSE = 1e-4


def distance_by_loops(directions: Tensor, reference: ReferenceTracks) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(frames, outputs, references), sequence after sequence."""
    flat, active = directions.flatten(0, 1).double(), reference.active.flatten(0, 1)
    target = reference.directions.flatten(0, 1).double()
    frames, sources = active.shape
    found = np.zeros((frames, sources, sources))
    for f, i, j in itertools.product(range(frames), range(sources), range(sources)):
        p = (flat[f, i] / math.sqrt(float(flat[f, i] @ flat[f, i]) + 1e-10)).numpy()
        q = target[f, j].numpy() if active[f, j] else np.full(3, 10.0)
        found[f, i, j] = math.sqrt(sum((p - q) ** 2))
    return found


def authors_by_loops(
    found: Any, raw: Any, count: list[int], borders: set[int], ids_weight: float
) -> tuple[float, float]:
    """The sums over frames as they are defined; a frame in `borders` has no frame before it."""
    sources = found.shape[1]
    above = np.where(raw > 0.5, raw, 0)
    distance = associations = wrong = matched = 0.0
    for f in range(len(found)):
        k = above[f].sum()
        distance += 50 * (found[f] * above[f]).sum() * k
        associations += k
        m = sum(max(above[f, i]) for i in range(sources))
        switches = 0.0
        if f not in borders:
            switches = sum(above[f, i, j] * (1 - above[f - 1, i, j]) for i in range(sources) for j in range(sources))
        wrong += max(0, m - count[f]) + max(0, count[f] - m) + ids_weight * switches
        matched += m + 1.19e-7
    return distance / associations, wrong / matched


@pytest.mark.parametrize("sources", [2, 3])
@pytest.mark.parametrize(("borders", "starts"), [("crossed", {0}), ("kept", {0, 6, 12})])
def test_the_authors_form_follows_the_loops(sources: int, borders: str, starts: set[int]) -> None:
    directions, reference = random_directions(3, 6, sources), random_reference(3, 6, sources)
    logits = torch.randn(3, 6, sources, generator=torch.Generator().manual_seed(2)).tanh()
    loss = LossConfig.model_validate({"borders": borders, "ids_weight": 1.7})
    parts = losses.compute_objective(DoaOutput(directions, logits), reference, loss, smooth)
    found = distance_by_loops(directions, reference)
    raw = smooth(torch.as_tensor(found)).numpy()
    assert 0 < (raw > 0.5).mean() < 1
    count = reference.active.sum(-1).flatten().tolist()
    dmotp, dmota = authors_by_loops(found, raw, count, starts, 1.7)
    target = (raw > 0.5).any(-1).reshape(-1)
    entropy = [math.log1p(math.exp(-x if hit else x)) for x, hit in zip(logits.flatten().tolist(), target, strict=True)]
    activity = sum(entropy) / len(entropy)
    assert float(50 * parts["dmotp"]) == pytest.approx(dmotp, rel=CLOSE)
    assert float(parts["dmota"]) == pytest.approx(dmota, rel=CLOSE)
    assert float(parts["activity"]) == pytest.approx(activity, rel=CLOSE)
    assert float(parts["loss"]) == pytest.approx(dmotp + dmota + 10 * activity, rel=CLOSE)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mse", {"mse"}),
        ("pit_mse", {"mse"}),
        ("dmotp", {"dmotp"}),
        ("dmotp_act", {"dmotp", "activity"}),
        ("dmotp_dmota_act", {"dmotp", "dmota", "activity"}),
    ],
)
@pytest.mark.parametrize("form", ["authors", "deepmot"])
def test_a_kind_consists_of_its_parts(kind: str, expected: set[str], form: str) -> None:
    loss = LossConfig.model_validate({"kind": kind, "form": form})
    output = DoaOutput(random_directions(2, 5, 2), torch.randn(2, 5, 2))
    assert set(losses.compute_objective(output, random_reference(2, 5, 2), loss, smooth)) == {"loss"} | expected


@pytest.mark.parametrize("sources", [1, 2, 3, 4])
def test_the_exact_assignment_is_scipys(sources: int) -> None:
    directions, reference = random_directions(4, 10, sources), random_reference(4, 10, sources)
    found = association.pairwise_distances(directions, reference).flatten(0, 1)
    active = reference.active.flatten(0, 1).numpy()
    chosen = association.exact_association(found).numpy()
    for frame in range(len(found)):
        columns = np.flatnonzero(active[frame])
        rows, picked = linear_sum_assignment(found[frame].numpy()[:, columns])
        expected = np.zeros((sources, sources))
        expected[rows, columns[picked]] = 1
        np.testing.assert_array_equal(chosen[frame], expected)


def tracks(azimuths: list[list[float | None]]) -> tuple[Tensor, Tensor]:
    """One sequence; None is an empty slot."""
    directions = torch.stack([on_horizon(*(a if a is not None else 0.0 for a in frame)) for frame in azimuths])[None]
    return directions, torch.tensor([[[a is not None for a in frame] for frame in azimuths]])


def parts_of(outputs: list[list[float]], events: list[list[float | None]], **values: Any) -> dict[str, Tensor]:
    directions, active = tracks(events)
    ids = torch.arange(2).expand(active.shape).where(active, torch.tensor(-1))
    logits = torch.zeros(active.shape)
    reference = ReferenceTracks(directions, active, ids)
    loss = LossConfig.model_validate(values)
    return losses.compute_objective(
        DoaOutput(tracks([list(frame) for frame in outputs])[0], logits), reference, loss, association.exact_association
    )


def test_a_perfect_steady_output_costs_nothing() -> None:
    events: list[list[float | None]] = [[10, 100]] * 4
    parts = parts_of([[10, 100]] * 4, events)
    assert float(parts["dmotp"]) == pytest.approx(0, abs=1e-5)
    assert float(parts["dmota"]) == pytest.approx(0, abs=1e-5)


def test_a_swap_sets_two_associations_and_an_onset_one() -> None:
    swapped = parts_of([[10, 100], [100, 10], [100, 10]], [[10, 100]] * 3, ids_weight=3)
    assert float(swapped["dmota"]) == pytest.approx(3 * 2 / 6, rel=1e-5)
    onset = parts_of([[10, 100]] * 3, [[10, None], [10, 100], [10, 100]], ids_weight=3)
    assert float(onset["dmota"]) == pytest.approx(3 * 1 / 5, rel=1e-5)


def test_frames_with_two_events_weigh_double() -> None:
    parts = parts_of([[10, 100], [10, 100]], [[40, None], [10, 100]])
    chord = 2 * math.sin(math.radians(15))
    assert float(parts["dmotp"]) == pytest.approx(chord * 1 / 3, rel=1e-5)


@pytest.mark.parametrize("form", ["authors", "deepmot"])
@pytest.mark.parametrize("silent", [True, False])
def test_without_associations_loss_and_gradient_are_finite(form: str, silent: bool) -> None:
    raw, logits = random_directions(2, 5, 2).requires_grad_(), torch.zeros(2, 5, 2, requires_grad=True)
    reference = random_reference(2, 5, 2)
    if silent:
        reference = ReferenceTracks(reference.directions * torch.nan, reference.active & False, reference.ids * 0 - 1)
    loss = LossConfig.model_validate({"form": form})
    parts = losses.compute_objective(DoaOutput(raw, logits), reference, loss, lambda found: 0.1 * torch.exp(-found))
    parts["loss"].backward()
    assert float(parts["dmotp"].detach()) == 0
    assert form == "deepmot" or float(parts["dmota"].detach()) == 0
    assert raw.grad is not None
    assert raw.grad.isfinite().all()
    assert float(parts["loss"].detach()) < 100


def test_a_pair_that_coincides_has_a_finite_gradient() -> None:
    raw = on_horizon(10, 100).reshape(1, 1, 2, 3).requires_grad_()
    directions, active = tracks([[10, 100]])
    reference = ReferenceTracks(directions, active, torch.tensor([[[0, 1]]]))
    losses.compute_objective(
        DoaOutput(raw, torch.zeros(1, 1, 2)), reference, LossConfig(), association.exact_association
    )["loss"].backward()
    assert raw.grad is not None
    assert raw.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["dmotp", "pit_mse", "mse"])
def test_descent_brings_the_outputs_to_the_events(kind: str) -> None:
    generator = torch.Generator().manual_seed(3)
    raw = torch.randn(1, 8, 2, 3, generator=generator).requires_grad_()
    directions, active = tracks([[10, 100]] * 8)
    reference = ReferenceTracks(directions, active, torch.tensor([0, 1]).expand(1, 8, 2))
    loss = LossConfig.model_validate({"kind": kind, "dmotp_weight": 1})
    optimizer = torch.optim.Adam([raw], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        losses.compute_objective(DoaOutput(raw, None), reference, loss, association.exact_association)[
            "loss"
        ].backward()
        optimizer.step()
    found = association.pairwise_distances(raw.detach(), reference)
    assert float((found * association.exact_association(found[0])[None]).amax()) < 0.1


def test_the_gradient_reaches_through_the_assignment() -> None:
    raw = random_directions(2, 5, 2).requires_grad_()
    reference = random_reference(2, 5, 2)
    grads = []
    for assign in (smooth, lambda found: smooth(found).detach()):
        parts = losses.compute_objective(DoaOutput(raw, None), reference, LossConfig(kind="dmotp"), assign)
        grads.append(torch.autograd.grad(parts["loss"], raw)[0])
    assert not torch.allclose(grads[0], grads[1])


def test_squared_errors_follow_the_loops() -> None:
    directions, reference = random_directions(2, 4, 3), random_reference(2, 4, 3)
    unit = directions / directions.norm(dim=-1, keepdim=True)
    by_slot, by_order = [], []
    for b, t in itertools.product(range(2), range(4)):
        target = [
            reference.directions[b, t, j].tolist() if reference.active[b, t, j] else [0.0, 0.0, 1.0] for j in range(3)
        ]
        costs = [
            sum((unit[b, t, order[j], c].item() - target[j][c]) ** 2 for j in range(3) for c in range(3)) / 9
            for order in itertools.permutations(range(3))
        ]
        by_slot.append(costs[0])
        by_order.append(min(costs))
    assert float(losses.slot_error(directions, reference)) == pytest.approx(sum(by_slot) / 8, rel=CLOSE)
    assert float(losses.permuted_error(directions, reference)) == pytest.approx(sum(by_order) / 8, rel=CLOSE)


def test_the_tanh_bounds_the_cross_entropy() -> None:
    kept = torch.eye(2).expand(1, 3, 2, 2)
    assert float(losses.activity_loss(torch.ones(1, 3, 2), kept)) == pytest.approx(math.log1p(math.exp(-1)), rel=1e-5)


def test_activity_needs_its_branch() -> None:
    output = DoaOutput(random_directions(1, 3, 2), None)
    with pytest.raises(ValueError, match="built without it"):
        losses.compute_objective(output, random_reference(1, 3, 2), LossConfig(), smooth)
