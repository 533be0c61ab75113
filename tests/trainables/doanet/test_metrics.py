"""Tracks made by hand, random ones against motmetrics, and the authors' figures by loops."""

from __future__ import annotations

import math
from dataclasses import replace

import motmetrics
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from tests.trainables.doanet.tracked import Slots, by_hand, random_tracks, vectors
from trainables.doanet.clearmot import clear_counts
from trainables.doanet.config import METRICS
from trainables.doanet.metrics import authors_counts, count_errors
from trainables.doanet.tracks import (
    OutputChoice,
    TrackingOutputs,
    angles_deg,
    cheapest_order,
    concatenate_outputs,
    is_sounding,
)

X = None
STEADY: Slots = [(10, 100)] * 6
BOTH = [(0, 1)] * 6
GATE = 20.0


def figures(tracks: TrackingOutputs, gate_deg: float = GATE) -> dict[str, float]:
    found = count_errors(tracks, [OutputChoice()], (gate_deg,)).summarise_counts()[0]
    return {name.removesuffix(f"_{gate_deg:g}deg"): value for name, value in found.items()}


def test_perfect_tracks() -> None:
    found = figures(by_hand(STEADY, STEADY, BOTH))
    assert (found["mota"], found["ids"], found["fp"], found["fn"], found["fragmentations"]) == (100, 0, 0, 0, 0)
    assert found["motp"] == pytest.approx(0, abs=1e-5)
    assert (found["mota_authors"], found["lr"], found["lp"]) == pytest.approx((100, 100, 100))
    assert found["le"] == pytest.approx(0, abs=0.05)


def test_a_swap_is_two_switches_that_the_authors_do_not_see() -> None:
    found = figures(by_hand([(10, 100)] * 3 + [(100, 10)] * 3, STEADY, BOTH))
    assert (found["ids"], found["fn"], found["fp"], found["fragmentations"]) == (2, 0, 0, 0)
    assert found["mota"] == pytest.approx(100 * (1 - 2 / 12))
    assert (found["ids_authors"], found["mota_authors"]) == (0, pytest.approx(100))


def test_a_gap_is_an_interruption_that_the_authors_call_a_switch() -> None:
    found = figures(by_hand([(10, 100), *[(10, X)] * 3, (10, 100), (10, 100)], STEADY, BOTH))
    assert (found["ids"], found["fn"], found["fp"], found["fragmentations"]) == (0, 3, 0, 1)
    assert found["ids_authors"] == 1
    assert found["mota_authors"] == pytest.approx(100 * (1 - 4 / 12))


def test_another_output_after_the_gap_is_a_switch() -> None:
    outputs: Slots = [(10, X), (X, X), (X, 10), (X, 10)]
    found = figures(by_hand(outputs, [(10, X)] * 4, [(0, -1)] * 4))
    assert (found["ids"], found["fn"], found["fp"], found["fragmentations"]) == (1, 1, 0, 1)


def test_a_correct_onset_costs_the_authors_a_switch() -> None:
    onset: Slots = [(10, X), (10, X), *[(10, 100)] * 4]
    found = figures(by_hand(onset, onset, [(0, -1)] * 2 + [(0, 1)] * 4))
    assert (found["mota"], found["ids"], found["ids_authors"]) == (100, 0, 1)
    assert found["mota_authors"] == pytest.approx(100 * (1 - 1 / 10))


def test_a_handover_to_the_next_event_is_no_switch() -> None:
    steady: Slots = [(10, X)] * 6
    found = figures(by_hand(steady, steady, [(0, -1)] * 3 + [(1, -1)] * 3))
    assert (found["mota"], found["ids"], found["ids_authors"]) == (100, 0, 0)


def test_an_event_that_slides_to_another_slot_is_no_switch() -> None:
    events: Slots = [(10, 100)] * 3 + [(100, X)] * 3
    outputs: Slots = [(10, 100)] * 3 + [(X, 100)] * 3
    found = figures(by_hand(outputs, events, [(0, 1)] * 3 + [(1, -1)] * 3))
    assert (found["mota"], found["ids"]) == (100, 0)


def test_silence() -> None:
    nothing: Slots = [(X, X)] * 6
    empty = [(-1, -1)] * 6
    found = figures(by_hand(nothing, nothing, empty))
    assert (found["mota"], found["mota_authors"]) == (100, 100)
    assert found["le"] == 180
    assert math.isnan(found["motp"])
    missed = figures(by_hand(nothing, STEADY, BOTH))
    assert (missed["mota"], missed["fn"], missed["lr"]) == (0, 12, 0)
    invented = figures(by_hand(STEADY, nothing, empty))
    assert (invented["fp"], invented["fn"], invented["lp"]) == (12, 0, 0)
    assert invented["mota"] == 100 * (1 - 12)


