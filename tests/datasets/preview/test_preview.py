"""The page of a dataset for the localizer: what it shows and plays is what lies on the disk, or a likeness of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from datasets.acoustics import measures, rirs, shoebox
from datasets.building.arrow import read_columns
from datasets.preview import miniature
from datasets.preview.__main__ import main
from datasets.rooms import reverberation
from datasets.rooms.dataset import Dataset, build_dataset
from datasets.rooms.spec import RoomSpec
from tests.datasets.acoustics.test_rirs import MICROPHONES, free_field
from tests.datasets.paged import Page, played, preview
from tests.datasets.recorded import record, spec_of
from tests.datasets.small import plan_samples

SPLITS = ("train", "validate", "S0", "S1", "S2")
SMALL: dict[str, Any] = {"train": 6, "validate": 4, "tests": {"S0": 4}, "excerpts": 8, "excerpt_s": 1}


def written(folder: Path, name: str = "data.yaml", **values: Any) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def built(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("preview")
    spec = written(folder, **tiny.spec.model_dump(mode="json", by_alias=True, exclude_none=True))
    return preview(spec, folder, "--datasets", tiny.store.uri, "--samples", "2")


def test_every_split_has_a_section_that_the_contents_lead_to(built: Page) -> None:
    anchors = [str(link["href"]) for link in built.all("a")]
    assert anchors == [f"#split-{name}" for name in SPLITS]
    sections = [section["id"] for section in built.all("section")]
    assert [f"#{anchor}" for anchor in sections] == anchors


def test_the_page_is_whole_and_no_id_is_in_it_twice(built: Page) -> None:
    ids = [attributes["id"] for _, attributes in built.tags if "id" in attributes]
    assert built.open == []
    assert len(ids) == len(set(ids)) > len(SPLITS)


def test_the_page_asks_the_network_for_nothing(built: Page) -> None:
    assert built.all("script") == built.all("link") == built.all("iframe") == []
    named = [
        str(value) for _, attributes in built.tags for key, value in attributes.items() if key in ("src", "xlink:href")
    ]
    assert named
    assert all(value.startswith(("data:", "#")) for value in named)
    assert not re.search(r"url\((?!#)", built.written)
    assert "@import" not in built.written


def test_every_drawing_says_what_it_shows(built: Page) -> None:
    drawings = [drawing for drawing in built.all("svg") if drawing.get("role") == "img"]
    assert len(drawings) == len(SPLITS) * (3 + 2 * 3)
    assert len({drawing["aria-label"] for drawing in drawings}) == len(drawings)


def test_what_is_played_is_the_sample_nine_times(built: Page, tiny: Dataset) -> None:
    players = built.sounds()
    assert len(players) == 2 * len(SPLITS)
    expected = [
        tiny.open_split(name).read_batch(np.array([row])).waves[0, :, 0].numpy()
        for name in SPLITS
        for row in (0, len(tiny.open_split(name)) - 1)
    ]
    for (heard, rate), wave in zip(players, expected, strict=True):
        assert (rate, heard.shape) == (16_000, (9 * 2_560, 2))
        one = heard.reshape(9, 2_560, 2)
        assert (one == one[0]).all()
        np.testing.assert_allclose(one[0, 160:-160], played(wave).T[160:-160], atol=1)
        assert np.abs(one[0, [0, -1]]).max() <= 1


def test_the_table_says_what_the_samples_are(built: Page, tiny: Dataset) -> None:
    split = tiny.open_split("train")
    waves = split.read_batch(np.arange(len(split))).waves.double().numpy()
    levels = 10 * np.log10(np.square(waves).reshape(len(split), -1).mean(axis=1))
    assert f"median {np.median(levels):.1f} dB".replace("-", "−") in built.text
    both = split.positions_m[split.counts == 2].double()
    assert f"at least {float((both[:, 0] - both[:, 1]).norm(dim=-1).min()):.2f} m" in built.text
    assert "1: 50.0% (48), 2: 50.0% (48)" in built.text
    assert f"in {tiny.manifests['train'].part}" in built.text
    assert tiny.fingerprint in built.text
    assert "miniature" not in built.text


def test_what_is_not_built_is_shown_in_miniature_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    spec = written(tmp_path, **SMALL | {"train": 1_000_000})
    page = preview(spec, tmp_path / "runs", "--samples", "1")
    assert "not been built" in page.text
    assert "1,000,000 requested; the statistics below refer to 120 samples of the miniature" in page.text
    assert len(page.sounds()) == 3
    assert [path.name for path in (tmp_path / "runs").rglob("*")] == ["previews", "data.html"]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_names_from_files_are_text_and_not_tags(tmp_path: Path) -> None:
    genre = "<img src=x onerror=alert(1)>&"
    (tmp_path / "music" / genre).mkdir(parents=True)
    noise = np.random.default_rng(0).standard_normal((16_000 * 12, 1)) * 0.1
    soundfile.write(tmp_path / "music" / genre / '"quoted"<b>.wav', noise, 16_000)
    spec = written(tmp_path, "<b>nasty.yaml", **SMALL)
    page = preview(spec, tmp_path, "--audio", str(tmp_path / "music"), "--samples", "1")
    assert page.all("img") == page.all("b") == []
    assert f": {genre} 6 (the miniature" in page.text
    assert page.text.startswith("<b>nasty")


def test_a_reverberant_room_shows_measured_and_requested_rt60(tmp_path: Path) -> None:
    acoustics = {"rt60_s": 0.1, "rooms": 2, "positions": 30, "margin_m": [0.3, 0.6]}
    spec = written(tmp_path, **SMALL, size_m=[3, 3], min_distance_m=1, acoustics=acoustics, arrays=ARRAYS)
    page = preview(spec, tmp_path, "--samples", "1")
    assert [section["id"] for section in page.all("section")][-1] == "rooms"
    assert page.text.count("RT60 requested 0.10 s") == 3
    measured = [float(value) for value in re.findall(r"RT60 measured ([\d.]+) s", page.text)]
    eyring = [eyring_s(tmp_path / "data.yaml", role) for role in ("train", "validate", "tests")]
    assert [0.5 < found / expected < 2 for found, expected in zip(measured, eyring, strict=True)] == [True] * 3
    assert "walls of 2 of the rooms" in page.text


def test_a_built_room_shows_the_responses_that_lie_on_the_disk(tmp_path: Path) -> None:
    acoustics = {"rt60_s": 0.1, "rooms": 3, "positions": 8, "margin_m": [0.3, 0.6]}
    values: dict[str, Any] = SMALL | {"size_m": [3, 3], "min_distance_m": 1, "acoustics": acoustics, "arrays": ARRAYS}
    plan = plan_samples(RoomSpec.model_validate(values), "tests")
    data = build_dataset(plan, tmp_path / "datasets")
    page = preview(written(tmp_path, **values), tmp_path, "--samples", "1")
    assert "not been built" not in page.text
    assert page.text.count("RT60 requested 0.10 s") == 2 * 3
    part = next(part for part in plan.list_parts() if part.kind == "responses")
    for number in range(2):  # a shard a room, since it has fewer than 25 places
        responses, places = read_columns(data.store.local_path(part.list_shards()[number].name), ("responses", "place"))
        found = measures.energy_decay(responses[0, 0, 0]).rt60_s
        told = f"train: room {number + 1}, source at ({places[0][0]:.2f}, {places[0][1]:.2f}) m"
        assert re.search(rf"{re.escape(told)}.*?RT60 measured ([\d.]+)", page.text)[1] == f"{found:.2f}"  # type: ignore[index]


def test_of_a_bucket_the_first_shards_are_shown(tiny: Dataset, tmp_path: Path) -> None:
    spec = written(tmp_path, **tiny.spec.model_dump(mode="json", by_alias=True, exclude_none=True))
    page = preview(spec, tmp_path, "--datasets", Path(tiny.store.uri).absolute().as_uri(), "--samples", "1")
    assert "first shard of each split" in page.text
    assert "not read: the music is stored in the bucket" in page.text
    wave = tiny.open_split("train").read_batch(np.array([0])).waves[0, :, 0].numpy()
    np.testing.assert_allclose(page.sounds()[0][0][160:2_400], played(wave).T[160:2_400], atol=1)


ARRAYS = [
    {"centre_m": [0.2, 0.2], "direction_deg": -45, "offsets_m": [0.1, -0.1]},
    {"centre_m": [2.8, 0.2], "direction_deg": 45, "offsets_m": [0.1, -0.1]},
]


def eyring_s(path: Path, role: str) -> float:
    """Reverberation time of the first room after Eyring (1930), which holds in dry rooms, too."""
    spec = RoomSpec.model_validate(yaml.safe_load(path.read_text()))
    assert spec.acoustics is not None
    room = reverberation.draw_room(spec, spec.acoustics, role, 0)
    x, y, z = room.size_m
    return float(-0.1611 * x * y * z / (2 * (x * y + y * z + z * x) * np.log(1 - room.absorption)))


def test_recordings_are_shown_with_their_clips(tmp_path: Path) -> None:
    spec = spec_of(record(tmp_path))
    path = written(tmp_path, **spec.model_dump(mode="json", by_alias=True, exclude_none=True))
    page = preview(path, tmp_path / "runs", "--samples", "1")
    assert "4: classical 2, funk 2" in page.text
    assert len(page.sounds()) == len(spec.resolve_splits())


def test_measured_rooms_are_shown_with_their_decay(tmp_path: Path) -> None:
    places = np.stack(np.meshgrid(np.arange(0.75, 6), np.arange(0.75, 6)), axis=-1).reshape(-1, 2)
    tail = np.exp(-np.arange(3_200) * 3 * np.log(10) / (0.2 * 16_000)) * 0.05
    responses = np.random.default_rng(1).standard_normal((len(places), 2, 4, 3_200)) * tail
    responses[..., :480] += free_field(places, MICROPHONES, 16_000)
    bank = rirs.RirBank(responses.astype(np.float32), places, MICROPHONES, 16_000, "a hall")
    rirs.write_rir_bank(tmp_path / "hall.npz", bank)
    spec = written(tmp_path, **SMALL, kind="measured", bank=str(tmp_path / "hall.npz"))
    page = preview(spec, tmp_path, "--samples", "1")
    measured = [float(value) for value in re.findall(r"RT60 requested none RT60 measured ([\d.]+) s", page.text)]
    assert len(measured) == 3
    assert measured == pytest.approx([0.2] * 3, rel=0.15)


@pytest.mark.parametrize("order", range(6))
def test_images_are_counted_like_the_points_of_an_octahedron(order: int) -> None:
    axis = np.arange(-order, order + 1)
    reflections = np.abs(axis)[:, None, None] + np.abs(axis)[:, None] + np.abs(axis)
    assert shoebox.count_images(order) == (reflections <= order).sum()


@pytest.mark.parametrize("rt60_s", [0.2, 0.6, 1.5])
def test_a_miniature_of_rooms_is_made_of_the_rooms_own_places_and_can_be_afforded(rt60_s: float) -> None:
    spec = RoomSpec.model_validate({"train": 5_000, "acoustics": {"rt60_s": rt60_s}})
    small, notes = miniature.make_miniature(plan_samples(spec, "tests"))
    assert len(notes) == 3
    followed = 0
    for part in small.list_parts():
        if part.kind != "responses" or part.acoustics is None or not isinstance(small.spec, RoomSpec):
            continue
        role = str(part.identity["role"])
        whole = spec.resolve_splits()[{"tests": "S1"}.get(role, role)].acoustics
        assert whole is not None
        places = reverberation.draw_source_positions(small.spec, part.acoustics, role, 0)
        np.testing.assert_array_equal(places, reverberation.draw_source_positions(spec, whole, role, 0)[: len(places)])
        order = reverberation.draw_room(small.spec, part.acoustics, role, 0).max_order
        followed += len(places) * part.acoustics.rooms * 8 * shoebox.count_images(order)
        apart = np.linalg.norm(places[:, None, :2] - places[None, :, :2], axis=-1) >= 2
        three = apart[:, :, None] & apart[:, None] & apart[None]
        assert three.any() or role != "tests"
    assert followed <= 16_000_000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--samples", "0"], "must be from 1 to 30"),
        (["--samples", "many"], "whole number"),
        (["--sampels", "3"], "--samples"),
        (["--set", "train"], "name=value"),
        (["--set", "sources=9"], "sources"),
        (["--out", "{folder}"], "a folder"),
        (["--out", "{folder}/data.yaml/page.html"], "written"),
        (["--profile", "night"], "profile"),
        (["--audio", "{folder}/none"], "music folder"),
    ],
)
def test_a_wrong_command_is_answered_before_anything_is_made(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = written(tmp_path, **SMALL)
    filled = [word.format(folder=tmp_path) for word in words]
    assert main([str(spec), "--storage", str(tmp_path / "runs"), *filled]) == 2
    answered = capsys.readouterr()
    assert answered.err.startswith("error: ")
    assert told in answered.err
    assert "Traceback" not in answered.err
    assert not list(tmp_path.rglob("*.html"))


def test_a_missing_file_is_answered_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.yaml")]) == 2
    assert "must exist" in capsys.readouterr().err


def test_a_mixed_dataset_has_the_sections_of_each_of_its_datasets(tmp_path: Path) -> None:
    room = {"kind": "room", **SMALL}
    noisy = room | {"snr_db": 10}
    spec = written(tmp_path, kind="mixed", train=[room, noisy], validate=noisy, tests=noisy)
    page = preview(spec, tmp_path / "runs", "--samples", "1")
    anchors = [section["id"] for section in page.all("section")]
    assert anchors == ["train-0-split-train", "train-1-split-train", "validate-split-validate", "tests-0-split-S0"]
    for title in ("train.0: train", "train.1: train", "validate: validate", "tests.0: S0"):
        assert title in page.text
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert len(page.sounds()) == 4
