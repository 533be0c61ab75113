"""Resolution-based precision, recall, F1 and RMSE (section III-B), for many thresholds at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.localizer.retrieval import Candidates


@dataclass(frozen=True)
class MatchCounts:
    """Sums over samples; the sum of the counts of all batches gives those of a dataset.

    Attributes:
        true_positives: Number of matched true keypoints, per threshold.
        predicted: Number of predicted keypoints, per threshold.
        truth: Number of true keypoints.
        squared_error_m2: Sum of squared distances between each true keypoint with a prediction in reach and the nearest one,
            per threshold, in m².
        matched: Number of terms of that sum; equals `true_positives` unless two true keypoints share their only match.
    """

    true_positives: Float[Tensor, "thresholds"]
    predicted: Float[Tensor, "thresholds"]
    truth: float
    squared_error_m2: Float[Tensor, "thresholds"]
    matched: Float[Tensor, "thresholds"]

    def __add__(self, other: MatchCounts) -> MatchCounts:
        return MatchCounts(
            self.true_positives + other.true_positives,
            self.predicted + other.predicted,
            self.truth + other.truth,
            self.squared_error_m2 + other.squared_error_m2,
            self.matched + other.matched,
        )


@dataclass(frozen=True)
class SampleMatches:
    """Matches of each sample.

    Attributes:
        true_positives: Number of matched true keypoints, per threshold and sample.
        predicted: Number of predicted keypoints, per threshold and sample.
        truth: Number of true keypoints, per sample.
        nearest_m: Distance of each true keypoint to the nearest prediction in reach, in metres; infinite without one.
    """

    true_positives: Int[Tensor, "thresholds batch"]
    predicted: Int[Tensor, "thresholds batch"]
    truth: Int[Tensor, "batch"]
    nearest_m: Float[Tensor, "thresholds batch slots"]

    def total(self) -> MatchCounts:
        """Return the sums over the samples."""
        hit = self.nearest_m.isfinite()
        return MatchCounts(
            self.true_positives.sum(1).double().cpu(),
            self.predicted.sum(1).double().cpu(),
            float(self.truth.sum()),
            self.nearest_m.where(hit, 0).double().square().sum((1, 2)).cpu(),
            hit.sum((1, 2)).double().cpu(),
        )

    def first_terms(self) -> Float[Tensor, "batch terms"]:
        """Return the terms of `MatchCounts` of each sample at the first threshold, in the order of its attributes."""
        hit = self.nearest_m[0].isfinite()
        squared_error_m2 = self.nearest_m[0].where(hit, 0).double().square().sum(1)
        terms = [self.true_positives[0], self.predicted[0], self.truth, squared_error_m2, hit.sum(1)]
        return torch.stack([term.double() for term in terms], dim=1).cpu()


def count_matches(
    candidates: Candidates,
    keep: Bool[Tensor, "batch candidates"],
    positions_m: Float[Tensor, "batch slots 2"],
    thresholds: Float[Tensor, "thresholds"],
    resolution_m: float,
) -> MatchCounts:
    """Match predictions with true positions: a pair matches if its distance is strictly less than the resolution.

    The paper counts the true keypoints that have a match. Where two of them are within reach of a single prediction, that
    count exceeds the number of predictions (a precision above 1). Matches are therefore one-to-one here, as many as
    possible; for sources at least two resolutions apart, as in all the paper's data, both counts are equal.

    Args:
        candidates: Possible keypoints.
        keep: Whether each candidate survived suppression.
        positions_m: True positions, in metres; NaN in empty slots.
        thresholds: Thresholds above which a score makes a candidate a prediction.
        resolution_m: Resolution in metres, 0.3 or 1 in the paper.
    """
    return match_samples(candidates, keep, positions_m, thresholds, resolution_m).total()


def match_samples(
    candidates: Candidates,
    keep: Bool[Tensor, "batch candidates"],
    positions_m: Float[Tensor, "batch slots 2"],
    thresholds: Float[Tensor, "thresholds"],
    resolution_m: float,
) -> SampleMatches:
    """Match the predictions of each sample; see `count_matches`."""
    present = ~positions_m.isnan().any(dim=-1)
    distance = (candidates.positions_m[:, None] - positions_m.nan_to_num(nan=math.inf)[:, :, None]).norm(dim=-1)
    adjacent = (distance < resolution_m) & keep[:, None] & present[..., None]
    scores = torch.where(keep, candidates.scores, -math.inf)
    nearest = torch.stack(
        [_nearest_distances(distance, adjacent & (scores > threshold)[:, None]) for threshold in thresholds]
    )
    return SampleMatches(
        _matching_size(adjacent, scores, present, thresholds),
        (scores[None] > thresholds[:, None, None]).sum(2),
        present.sum(1),
        nearest,
    )


def _nearest_distances(
    distance: Float[Tensor, "batch slots candidates"], allowed: Bool[Tensor, "batch slots candidates"]
) -> Float[Tensor, "batch slots"]:
    return torch.where(allowed, distance, math.inf).amin(dim=-1)


def _matching_size(
    adjacent: Bool[Tensor, "batch slots candidates"],
    scores: Float[Tensor, "batch candidates"],
    present: Bool[Tensor, "batch slots"],
    thresholds: Float[Tensor, "thresholds"],
) -> Int[Tensor, "thresholds batch"]:
    """Return the size of the largest one-to-one matching: the minimum of |G| - |S| + |N(S)| over all S ⊆ G (König).

    G is the set of true keypoints and N(S) the predictions adjacent to S. At most |S| of them matter, so the |S| strongest
    scores determine the number of predictions at every threshold.
    """
    slots = present.shape[1]
    total = present.sum(1)
    size = total.expand(len(thresholds), -1)
    for members in (c for n in range(1, slots + 1) for c in itertools.combinations(range(slots), n)):
        chosen = list(members)
        touched = torch.where(adjacent[:, chosen].any(dim=1), scores, -math.inf)
        strongest = touched.topk(min(len(chosen), touched.shape[1]), dim=1).values
        neighbours = (strongest[None] > thresholds[:, None, None]).sum(-1)
        size = torch.minimum(size, total - present[:, chosen].sum(1) + neighbours)
    return size


def summarise_counts(counts: MatchCounts) -> list[dict[str, float]]:
    """Return precision, recall, F1 and RMSE (m) per threshold, from sums over the dataset (micro averages).

    Without predictions or without true keypoints the ratios are 0; without both they are 1. RMSE without a match is NaN.
    """
    result = []
    for hits, predicted, error, matched in zip(
        counts.true_positives.tolist(),
        counts.predicted.tolist(),
        counts.squared_error_m2.tolist(),
        counts.matched.tolist(),
        strict=True,
    ):
        empty = 1.0 if predicted == 0 and counts.truth == 0 else 0.0
        precision = hits / predicted if predicted else empty
        recall = hits / counts.truth if counts.truth else empty
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        rmse = math.sqrt(error / matched) if matched else math.nan
        result.append({"f1": f1, "precision": precision, "recall": recall, "rmse": rmse})
    return result


def summarise_terms(terms: Sequence[float]) -> dict[str, float]:
    """Return precision, recall, F1 and RMSE (m) of sums of `SampleMatches.first_terms`."""
    hits, predicted, truth, error, matched = terms
    one = [torch.tensor([value], dtype=torch.float64) for value in (hits, predicted, error, matched)]
    return summarise_counts(MatchCounts(one[0], one[1], truth, one[2], one[3]))[0]
