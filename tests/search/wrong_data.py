"""Impossible datasets: the wrong inputs of `tests.search.wrong_inputs` that concern the data."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.search.wrong_inputs import AUDIO, Case, music, search, sub


def recordings(
    damage: Callable[[Path], object] | None = None, rows: Callable[[str], str] = lambda text: text
) -> Callable[[Path], None]:
    """Return a function that writes valid recordings by both arrays and then damages them or their manifest."""

    def prepare(folder: Path) -> None:
        lines = ["clip,file,x,y,split,genre"]
        for number, (x, y, split, genre) in enumerate(_CLIPS):
            noise = np.random.default_rng(number).normal(0, 0.1, (16_000, 8)).astype(np.float32)
            soundfile.write(folder / f"c{number}.wav", noise, 16_000, subtype="FLOAT")
            lines.append(f"c{number},c{number}.wav,{x},{y},{split},{genre}")
        (folder / "recordings.csv").write_text(rows("\n".join(lines)) + "\n")
        if damage is not None:
            damage(folder)

    return prepare


_CLIPS = (
    ("1", "1", "train", "funk"),
    ("4", "4", "train", "funk"),
    ("2", "5", "validate", "funk"),
    ("5", "2", "validate", "funk"),
    ("0.5", "3", "A0", "funk"),
    ("3.5", "3", "A0", "funk"),
)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5_000])


def truncated(folder: Path) -> None:
    soundfile.write(folder / "funk" / "cut.wav", np.ones(64_000), 16_000)
    cut(folder / "funk" / "cut.wav")


def bank(damage: Callable[[dict[str, Any]], object] | None = None) -> Callable[[Path], None]:
    """Return a function that writes a valid bank of impulse responses after changing its content."""

    def prepare(folder: Path) -> None:
        generator = np.random.default_rng(0)
        content: dict[str, Any] = {
            "responses": generator.normal(0, 0.1, (60, 2, 4, 32)).astype(np.float32),
            "positions_m": generator.uniform(0, 6, (60, 2)),
            "microphones_m": generator.uniform(0, 6, (2, 4, 2)),
            "rate_hz": np.int64(16_000),
        }
        if damage is not None:
            damage(content)
        np.savez(folder / "bank.npz", **content)

    return prepare


def dataset(written: str) -> Callable[[str], str]:
    """Return a function that replaces the dataset in all profiles."""

    def change(text: str) -> str:
        without = re.sub(r"(?m)^    dataset: .*\n", "", text)
        return sub(r"(?m)^dataset: .*$", f"dataset: {written}")(without)

    return change


RECORDED = dataset("{kind: recordings, manifest: MANIFEST, train: 8, validate: 4, tests: {A0: {samples: 4}}}")
RECORDED_OPTIONS = ("--set", "dataset.manifest={tmp}/recordings.csv")
MEASURED = dataset(
    "{kind: measured, bank: BANK, train: 8, validate: 4, tests: {S0: 4}, excerpts: 8, min_distance_m: 1}"
)
MEASURED_OPTIONS = ("--set", "dataset.bank={tmp}/bank.npz")
REVERBERANT = (
    "{kind: room, train: 8, validate: 4, tests: {S0: 4}, excerpts: 8, acoustics: {rt60_s: 0.4, rooms: 1, positions: 8}}"
)

DATA_CASES = [
    Case(
        "a truncated WAV file",
        ("cut.wav", "as long as its header says"),
        None,
        AUDIO,
        music(truncated),
    ),
    Case("an unknown kind of data", ("dataset.kind", "did you mean 'room'"), sub("kind: room", "kind: roomm")),
    Case(
        "an unknown key of reverberant rooms",
        ("dataset.train.acoustics.rt6_s", "did you mean 'rt60_s'"),
        dataset(REVERBERANT),
        ("--set", "dataset.train={samples: 8, acoustics: {rt6_s: 0.3}}"),
    ),
    Case(
        "a misspelt key of a test set",
        ("dataset.tests.S0.smaples", "did you mean 'samples'"),
        None,
        ("--set", "dataset.tests={S0: {smaples: 40}}"),
    ),
    Case(
        "an impossible reverberation time",
        ("acoustics.rt60_s", "Sabine", "raise acoustics.rt60_s"),
        dataset(REVERBERANT),
        ("--set", "dataset.acoustics.rt60_s=0.05"),
    ),
    Case(
        "an impossible reverberation time at the end of a search",
        ("acoustics.rt60_s", "Sabine"),
        lambda text: search("dataset.train.acoustics.rt60_s: {uniform: [0.05, 0.5]}")(dataset(REVERBERANT)(text)),
    ),
    Case(
        "microphones outside the room",
        ("acoustics.margin_m", "inside the room"),
        dataset(REVERBERANT),
        ("--set", "dataset.acoustics.margin_m=[0, 0.01]"),
    ),
    Case(
        "a source under the ceiling",
        ("dataset", "below the ceiling"),
        dataset(REVERBERANT),
        ("--set", "dataset.acoustics.source_height_m=[1, 2.6]"),
    ),
    Case(
        "more positions than the raster has",
        ("acoustics.positions", "enough points away"),
        dataset(REVERBERANT),
        ("--set", "dataset.acoustics.positions=20000"),
    ),
    Case(
        "reverberation of recordings",
        ("dataset", "only simulated rooms have"),
        RECORDED,
        (*RECORDED_OPTIONS, "--set", "dataset.train={samples: 8, acoustics: {rt60_s: 0.4}}"),
        recordings(),
    ),
    Case(
        "a searched field that is not trained on",
        ("search.dataset.snr_db", "search dataset.train.snr_db"),
        search("dataset.snr_db: {choice: [10, 20]}"),
    ),
    Case(
        "searched validation data",
        ("search.dataset.validate", "validated and tested on the same"),
        search("dataset.validate: {choice: [100, 200]}"),
    ),
    Case(
        "a searched value that no data can have",
        ("dataset.train.samples", "above 0", "number of samples"),
        search("dataset.train.samples: {int: [0, 9]}"),
    ),
    Case("no manifest", ("must exist", "recordings.csv"), RECORDED, RECORDED_OPTIONS),
    Case(
        "a truncated recording",
        ("recordings.csv, row 3", "as long as its header says"),
        RECORDED,
        RECORDED_OPTIONS,
        recordings(lambda folder: cut(folder / "c1.wav")),
    ),
    Case(
        "a recording that is missing",
        ("recordings.csv, row 4", "c2.wav"),
        RECORDED,
        RECORDED_OPTIONS,
        recordings(lambda folder: (folder / "c2.wav").unlink()),
    ),
    Case(
        "a recording with a channel too few",
        ("recordings.csv, row 2", "8"),
        RECORDED,
        RECORDED_OPTIONS,
        recordings(lambda folder: soundfile.write(folder / "c0.wav", np.ones((16_000, 7)), 16_000)),
    ),
    Case(
        "a source outside the area",
        ("recordings.csv, row 2, column x", "between 0 and 6 m"),
        RECORDED,
        RECORDED_OPTIONS,
        recordings(rows=lambda text: text.replace("c0.wav,1,", "c0.wav,6.1,")),
    ),
    Case(
        "a position in two splits",
        ("recordings.csv, row 4", "must not be in two splits"),
        RECORDED,
        RECORDED_OPTIONS,
        recordings(rows=lambda text: text.replace("c2.wav,2,5", "c2.wav,1,1")),
    ),
    Case(
        "a clip in two splits",
        ("recordings.csv, row 2, column split", "only test sets may share"),
        RECORDED,
        RECORDED_OPTIONS,
        recordings(rows=lambda text: text.replace("1,1,train", "1,1,train validate")),
    ),
    Case("no bank", ("must exist", "bank.npz"), MEASURED, MEASURED_OPTIONS),
    Case(
        "a bank of another room",
        ("positions_m[5]", "inside the area"),
        MEASURED,
        MEASURED_OPTIONS,
        bank(lambda content: content["positions_m"].__setitem__((5, 0), 7.0)),
    ),
    Case(
        "a bank that contains NaN",
        ("responses[3]", "finite"),
        MEASURED,
        MEASURED_OPTIONS,
        bank(lambda content: content["responses"].__setitem__((3, 0, 0, 0), np.nan)),
    ),
    Case(
        "a bank with too few positions",
        ("bank.npz: split", "measured places at least 5 m apart"),
        MEASURED,
        (*MEASURED_OPTIONS, "--set", "dataset.min_distance_m=5"),
        bank(lambda content: content["positions_m"].__imul__(0.5)),
    ),
]

GOOD_DATA = [
    Case("reverberant rooms", ("train 8, validate 4",), dataset(REVERBERANT)),
    Case("recordings", ("train 8, validate 4",), RECORDED, RECORDED_OPTIONS, recordings()),
    Case("a bank", ("train 8, validate 4",), MEASURED, MEASURED_OPTIONS, bank()),
]
"""Valid input that the cases above are derived from."""
