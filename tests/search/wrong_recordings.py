"""Invalid folders of recordings: the wrong inputs that concern DOAnet and its data."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from datasets.tau2020.layout import SAMPLE_RATE_HZ, RecordingName, write_recording
from tests.search.wrong_inputs import ROOT, Case, sub

TRACKING = (ROOT / "spaces" / "tracking_losses.yaml").read_text()
STEMS = ("fold1_room1_mix001_ov1", "fold2_room1_mix001_ov1", "fold3_room1_mix001_ov1", "fold4_room2_mix001_ov2")
ROWS = np.array([[0, 1, 0, 30, 10], [3, 1, 0, -170, -5], [3, 2, 1, 90, 0]])
DAMAGED = "fold4_room2_mix001_ov2"


def recordings(damage: Callable[[Path], object] | None = None) -> Callable[[Path], None]:
    """Return a function that writes valid recordings in both formats and then damages them."""

    def prepare(folder: Path) -> None:
        sound = np.random.default_rng(0).uniform(-0.1, 0.1, (4, 480)).astype(np.float32)
        for stem in STEMS:
            name = RecordingName.from_stem(stem)
            write_recording(folder / "tau", name, foa=sound, mic=sound, rows=ROWS[: name.overlap + 1])
        if damage is not None:
            damage(folder / "tau")

    return prepare


def line(text: str) -> Callable[[Path], None]:
    """Return a function that adds a fourth line to the labels of a recording."""

    def damage(root: Path) -> None:
        with (root / "metadata_dev" / f"{DAMAGED}.csv").open("a") as file:
            file.write(f"{text}\n")

    return damage


def sound(channels: int = 4, rate_hz: int = SAMPLE_RATE_HZ) -> Callable[[Path], None]:
    """Return a function that replaces a valid sound file."""
    return lambda root: soundfile.write(root / "mic_dev" / f"{DAMAGED}.wav", np.ones((480, channels)) / 2, rate_hz)


def cut(root: Path) -> None:
    path = root / "foa_dev" / f"{DAMAGED}.wav"
    path.write_bytes(path.read_bytes()[:-100])


def no_fold_2(root: Path) -> None:
    for path in root.glob("*/fold2_*"):
        path.unlink()


def doanet(
    name: str,
    says: tuple[str, ...],
    damage: Callable[[Path], object] | None = None,
    *options: str,
    space: Callable[[str], str] = lambda text: text,
) -> Case:
    """Return a case of DOAnet on a folder of recordings."""
    here = ("--profile", "full", "--set", "resources={cpu: 1}", "--set", "dataset.folder={tmp}/tau")
    return Case(name, says, lambda _: space(TRACKING), (*here, *options), recordings(damage))


def searching(entry: str) -> Callable[[str], str]:
    """Return a function that adds a dimension and removes the fixed format."""
    return lambda text: sub("search:\n", f"search:\n  {entry}\n")(sub("format: foa, ", "")(text))


LABELS = f"{DAMAGED}.csv"
SOUND = f"{DAMAGED}.wav"
THREE = line("3,3,2,0,0")

RECORDING_CASES = [
    doanet("no folder of recordings", ("dataset.folder", "datasets.fetch"), shutil.rmtree),
    doanet(
        "a folder of something else",
        ("foa_dev or mic_dev",),
        lambda r: [(r / f).rename(r / f[:3]) for f in ("foa_dev", "mic_dev")],
    ),
    doanet("no labels at all", ("metadata_dev", "must exist"), lambda r: shutil.rmtree(r / "metadata_dev")),
    doanet(
        "an empty folder of labels",
        ("metadata_dev", "csv"),
        lambda r: [f.rename(f.with_suffix(".txt")) for f in r.glob("*/*.csv")],
    ),
    doanet(
        "a recording without labels",
        (SOUND, f"no {{tmp}}/tau/metadata_dev/{LABELS}"),
        lambda r: (r / "metadata_dev" / LABELS).unlink(),
    ),
    doanet(
        "labels without recording",
        (LABELS, f"no {{tmp}}/tau/mic_dev/{SOUND}"),
        lambda r: (r / "mic_dev" / SOUND).unlink(),
    ),
    doanet(
        "a recording of another name",
        ("foa_dev/notes.wav", "fold1_room1_mix001_ov1"),
        lambda r: (r / "foa_dev/notes.wav").touch(),
    ),
    doanet(
        "recordings of another rate", (f"mic_dev/{SOUND}", "24000 samples per second", "48000"), sound(rate_hz=48_000)
    ),
    doanet("recordings of another number of channels", (f"mic_dev/{SOUND}", "4 channels", "2"), sound(channels=2)),
    doanet(
        "a recording that is cut off", (f"foa_dev/{SOUND}", "as long as its header says", "3784 of 3884 bytes"), cut
    ),
    doanet("a split without recordings", ("foa_dev", "validate needs recordings called fold2_…"), no_fold_2),
    doanet(
        "labels that lack a column",
        (f"{LABELS}, row 4", "frame, class, track, azimuth, elevation", "'4,1,0,30'"),
        line("4,1,0,30"),
    ),
    doanet("a word among the labels", (f"{LABELS}, row 4, column azimuth", "numbers", "'left'"), line("4,1,0,left,0")),
    doanet("an impossible angle", (f"{LABELS}, row 4, column elevation", "-90 … 90", "91"), line("4,1,0,30,91")),
    doanet("a frame after the end", (LABELS, "frames of 100 ms", "frame 900"), line("900,1,0,30,0")),
    doanet("a frame before the start", (f"{LABELS}, row 4, column frame", "0 … 35999", "-1"), line("-1,1,0,30,0")),
    doanet(
        "more events than the network holds",
        (f"{LABELS}, frame 3", "at most 2 events", "max_sources is 2", "3", "raise max_sources"),
        THREE,
    ),
    doanet(
        "more events than some trial's network holds",
        (f"{LABELS}, frame 3", "max_sources is 2", "3", "raise max_sources"),
        THREE,
        space=searching("max_sources: {choice: [2, 3]}"),
    ),
    doanet(
        "a format that is not there",
        ("mic_dev", "format: mic", "format: foa"),
        lambda r: shutil.rmtree(r / "mic_dev"),
        space=searching("format: {choice: [foa, mic]}"),
    ),
    doanet(
        "simulated scenes with more events than the network holds",
        ("dataset.max_overlap", "at most 2 events", "3"),
        None,
        "--set",
        "dataset={kind: scenes, max_overlap: 3}",
    ),
    doanet(
        "simulated scenes without validation",
        ("dataset.folds", "validate needs recordings in fold 2"),
        None,
        "--set",
        "dataset={kind: scenes, folds: {1: 4, 3: 4}}",
    ),
    doanet(
        "rooms in two dimensions for DOAnet",
        ("dataset.kind", "scenes or tau2020", "'room'"),
        None,
        "--set",
        "dataset={kind: room}",
    ),
    Case(
        "spatial scenes for the 2D localizer",
        ("dataset.kind", "room or measured", "'scenes'"),
        None,
        ("--set", "dataset={kind: scenes}"),
    ),
]

GOOD_RECORDINGS = [
    doanet("recordings of a data set", ("train 2, validate 1, test 1",)),
    doanet("a recording without events", ("train 2,",), lambda r: (r / "metadata_dev" / LABELS).write_text("")),
    doanet("events that a larger network holds", ("train 2,",), THREE, "--set", "fixed.max_sources=3"),
    doanet(
        "events that all trials' networks hold",
        ("train 2,",),
        THREE,
        space=lambda text: sub("baseline: paper", "baseline: {max_sources: 4}")(
            searching("max_sources: {choice: [3, 4]}")(text)
        ),
    ),
]
"""Valid input that the cases above are derived from, and input that is valid although it looks wrong."""
