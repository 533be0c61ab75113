"""The linked table of MLflow in a browser: the trials of one search, the best first, with their hyperparameters."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from search.reporting.mlflow.logger import MlflowLogger
from search.reporting.mlflow.runs import name_run, role_of
from search.reporting.mlflow.store import MlflowStore
from search.study.study import Study
from tests.search.catalog.planted import plant_search
from tests.search.reporting.page.test_browser import CHROMIUM
from tests.search.support import SPACE

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")]


def mirror_search(storage: Path) -> None:
    """Log a planted search in MLflow, beside another search whose runs must not be shown."""
    for name in ("toy", "other"):
        folder = plant_search(storage, name)
        study = Study(folder.journal_path, SPACE)
        logger = MlflowLogger(MlflowStore.from_uri(storage, None), "shared")
        parent = logger.open_run(None, f"search {name}", {}, {"role": "search"})
        assert parent is not None
        study.set_parent_run_id(parent)
        for trial in study.get_trials():
            tags = {"trial": str(trial.number), "role": role_of(trial)}
            run_id = logger.open_run(None, name_run(trial, SPACE.search), trial.parameters, tags, parent)
            assert run_id is not None
            study.set_run_id(trial.number, run_id)
            for epoch in trial.epochs:
                logger.log_epoch(run_id, epoch)
        logger.close()
        study.close()


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address that `search.ui` prints for a search, while its server runs."""
    storage = tmp_path_factory.mktemp("runs")
    mirror_search(storage)
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "search.ui", "toy", "--storage", str(storage), "--port", str(port)]
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, start_new_session=True, **options) as server:  # type: ignore[call-overload]
        lines = [server.stdout.readline() for _ in range(2)]
        yield lines[1].strip()
        os.killpg(server.pid, signal.SIGKILL)


def test_the_link_opens_the_trials_of_the_search_by_objective_with_their_hyperparameters(link: str) -> None:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1900, "height": 900}).new_page()
        for _ in range(60):  # the server starts
            try:
                page.goto(link, timeout=5_000)
                break
            except sync_api.Error:
                page.wait_for_timeout(500)
        page.get_by_text("#1 start 0").wait_for(timeout=60_000)
        text = page.inner_text("body")
        browser.close()
    assert "4 matching runs" in text
    names = [line for line in text.splitlines() if re.match(r"#\d+ ", line)]
    assert [name.split()[0] for name in names] == ["#1", "#3", "#0", "#2"]  # 0.6, 0.4, 0.3, 0.1
    assert "optimizer.lr" in text
    assert "f1_0.3m" in text
