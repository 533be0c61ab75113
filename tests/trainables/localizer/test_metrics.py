"""Precision, recall, F1 and RMSE by hand, and against scipy's bipartite matching."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from torch import Tensor

from tests.trainables.localizer.support import places
from trainables.localizer import metrics
from trainables.localizer.metrics import MatchCounts
from trainables.localizer.retrieval import Candidates

Place = tuple[float, float]
MILLIMETRE = 1e-3


def predicted(*samples: list[Place], width: int = 4) -> Candidates:
    """Keypoints of score 0.9, and padding of score 0.1 that lies on the first true source more often than not."""
    positions, scores = torch.ones(len(samples), width, 2), torch.full((len(samples), width), 0.1)
    for row, sample in enumerate(samples):
        for slot, position in enumerate(sample):
            positions[row, slot], scores[row, slot] = torch.tensor(position), 0.9
    return Candidates(positions, scores)


def measure(found: list[Place], truth: list[Place], resolution_m: float) -> MatchCounts:
    candidates = predicted(found)
    keep = torch.ones_like(candidates.scores, dtype=torch.bool)
    return metrics.count_matches(candidates, keep, places(truth), torch.tensor([0.5]), resolution_m)


def outcome(counts: MatchCounts) -> tuple[float, float, float]:
    """True positives, false positives, false negatives."""
    hits = counts.true_positives.item()
    return hits, counts.predicted.item() - hits, counts.truth - hits


GK = [(1.0, 1.0), (4.0, 4.0)]
PK = [(1.2, 1.0), (1.0, 1.25), (4.0, 4.9)]


def test_the_worked_example_at_one_metre() -> None:
    counts = measure(PK, GK, 1.0)
    assert outcome(counts) == (2, 1, 0)
    summary = metrics.summarise_counts(counts)[0]
    assert summary["precision"] == pytest.approx(2 / 3)
    assert summary["recall"] == 1.0
    assert summary["f1"] == pytest.approx(0.8)
    assert summary["rmse"] == pytest.approx(math.sqrt((0.2**2 + 0.9**2) / 2), abs=MILLIMETRE)  # 0.652 m


def test_the_worked_example_at_thirty_centimetres() -> None:
    counts = measure(PK, GK, 0.3)
    assert outcome(counts) == (1, 2, 1)
    summary = metrics.summarise_counts(counts)[0]
    assert summary["f1"] == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert summary["rmse"] == pytest.approx(0.2, abs=MILLIMETRE)


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        ([], GK, (0, 0, 2)),
        (PK, [], (0, 3, 0)),
        ([], [], (0, 0, 0)),
        ([(1.2, 1.0), (1.0, 1.2)], [(1.0, 1.0)], (1, 1, 0)),  # two predictions near one truth
        ([(1.5, 1.0)], [(1.0, 1.0), (2.0, 1.0)], (1, 0, 1)),  # one prediction near two truths
        ([(2.0, 1.0)], [(1.0, 1.0)], (0, 1, 1)),  # at exactly the resolution
        ([(1.999, 1.0)], [(1.0, 1.0)], (1, 0, 0)),
        (
            [(1.5, 1.0), (0.5, 1.0)],
            [(1.0, 1.0), (2.0, 1.0)],
            (2, 0, 0),
        ),  # the nearer truth yields to the only other match
        ([(1.0, 1.0)], [(1.0, 1.0), (1.0, 1.0)], (1, 0, 1)),
    ],
)
def test_corner_cases(found: list[Place], truth: list[Place], expected: tuple[int, int, int]) -> None:
    assert outcome(measure(found, truth, 1.0)) == expected


@pytest.mark.parametrize(
    ("found", "truth", "ratio"), [([], GK, 0.0), (PK, [], 0.0), ([], [], 1.0), ([(3.0, 1.0)], [(1.0, 1.0)], 0.0)]
)
def test_ratios_without_a_match(found: list[Place], truth: list[Place], ratio: float) -> None:
    summary = metrics.summarise_counts(measure(found, truth, 1.0))[0]
    assert (summary["precision"], summary["recall"]) == (ratio, ratio)
    assert summary["f1"] == ratio
    assert math.isnan(summary["rmse"])


def test_two_truths_that_share_a_match_are_both_measured_to_it() -> None:
    counts = measure([(1.5, 1.0)], [(1.0, 1.0), (2.25, 1.0)], 1.0)
    assert counts.matched.item() == 2
    assert metrics.summarise_counts(counts)[0]["rmse"] == pytest.approx(
        math.sqrt((0.5**2 + 0.75**2) / 2), abs=MILLIMETRE
    )


def test_who_was_suppressed_is_not_counted() -> None:
    found = predicted([(1.2, 1.0), (1.0, 1.25)])
    keep = torch.tensor([[False, True, True, True]])
    counts = metrics.count_matches(found, keep, places([(1.0, 1.0)]), torch.tensor([0.5]), 1.0)
    assert outcome(counts) == (1, 0, 0)
    assert counts.squared_error_m2.item() == pytest.approx(0.25**2, rel=1e-5)


def test_a_score_has_to_be_above_the_threshold() -> None:
    found = Candidates(torch.ones(1, 1, 2), torch.tensor([[0.5]]))
    keep = torch.ones(1, 1, dtype=torch.bool)
    counts = metrics.count_matches(found, keep, places([(1.0, 1.0)]), torch.tensor([0.25, 0.5, 0.75]), 1.0)
    assert counts.true_positives.tolist() == [1, 0, 0]
    assert counts.predicted.tolist() == [1, 0, 0]


def crowd(batch: int = 60, slots: int = 4, number: int = 9) -> tuple[Candidates, Tensor, Tensor]:
    """Sources from 0.2 m apart and many keypoints among them, some suppressed, so that matches compete."""
    generator = np.random.default_rng(3)
    truth = np.full((batch, slots, 2), np.nan, np.float32)
    for sample in truth:
        for slot in range(generator.integers(0, slots + 1)):
            place = generator.uniform(0, 1.6, 2)
            while any(np.linalg.norm(place - other) < 0.2 for other in sample[:slot]):
                place = generator.uniform(0, 1.6, 2)
            sample[slot] = place
    scores = np.sort(generator.random((batch, number)).astype(np.float32), axis=1)[:, ::-1]
    found = Candidates(
        torch.from_numpy(generator.uniform(0, 1.6, (batch, number, 2)).astype(np.float32)),
        torch.from_numpy(scores.copy()),
    )
    return found, torch.from_numpy(generator.random((batch, number)) < 0.8), torch.from_numpy(truth)


@pytest.mark.parametrize("resolution_m", [0.3, 1.0])
@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.8, 0.99])
def test_crowded_samples_equal_scipys_largest_matching(resolution_m: float, threshold: float) -> None:
    found, keep, truth = crowd()
    everything = torch.tensor([0.0, 0.4, 0.8, 0.99])
    counts = metrics.count_matches(found, keep, truth, everything, resolution_m)
    hits = guesses = matched = 0
    error = 0.0
    for sample in range(len(truth)):
        there = truth[sample][~truth[sample].isnan().any(-1)].double().numpy()
        chosen = keep[sample] & (found.scores[sample] > threshold)
        guessed = found.positions_m[sample][chosen].double().numpy()
        guesses += len(guessed)
        if not len(there) or not len(guessed):
            continue
        distance = np.linalg.norm(there[:, None] - guessed, axis=-1)
        near = distance < resolution_m
        size = int((maximum_bipartite_matching(csr_array(near.astype(int)), perm_type="column") >= 0).sum())
        hits += size
        matched += int(near.any(1).sum())
        error += float((distance.min(1)[near.any(1)] ** 2).sum())
    row = everything.tolist().index(pytest.approx(threshold))
    assert counts.true_positives[row].item() == hits
    assert counts.predicted[row].item() == guesses
    assert counts.matched[row].item() == matched
    assert counts.squared_error_m2[row].item() == pytest.approx(error, rel=1e-4, abs=1e-9)
    assert counts.truth == float((~truth.isnan().any(-1)).sum())
    assert hits > 0


def test_the_crowd_does_hold_truths_that_share_their_only_match() -> None:
    counts = metrics.count_matches(*crowd(), torch.tensor([0.4, 0.8]), 1.0)
    assert bool((counts.matched > counts.true_positives).all())


def test_far_sources_count_the_same_by_the_papers_literal_rule() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.tensor(list(itertools.product((1.0, 3.0, 5.0), repeat=2)))[
        torch.randperm(9, generator=generator)[:4]
    ][None]
    found = Candidates(truth + torch.randn(1, 4, 2, generator=generator) * 0.5, torch.full((1, 4), 0.9))
    literal = (torch.cdist(truth, found.positions_m) < 1.0).any(-1).sum()
    counts = metrics.count_matches(found, torch.ones(1, 4, dtype=torch.bool), truth, torch.tensor([0.5]), 1.0)
    assert counts.true_positives.item() == literal.item() == counts.matched.item()


def test_counts_of_batches_add_up_to_those_of_the_whole() -> None:
    found, keep, truth = crowd()
    thresholds = torch.tensor([0.1, 0.5])

    def part(rows: slice) -> MatchCounts:
        return metrics.count_matches(
            Candidates(found.positions_m[rows], found.scores[rows]), keep[rows], truth[rows], thresholds, 0.3
        )

    whole, sum_ = part(slice(None)), part(slice(0, 17)) + part(slice(17, 18)) + part(slice(18, None))
    assert sum_.true_positives.tolist() == whole.true_positives.tolist()
    assert sum_.predicted.tolist() == whole.predicted.tolist()
    assert sum_.matched.tolist() == whole.matched.tolist()
    assert sum_.truth == whole.truth
    assert sum_.squared_error_m2.tolist() == pytest.approx(whole.squared_error_m2.tolist())


def test_ratios_are_taken_of_the_sums_not_averaged() -> None:
    counts = measure(PK, GK, 1.0) + measure([], GK, 1.0)
    summary = metrics.summarise_counts(counts)[0]
    assert (summary["precision"], summary["recall"]) == (pytest.approx(2 / 3), 0.5)
