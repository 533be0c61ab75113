"""Drawings hold what they are given as text, whatever it is."""

from __future__ import annotations

import re

import numpy as np
import pytest

from datasets.preview import figures
from runtime import html_page
from runtime.html_page import Section
from tests.datasets.paged import Page


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "$\\frac{1}{$", "音楽 🎺", "a & b", "_hidden"])
def test_any_name_of_a_folder_is_drawn_as_it_is(name: str) -> None:
    drawn = Page(figures.plot_bars({name: 1.0, "other": 2.0}, "", "time, s", f"Time of {name}"))
    assert name in [words.strip() for words in drawn.words]
    assert not drawn.all("script")
    assert not drawn.open


def test_a_drawing_takes_the_colour_of_the_page() -> None:
    drawn = figures.plot_histogram(np.arange(50.0), "level, dB", "samples", "Levels")
    colours = set(re.findall(r"(?:fill|stroke): ?(#\w+|currentColor)", drawn))
    assert "currentColor" in colours
    assert colours <= {"currentColor", *html_page.COLOURS}


def test_an_azimuth_that_passes_180_degrees_is_two_lines() -> None:
    angles = np.array([170, 175, 180, -175, -170, 179])
    parts = figures.split_at_jumps(angles)
    assert [angles[part].tolist() for part in parts] == [[170, 175, 180], [-175, -170], [179]]


def test_a_page_can_be_written_whatever_its_names_are() -> None:
    written = html_page.make_document(
        "a\udcff", "b", (), html_page.escape_text("<c>"), [Section("d", "e<", html_page.make_paragraph("f&"))]
    )
    assert written.encode()
    assert "&lt;c&gt;" in written
    assert "e&lt;" in written