def test_the_gate_turns_a_stray_into_a_miss_and_a_false_positive() -> None:
    stray = by_hand([(10, 100), (10, 121)], [(10, 100)] * 2, BOTH[:2])
    inside, outside = figures(stray, 21.5), figures(stray, 20.5)
    assert (inside["fp"], inside["fn"]) == (0, 0)
    assert inside["motp"] == pytest.approx(21 / 4)
    assert (outside["fp"], outside["fn"], outside["motp"]) == (1, 1, pytest.approx(0, abs=1e-5))
    assert outside["le"] == pytest.approx(21 / 4, abs=0.05)


def test_an_event_keeps_its_output_though_another_comes_nearer() -> None:
    outputs: Slots = [(10, 100), (20, 12)]
    found = figures(by_hand(outputs, [(10, X)] * 2, [(0, -1)] * 2))
    assert (found["ids"], found["motp"]) == (0, pytest.approx(5))


@pytest.mark.parametrize("sources", [1, 2, 3])
@pytest.mark.parametrize("gate_deg", [15.0, 40.0, 180.0])
def test_clear_mot_is_that_of_motmetrics(sources: int, gate_deg: float) -> None:
    tracks = random_tracks(3, 80, sources, seed=sources)
    heard = is_sounding(tracks, OutputChoice())
    angle = angles_deg(tracks.predicted, tracks.reference)
    names = ["num_switches", "num_false_positives", "num_misses", "num_fragmentations", "num_objects", "num_matches"]
    total, distance = dict.fromkeys(names, 0), 0.0
    for r in range(3):
        accumulator = motmetrics.MOTAccumulator(auto_id=True)
        for t in range(80):
            events, outputs = np.flatnonzero(tracks.active[r, t]), np.flatnonzero(heard[r, t])
            between = angle[r, t][np.ix_(outputs, events)].T
            accumulator.update(tracks.ids[r, t, events], outputs, np.where(between <= gate_deg, between, np.nan))
        found = motmetrics.metrics.create().compute(accumulator, metrics=[*names, "motp"], return_dataframe=False)
        for name in names:
            total[name] += int(found[name])
        matches = int(found["num_matches"] + found["num_switches"])
        distance += matches * found["motp"] if matches else 0.0
    ours = clear_counts(tracks, heard[None], np.array([gate_deg]))
    assert int(ours.switches[0]) == total["num_switches"]
    assert int(ours.false_positives[0]) == total["num_false_positives"]
    assert int(ours.misses[0]) == total["num_misses"]
    assert int(ours.fragmentations[0]) == total["num_fragmentations"]
    assert int(ours.references[0]) == total["num_objects"]
    assert int(ours.matches[0]) == total["num_matches"] + total["num_switches"]
    assert float(ours.angle_deg[0]) == pytest.approx(distance, rel=1e-6)
    if sources > 1 and gate_deg > 90:  # there is something to compare
        assert total["num_switches"] > 5
        assert total["num_fragmentations"] > 5


def test_the_authors_figures_follow_the_loops() -> None:
    tracks = random_tracks(2, 60, 3, seed=9)
    heard = is_sounding(tracks, OutputChoice())
    references = predictions = pairs = misses = extra = onsets = 0
    angle_sum = 0.0
    for r in range(2):
        for t in range(60):
            outputs, events = np.flatnonzero(heard[r, t]), np.flatnonzero(tracks.active[r, t])
            m, n = len(outputs), len(events)
            references, predictions, pairs = references + n, predictions + m, pairs + min(m, n)
            extra, misses = extra + max(m - n, 0), misses + max(n - m, 0)
            onsets += sum(bool(heard[r, t, i] and not heard[r, t - 1, i]) for i in range(3)) if t else 0
            unit = [v / np.linalg.norm(v) for v in tracks.predicted[r, t, outputs]]
            cost = np.array(
                [[np.degrees(np.arccos(np.clip(u @ q, -1, 1))) for q in tracks.reference[r, t, events]] for u in unit]
            )
            if m and n:
                angle_sum += cost[linear_sum_assignment(cost)].sum()
    found = figures(tracks)
    recall, precision = pairs / references, pairs / predictions
    assert found["le"] == pytest.approx(angle_sum / pairs, abs=0.02)
    assert (found["lr"], found["lp"]) == pytest.approx((100 * recall, 100 * precision))
    assert found["lf"] == pytest.approx(200 * recall * precision / (recall + precision), abs=1e-4)
    assert found["ids_authors"] == onsets
    assert found["mota_authors"] == pytest.approx(100 * (1 - (extra + misses + onsets) / references))


