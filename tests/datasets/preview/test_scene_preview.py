"""The page of recordings: labels as they lie on the disk, sound as two cardioids hear it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from datasets.building.manifest import Manifest
from datasets.preview import scene_material
from datasets.scenes import synthesis
from datasets.scenes.events import gather_events
from datasets.scenes.plan import ScenePlan, shard_entry
from datasets.scenes.schedule import SoundEvent, Trajectory, label_rows
from datasets.scenes.spec import SceneSpec
from datasets.tau2020 import layout
from runtime.storage import storage_at
from tests.datasets.paged import Page, played, preview

SECOND = layout.SAMPLE_RATE_HZ
EVENTS = (
    SoundEvent(0, 0, 0, 1 * SECOND, 6 * SECOND, 0, Trajectory(170.0, 10.0, 2.0, 20.0)),
    SoundEvent(3, 0, 0, 5 * SECOND, 4 * SECOND, 1, Trajectory(-40.0, -20.0, 2.0)),
    SoundEvent(3, 0, 0, 20 * SECOND, 3 * SECOND, 0, Trajectory(0.0, 0.0, 2.0, -7.5)),
)
SPEC = SceneSpec(folds={1: 1, 3: 1})


def heard(number: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(number).standard_normal((layout.CHANNELS, 16 * SECOND)) * 0.1
    return np.pad(noise, ((0, 0), (0, layout.SAMPLES - 16 * SECOND))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="module")
def built(folder: Path) -> Page:
    """Recordings that were written by hand where the built ones would lie."""
    source, store = ScenePlan.from_spec(SPEC, "tests"), storage_at(str(folder / "datasets"))
    for number, name in source.list_recordings():
        foa, root = heard(number), store.local_path(source.folder_name)
        layout.write_recording(root, name, foa=foa, mic=foa, rows=label_rows(EVENTS))
    entries = tuple(shard_entry(store, source.folder_name, name) for _, name in source.list_recordings())
    manifest = Manifest(source.folder_name, SPEC.model_dump(mode="json"), None, {"numpy": "2"}, entries)
    store.write_file(f"{source.folder_name}/manifest.json", json.dumps(asdict(manifest)).encode())
    spec = folder / "rooms.yaml"
    spec.write_text(yaml.safe_dump(SPEC.model_dump(mode="json")), encoding="utf-8")
    return preview(spec, folder)


def test_built_recordings_are_played_as_two_cardioids_hear_them(built: Page) -> None:
    sounds = built.sounds()
    assert len(sounds) == 2
    for number, (found, rate) in enumerate(sounds):
        foa = heard(number)[:, : 15 * SECOND]
        assert rate == SECOND
        np.testing.assert_allclose(found.T, played(np.stack([foa[0] + foa[1], foa[0] - foa[1]])), atol=2)


def test_the_statistics_are_those_of_the_labels(built: Page) -> None:
    assert "Events 6, 3.0 per recording" in built.text
    # 13 s of events, 2 s of them two at once, in 60 s.
    assert "0: 81.7% of the time, 1: 15.0% of the time, 2: 3.3% of the time" in built.text
    assert re.search(r"4 of the 6 events of 1 s or longer; [78] to 20 °/s", built.text)
    assert "miniature" not in built.text
    assert built.open == []


def test_of_a_bucket_what_is_shown_is_copied(built: Page, folder: Path) -> None:
    page = preview(folder / "rooms.yaml", folder, "--datasets", (folder / "datasets").as_uri(), "--samples", "1")
    assert "Statistics of 1 recording " in page.text
    (found, _), (expected, _) = page.sounds()[0], built.sounds()[0]
    np.testing.assert_array_equal(found, expected)


def test_a_page_of_recordings_stays_small_and_whole(built: Page) -> None:
    assert len(built.written) < 15e6
    ids = [attributes["id"] for _, attributes in built.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [section["id"] for section in built.all("section")] == ["statistics", "recordings"]


def test_events_and_their_speeds_are_read_from_labels() -> None:
    found = scene_material.find_runs(label_rows(EVENTS))
    assert sorted((run[0, 1], run[0, 0], len(run)) for run in found) == [(0, 10, 60), (3, 50, 40), (3, 200, 30)]
    speeds = scene_material.azimuth_speeds_deg_s(found)
    assert sorted(speeds.tolist()) == pytest.approx([0, 7.5, 20], abs=0.4)  # across +-180 degrees, too


def test_the_time_without_events_counts() -> None:
    shares = scene_material.count_simultaneous((label_rows(EVENTS), np.empty((0, 5), np.int64)))
    assert shares == pytest.approx({0: (490 + 600) / 1200, 1: 90 / 1200, 2: 20 / 1200})


@pytest.mark.slow
def test_recordings_that_are_not_built_are_the_ones_that_would_be(tmp_path: Path) -> None:
    spec = tmp_path / "rooms.yaml"
    spec.write_text(yaml.safe_dump(SPEC.model_dump(mode="json")), encoding="utf-8")
    page = preview(spec, tmp_path / "runs", "--samples", "1")
    _, foa, _, _ = synthesis.make_recording(SPEC, gather_events(SPEC, None, lambda *_: None), 0)
    (found, _), *others = page.sounds()
    first = foa[:, : 15 * SECOND]
    np.testing.assert_allclose(found.T, played(np.stack([first[0] + first[1], first[0] - first[1]])), atol=2)
    assert not others
    assert "not been built" in page.text
    assert [path.name for path in (tmp_path / "runs").rglob("*")] == ["previews", "rooms.html"]
