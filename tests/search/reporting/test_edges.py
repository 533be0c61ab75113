"""Values at the edge of what is searched."""

from __future__ import annotations

import pytest

from search.reporting.edges import Edge, find_edges
from spaces.schema import Dimension, Value
from tests.search.support import space
from trainables.contract import InnerParameter
from trainables.localizer.config import LocalizerConfig

INNER = (InnerParameter("threshold", 0, 1, "score"), InnerParameter("nms_radius_m", 0, 10, "m"))
LOG = Dimension("optimizer.lr", "log_uniform", 1e-4, 1e-2)
LINEAR = Dimension("loss.huber_delta", "uniform", 0.05, 0.5)


def edges(dimension: Dimension, value: Value) -> list[Edge]:
    """Return the edges of a trial with one dimension."""
    searched = space(search=(dimension,), inner={})
    return find_edges(searched, {dimension.name: value}, {}, LocalizerConfig, INNER)


@pytest.mark.parametrize(
    ("dimension", "value", "side"),
    [
        (LOG, 1.09e-4, "lower"),  # 1.9 % of two decades
        (LOG, 1.11e-4, None),  # 2.3 %
        (LOG, 9.2e-3, "upper"),
        (LOG, 9.0e-3, None),
        (LINEAR, 0.058, "lower"),
        (LINEAR, 0.06, None),
        (LINEAR, 0.5, "upper"),
        (Dimension("grid.cells", "choice", choices=(8, 4, 6)), 4, "lower"),
        (Dimension("grid.cells", "choice", choices=(8, 4, 6)), 6, None),
        (Dimension("grid.cells", "choice", choices=(4, 8)), 8, None),  # one of two is always at an end
        (Dimension("loss.regression", "choice", choices=("mse", "smooth_l1")), "mse", None),
        (Dimension("network.encoder_norm", "choice", choices=(True, False)), True, None),
        (LOG, 1e-5, None),  # outside, such as a baseline
    ],
)
def test_an_edge_is_within_two_percent_of_the_width(dimension: Dimension, value: Value, side: str | None) -> None:
    found = edges(dimension, value)
    assert [edge.side for edge in found] == ([] if side is None else [side])


def test_the_last_value_that_the_config_takes_is_no_edge() -> None:
    assert edges(Dimension("network.leak", "uniform", 0.0, 0.2), 0.0) == []
    assert [edge.side for edge in edges(Dimension("network.leak", "uniform", 0.0, 0.2), 0.2)] == ["upper"]


def test_the_grid_of_inference_parameters_has_edges_with_a_remedy() -> None:
    searched = space(search=(), inner={"threshold": (0.0, 0.5, 0.9), "nms_radius_m": (0.5, 1.0, 1.5)})
    found = find_edges(searched, {}, {"threshold": 0.0, "nms_radius_m": 1.5}, LocalizerConfig, INNER)
    assert [edge.key for edge in found] == ["inner.nms_radius_m"]  # a threshold of 0 is the lowest possible one
    assert found[0].describe() == ("nms_radius_m 1.5 is at the upper end: widen inner.nms_radius_m above 1.5")