def test_without_activity_every_output_takes_part() -> None:
    tracks = replace(by_hand([(90, 30)], [(10, X)], [(0, -1)]), activity=None)
    found = figures(tracks)
    assert found["le"] == pytest.approx(20, abs=0.01)
    assert (found["lr"], found["fp"]) == (pytest.approx(100), 1)


def test_recordings_joined_in_another_order_come_to_the_same() -> None:
    tracks = random_tracks(5, 40, 2, seed=4)
    choices = [OutputChoice(0.5), OutputChoice(0.7, 3)]

    def part(rows: slice) -> TrackingOutputs:
        sides = (tracks.predicted, tracks.activity, tracks.reference, tracks.active, tracks.ids)
        return TrackingOutputs(*(side[rows] for side in sides if side is not None))  # type: ignore[arg-type]

    together = count_errors(concatenate_outputs([part(slice(2, 5)), part(slice(0, 2))]), choices)
    for found, expected in zip(
        together.summarise_counts(), count_errors(tracks, choices).summarise_counts(), strict=True
    ):
        assert found == pytest.approx(expected)


def test_many_choices_at_once_are_each_alone() -> None:
    tracks = random_tracks(3, 50, 2, seed=8)
    choices = [OutputChoice(threshold, length) for threshold in (0.3, 0.6) for length in (1, 5)]
    together = count_errors(tracks, choices).summarise_counts()
    assert together == [count_errors(tracks, [choice]).summarise_counts()[0] for choice in choices]
    assert len({figures["mota_20deg"] for figures in together}) == len(choices)


def test_the_names_are_those_of_the_config() -> None:
    found = count_errors(by_hand(STEADY, STEADY, BOTH), [OutputChoice()]).summarise_counts()[0]
    assert set(found) == {metric.name for metric in METRICS}


def test_the_median_closes_a_gap_and_drops_a_blip() -> None:
    level = np.array([0.9, 0.9, 0.1, 0.9, 0.9, 0.1, 0.1, 0.9, 0.1, 0.1])
    activity = np.stack([level, 0 * level], axis=-1)[None]
    tracks = replace(by_hand([(0, 0)] * 10, [(X, X)] * 10, [(-1, -1)] * 10), activity=activity)
    assert (is_sounding(tracks, OutputChoice(0.5, 1))[0, :, 0] == (level > 0.5)).all()
    for length in (2, 3):
        assert is_sounding(tracks, OutputChoice(0.5, length))[0, :, 0].tolist() == [True] * 5 + [False] * 5
    assert not is_sounding(tracks, OutputChoice(0.9, 3)).any()


@pytest.mark.parametrize("sources", [2, 3])
def test_the_cheapest_pairs_are_as_many_as_possible(sources: int) -> None:
    generator = np.random.default_rng(sources)
    angle, allowed = generator.random((50, sources, sources)) * 180, generator.random((50, sources, sources)) < 0.5
    found = cheapest_order(angle, allowed)
    for row in range(50):
        outputs, events = linear_sum_assignment(np.where(allowed[row], angle[row] - 1e4, 0))
        expected = [-1] * sources
        for i, j in zip(outputs, events, strict=True):
            expected[j] = int(i) if allowed[row, i, j] else -1
        assert found[row].tolist() == expected


def test_single_precision_from_the_network_is_counted_alike() -> None:
    tracks = random_tracks(2, 40, 2, seed=3)
    assert tracks.activity is not None
    single = replace(tracks, predicted=tracks.predicted.astype(np.float32), activity=tracks.activity.astype(np.float32))
    assert figures(single) == pytest.approx(figures(tracks), rel=1e-4)


def test_angles_do_not_depend_on_length() -> None:
    azimuths = np.array([0.0, 37.0, 180.0])
    found = angles_deg(vectors(azimuths) * 0.2, vectors(np.array([0.0, 90.0, np.nan])))
    np.testing.assert_allclose(found, [[0, 90, 180], [37, 53, 180], [180, 90, 180]], atol=1e-5)


def test_the_authors_angle_has_a_floor() -> None:
    tracks = by_hand(STEADY, STEADY, BOTH)
    counts = authors_counts(tracks, is_sounding(tracks, OutputChoice())[None])
    assert counts.angle_deg[0] / counts.matches[0] == pytest.approx(math.degrees(math.acos(1 - 2**-23)), rel=0.05)
