"""What a spec of scenes accepts, what it refuses, and when two are the same data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from datasets.scenes import spec as spec_module
from datasets.scenes.spec import SceneSpec, group_of

ROOT = Path(spec_module.__file__).resolve().parents[2]


def test_the_default_has_the_size_of_the_real_data_set() -> None:
    spec = SceneSpec()
    assert spec.folds == {1: 100, 2: 100, 3: 100, 4: 100, 5: 100, 6: 100}
    assert spec.max_overlap == 2
    assert spec.event_shares() == (0.5, 0.5)
    assert [group_of(fold) for fold in range(1, 7)] == ["test", "validate", *["train"] * 4]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": {7: 1}}, "less than or equal to 6"),
        ({"folds": {1: -1}}, "greater than or equal to 0"),
        ({"folds": {1: 0}}, "at least one fold needs a recording"),
        ({"rt60_s": (0.8, 0.2)}, r"rt60_s is reversed: \[0.8, 0.2\]"),
        ({"snr_db": (30.0, 6.0)}, "snr_db is reversed"),
        ({"rt60_s": (0.01, 0.2)}, "at least 0.05 s"),
        ({"rt60_s": (0.2, 5.0)}, "no more than 3 s"),
        ({"event_s": (0.01, 2.0)}, "between 0.1 and 30 s"),
        ({"distance_m": (0.2, 2.0)}, "from 0.5 m on"),
        ({"overlap_shares": (1.0,)}, "1 values, max_overlap is 2"),
        ({"overlap_shares": (0.0, 0.0)}, "all 0"),
        ({"width_m": (2.0, 3.0)}, "width_m starts at 2 m, too small for sources 1 m from the array"),
        ({"height_m": (2.0, 3.0), "elevation_deg": (0.0, 70.0)}, "height_m starts at 2 m"),
        ({"moving": 1.5}, "less than or equal to 1"),
        ({"format": "foa"}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused_in_words(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SceneSpec.model_validate(changes)


def test_the_size_that_a_refusal_asks_for_is_accepted() -> None:
    with pytest.raises(ValidationError, match=r"at least 3\.3 m"):
        SceneSpec(width_m=(3.0, 8.0))
    assert SceneSpec(width_m=(3.3, 8.0)).width_m == (3.3, 8.0)


def test_keys_of_folds_may_be_text_as_in_json() -> None:
    assert SceneSpec.model_validate_json('{"folds": {"3": 2}}').folds == {3: 2}


def test_shares_are_brought_to_a_sum_of_one() -> None:
    assert SceneSpec(overlap_shares=(1, 3)).event_shares() == (0.25, 0.75)


def test_an_overlap_that_no_recording_gets_does_not_count() -> None:
    assert SceneSpec().max_simultaneous() == 2
    assert SceneSpec(max_overlap=4, overlap_shares=(1, 0, 2, 0)).max_simultaneous() == 3


def test_the_fingerprint_names_the_data_and_not_the_folder() -> None:
    files = {"alarm/a.wav": "00ff"}
    here, there = (SceneSpec(events=folder) for folder in ("/here", "/there"))
    assert here.fingerprint(files) == there.fingerprint(files)
    assert here.fingerprint(files) != here.fingerprint({"alarm/a.wav": "11ff"})
    prints = [SceneSpec.model_validate(change).fingerprint() for change in ({}, {"seed": 1}, {"moving": 0.4})]
    assert len(set(prints)) == 3
    assert prints[0] == SceneSpec().fingerprint()


def test_mistakes_are_found_without_torch_or_scipy() -> None:
    program = "import sys, datasets.scenes.spec; print(sorted({'torch', 'scipy', 'ray'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
