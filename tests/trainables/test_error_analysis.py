"""Errors by source: shapes that belong together, examples, and separations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from tests.search.reporting.page.contents import make_analysis, make_trajectories
from trainables.error_analysis import choose_examples, separations


def test_the_best_the_median_and_the_worst_scene_are_chosen_once_each() -> None:
    assert choose_examples(np.array([0.1, 0.9, 0.5, 0.7, 0.3])) == {"best": 1, "median": 2, "worst": 0}
    assert choose_examples(np.array([0.5, 0.5])) == {"best": 0, "worst": 1}
    assert choose_examples(np.array([0.5])) == {"best": 0}
    assert choose_examples(np.zeros(0)) == {}


def test_a_source_is_separated_from_the_nearest_other_one_of_its_scene() -> None:
    scenes = [np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]), np.zeros((0, 2)), np.array([[9.0, 9.0]])]
    result = separations(scenes, lambda positions: cdist(positions, positions))
    assert result[:3] == pytest.approx([1.0, np.hypot(3, 3), 1.0])
    assert np.isnan(result[3])
    assert len(separations([], lambda positions: cdist(positions, positions))) == 0


def test_arrays_that_belong_together_are_accepted() -> None:
    make_analysis().check_shapes()
    make_trajectories().check_shapes()


def test_an_array_of_another_length_is_named() -> None:
    analysis = make_analysis()
    wrong = replace(analysis, sources=replace(analysis.sources, errors=analysis.sources.errors[:, 1:]))
    with pytest.raises(ValueError, match=r"sources.errors has the shape \(2, 399\) instead of \(2, 400\)"):
        wrong.check_shapes()
    without = replace(analysis, estimates=replace(analysis.estimates, factors={}))
    with pytest.raises(ValueError, match="must have the factor 'sources at the same time'"):
        without.check_shapes()
