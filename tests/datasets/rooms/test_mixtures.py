"""What happens in a sample: shares of source counts, levels, and the gate, against loops over the excerpts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.acoustics.arrays import MIXTURE_SAMPLES
from datasets.rooms import mixtures
from datasets.rooms.music import MusicExcerpts

HEARD, LEAD = 3200, 400
GATE = 0.02
LENGTH = 16_000
PLACES = np.random.default_rng(8).uniform(0, 6, (50, 2))


def music(excerpts: int = 6, length: int = LENGTH) -> MusicExcerpts:
    """Noise that comes and goes every quarter of a second, no two excerpts alike."""
    generator = np.random.default_rng(5)
    loudness = np.repeat(generator.choice([0.0, 0.01, 0.2], (excerpts, -(-length // 4000))), 4000, axis=1)[:, :length]
    waves = (generator.standard_normal((excerpts, length)) * loudness).astype(np.float32)
    return MusicExcerpts(tuple(waves), {"train": np.arange(excerpts)})


def starts_of(played: MusicExcerpts, rows: list[int], gate: float = GATE) -> NDArray[np.int64]:
    return mixtures.audible_starts(played, np.array(rows, np.int64), heard=HEARD, lead=LEAD, gate=gate)


def place(generator: np.random.Generator, samples: int, sources: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Anywhere among fifty numbered places."""
    rows = generator.integers(0, len(PLACES), (samples, sources))
    return PLACES[rows], rows


def draw(samples: int, sources: tuple[int, int], seed: int = 0) -> mixtures.Mixtures:
    starts = starts_of(music(), [0, 1, 3, 4])
    return mixtures.draw_mixtures(np.random.default_rng(seed), samples, sources, place, starts, (-20.0, 0.0))


@pytest.mark.parametrize(("samples", "sources"), [(101, (1, 2)), (100, (1, 3)), (10, (3, 3)), (1, (1, 2))])
def test_every_number_of_sources_gets_an_equal_share(samples: int, sources: tuple[int, int]) -> None:
    shares = np.bincount(draw(samples, sources).counts, minlength=sources[1] + 1)[sources[0] :]
    assert shares.sum() == samples
    assert shares.max() - shares.min() <= 1


def test_the_order_of_counts_is_mixed() -> None:
    counts = draw(1000, (1, 2)).counts
    changes = np.count_nonzero(np.diff(counts))
    assert abs(changes - 500) < 5 * np.sqrt(250)  # a fair coin, within five standard deviations


def test_slots_beyond_the_count_are_silent_and_nowhere() -> None:
    drawn = draw(200, (1, 3))
    present = np.arange(3) < drawn.counts[:, None]
    assert drawn.positions_m.shape == (200, 3, 2)
    assert np.isfinite(drawn.positions_m[present]).all()
    assert np.isnan(drawn.positions_m[~present]).all()
    assert (drawn.gains[present] > 0).all()
    assert (drawn.gains[~present] == 0).all()


def test_sources_stand_where_they_were_placed_and_keep_the_number_of_the_place() -> None:
    drawn = draw(300, (1, 3))
    present = np.arange(3) < drawn.counts[:, None]
    assert np.array_equal(drawn.positions_m[present], PLACES[drawn.places[present]])
    assert len(np.unique(drawn.places[present])) > 40  # of 600 draws among 50


def test_a_sample_has_one_level_drawn_evenly_in_decibels() -> None:
    drawn = draw(4000, (2, 2))
    level_db = 20 * np.log10(drawn.gains[:, 0])
    assert np.array_equal(drawn.gains[:, 0], drawn.gains[:, 1])
    assert -20 <= level_db.min() < -19.9
    assert -0.1 < level_db.max() <= 0
    shares = np.histogram(level_db, bins=10, range=(-20, 0))[0]
    assert np.abs(shares - 400).max() < 5 * np.sqrt(400)


def test_every_audible_start_and_no_other_is_found() -> None:
    played = music()
    rows = [0, 2, 5]
    expected = [
        (row, start)
        for row, start in itertools.product(rows, range(0, LENGTH - HEARD + 1, 160))
        if np.abs(played.waves[row][start + LEAD : start + LEAD + MIXTURE_SAMPLES]).mean() >= GATE
    ]
    assert starts_of(played, rows).tolist() == [list(pair) for pair in expected]
    assert 0 < len(expected) < 3 * 81


def test_the_last_start_leaves_room_for_all_that_is_heard() -> None:
    loud = MusicExcerpts((np.full(HEARD + 320, 0.1, np.float32),), {})
    assert starts_of(loud, [0])[:, 1].tolist() == [0, 160, 320]


@pytest.mark.parametrize("length", [HEARD - 1, 16_000])
def test_silence_and_excerpts_that_are_too_short_have_no_starts(length: int) -> None:
    level = 0.1 if length < HEARD else 0.0
    assert starts_of(MusicExcerpts((np.full(length, level, np.float32),) * 2, {}), [0, 1]).shape == (0, 2)


def test_no_rows_have_no_starts() -> None:
    assert starts_of(music(), []).shape == (0, 2)


def test_what_is_played_passes_the_gate_and_belongs_to_the_split() -> None:
    played, drawn = music(), draw(500, (1, 3))
    present = np.arange(3) < drawn.counts[:, None]
    for row, start in zip(drawn.excerpts[present], drawn.starts[present], strict=True):
        assert np.abs(played.waves[row][start + LEAD : start + LEAD + MIXTURE_SAMPLES]).mean() >= GATE
    assert set(drawn.excerpts[present]) == set(starts_of(played, [0, 1, 3, 4])[:, 0])


def test_the_generator_decides() -> None:
    first, again, other = (draw(50, (1, 2), seed) for seed in (1, 1, 2))
    for field in ("positions_m", "places", "counts", "excerpts", "starts", "gains"):
        assert np.array_equal(getattr(first, field), getattr(again, field), equal_nan=field == "positions_m")
    assert not np.array_equal(first.starts, other.starts)
    assert not np.array_equal(first.gains, other.gains)
