"""`python -m benchmarks.report`: size of a report of 500 trials, time to make and to open it, and the share of a live page.

The trials are drawn at random in the space `rg_rep`; the errors are those of 2,000 drawn scenes on three test splits. Half of the
trials wait at the first rung. Opening is measured in Chromium, if it and playwright are installed: until the page is loaded and
the charts in view are drawn. A live page of a search is renewed no sooner than a hundred times its own duration after the last
one; the share of the time of a search is therefore at most 1 %, whatever the measured duration is.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.measure import write_results
from benchmarks.sampler_cost import draw_trials, search_space
from search.execution.error_files import ModelErrors
from search.reporting.page.content import PageContent
from search.reporting.page.document import make_page
from search.study.importance import parameter_importances
from trainables.error_analysis import ErrorAnalysis
from trainables.localizer.array_layout import ArrayLayout
from trainables.localizer.error_analysis import LocatedScene, analyse_scenes

_SPLITS: Final = ("S0", "S1", "S2")
_SCENES: Final = 2_000
_SIZE_M: Final = (6.0, 6.0)


def draw_analysis(seed: int) -> ErrorAnalysis:
    """Return the errors of a model that locates sources to within 0.2 m, misses every tenth and imagines as many."""
    generator = np.random.default_rng(seed)
    scenes = []
    for _ in range(_SCENES):
        truth = generator.uniform(0, _SIZE_M[0], size=(generator.integers(1, 4), 2))
        found = truth[generator.uniform(size=len(truth)) > 0.1]
        false = generator.uniform(0, _SIZE_M[0], size=(generator.binomial(3, 0.05), 2))
        scenes.append(LocatedScene(truth, np.concatenate([found + generator.normal(0, 0.2, size=found.shape), false])))
    layout = ArrayLayout(_SIZE_M, generator.uniform(0, 1, size=(2, 4, 2)))
    sound = generator.normal(0, 0.1, size=2560).astype(np.float32)
    return analyse_scenes(layout, scenes, (0.3, 1.0), lambda _: sound)


def draw_content(count: int) -> PageContent:
    """Return a search of drawn trials and errors, without importances."""
    space = search_space("tpe")
    trials = draw_trials(space, count)
    return PageContent(
        name="drawn",
        trainable="localizer",
        search=space.search,
        objectives=space.objectives,
        stopping=space.stopping,
        epochs=space.budget.epochs,
        trials=trials,
        errors=ModelErrors({split: draw_analysis(number) for number, split in enumerate(_SPLITS)}),
    )


def measure(action: Callable[[], object], repetitions: int) -> dict[str, float]:
    """Return the median and the range of the duration of an action, in seconds."""
    durations = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        action()
        durations.append(time.perf_counter() - begin)
    return {"median_s": statistics.median(durations), "least_s": min(durations), "most_s": max(durations)}


def measure_opening(page: str, repetitions: int) -> dict[str, float] | None:
    """Return the duration of opening a page in Chromium; None where it is not installed."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if chromium is None:
        return None
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "report.html"
        path.write_text(page, encoding="utf-8")
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )

        def open_page() -> None:
            opened = browser.new_page(viewport={"width": 1280, "height": 900})
            opened.goto(path.as_uri(), wait_until="load")
            opened.wait_for_selector(".chart[data-drawn]", state="attached")
            opened.close()

        result = measure(open_page, repetitions)
        browser.close()
    return result


def main() -> None:
    """Measure, print and write `benchmarks/results/report.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Cost of a report.")
    parser.add_argument("--trials", type=int, default=500, help="number of trials (default: 500)")
    parser.add_argument("--repetitions", type=int, default=5, help="repetitions of each measurement (default: 5)")
    options = parser.parse_args()
    content = draw_content(options.trials)

    def complete() -> PageContent:
        importances = parameter_importances(content.trials, content.search, content.objectives)
        return replace(content, importances=importances)

    page = make_page(complete())
    results: dict[str, Any] = {
        "trials": options.trials,
        "megabytes": len(page.encode()) / 1e6,
        "importances": measure(complete, options.repetitions),
        "page": measure(lambda: make_page(complete()), options.repetitions),
        "opening": measure_opening(page, options.repetitions),
    }
    for name, value in results.items():
        print(f"{name:<12} {value}")
    write_results("report", results)


if __name__ == "__main__":
    main()
