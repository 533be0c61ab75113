"""A spec reads what people write, refuses what makes no sense, and has one identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydantic import ValidationError

from datasets.rooms.plan import MeasuredPlan, RoomPlan
from datasets.rooms.spec import MeasuredSpec, RoomSpec
from datasets.rooms.split_spec import PAPER_TESTS, SplitSpec

ARRAY = {"centre_m": (3.0, 0.0), "direction_deg": 0.0, "offsets_m": (-0.1, 0.1)}

SURFACES = {"walls": ["plasterboard", "glass_window"], "floor": "carpet_thin", "ceiling": "ceiling_plasterboard"}


def read(**values: Any) -> RoomSpec:
    return RoomSpec.model_validate(values)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("1-2", (1, 2)), ("3", (3, 3)), (2, (2, 2)), ([1, 3], (1, 3)), ((2, 4), (2, 4)), ("1-1", (1, 1))],
)
def test_numbers_of_sources_are_read_as_people_write_them(written: object, meant: tuple[int, int]) -> None:
    assert read(sources=written).sources == meant


@pytest.mark.parametrize("written", ["2-1", "0-1", "1-5", "one", "1-2-3", 0, True, 1.5, [1], [1, 2, 3], None])
def test_numbers_of_sources_that_make_no_sense_are_refused(written: object) -> None:
    with pytest.raises(ValidationError, match="sources"):
        read(sources=written)


def test_a_list_of_tests_names_the_papers_sets() -> None:
    assert read(tests=["S1", "S0"]).tests == {"S1": PAPER_TESTS["S1"], "S0": PAPER_TESTS["S0"]}


def test_a_number_resizes_the_papers_set_and_keeps_the_rest_of_it() -> None:
    tests = read(tests={"S1": 30, "S2": 40}).tests
    assert tests["S1"] == SplitSpec(samples=30, sources=(3, 3))
    assert tests["S2"] == SplitSpec(samples=40, sources=(1, 2), genres="held_out")


def test_a_set_of_ones_own_can_be_a_number_or_a_mapping() -> None:
    tests = read(tests={"mine": 30, "yours": {"samples": 5, "sources": "2-4"}}).tests
    assert tests == {"mine": SplitSpec(samples=30), "yours": SplitSpec(samples=5, sources=(2, 4))}


@pytest.mark.parametrize(
    "tests",
    [["S9"], {}, {"S0": 0}, {"S0": True}, {"S0": "many"}, {"train": 5}, {"validate": 5}, "S0"],
    ids=repr,
)
def test_tests_that_make_no_sense_are_refused(tests: object) -> None:
    with pytest.raises(ValidationError):
        read(tests=tests)


@pytest.mark.parametrize("tests", [[{"S0": 500}], [["S0"]]], ids=repr)
def test_a_list_of_tests_that_holds_more_than_names_is_refused(tests: object) -> None:
    with pytest.raises(ValidationError):
        read(tests=tests)


@pytest.mark.parametrize("name", ["a/b", "../S0", "a\0b"], ids=repr)
def test_a_set_whose_name_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="tests"):
        read(tests={name: 5})


def test_an_unknown_test_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="tests names 'S9'; the paper's test sets are S0, S1, S2"):
        read(tests=["S0", "S9"])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"layout": "kinect_ceiling"}, "known layouts: kinect_corners"),
        ({"level_db": (0.0, -20.0)}, "level_db is reversed"),
        ({"sources": (2, 1)}, "write the smaller number first"),
        ({"tests": {"S0": {"samples": 3, "sources": "3-1"}}}, "sources of S0 are reversed: 3-1"),
        ({"genres": ("jazz", "funk")}, "cannot be held out and heard in training"),
        ({"genres": ("rock",)}, "the procedural band plays classical, funk, jazz, not rock"),
        ({"held_out": "polka"}, "not polka"),
        ({"tests": {"train": 5}}, "cannot be called train"),
        ({"arrays": (ARRAY, ARRAY | {"offsets_m": (0.0, 0.1, 0.2)})}, "the same number of microphones"),
        ({"arrays": (ARRAY | {"model": "uma_8"},)}, "one of offsets_m, model and mics_m, got offsets_m and model"),
        ({"arrays": ({"centre_m": (1, 1), "model": "uma8"},)}, "known models: kinect, respeaker_4"),
        (
            {"arrays": ({"centre_m": (1, 1), "mics_m": [(0, 0), (0.1, 0), (0, 0)]},)},
            "microphones 0 and 2 are at the same",
        ),
        ({"arrays": (ARRAY | {"offsets_m": (0.1, 0.1)},)}, "microphones 0 and 1 are at the same place"),
        ({"trian": 5}, "trian"),
        ({"train": 0}, "train"),
        ({"size_m": (6.0, -1.0)}, "size_m"),
        ({"gate": float("nan")}, "gate"),
        ({"raster_m": 0.0}, "raster_m"),
        ({"excerpts": 7}, "excerpts"),
        ({"train": "many"}, "a split is a number of samples"),
        ({"validate": [5]}, "a split is a number of samples"),
        ({"snr_db": (30, 20)}, "snr_db of train is reversed"),
        ({"tests": {"S0": {"samples": 3, "snr_db": "30-20"}}}, "snr_db of S0 is reversed"),
        ({"acoustics": {}}, "rt60_s, absorption or materials, one of them"),
        ({"acoustics": {"rt60_s": 0.4, "absorption": 0.3}}, "rt60_s, absorption or materials, one of them"),
        ({"acoustics": {"rt60_s": (0, 0.4)}}, "0 or above 0, not a range"),
        ({"acoustics": {"rt60_s": (0.5, 0.4)}}, "rt60_s is reversed"),
        ({"acoustics": {"absorption": 1.2, "max_order": 3}}, "at most at 1"),
        ({"acoustics": {"absorption": 0, "max_order": 3}}, "above 0"),
        ({"acoustics": {"absorption": 0.3}}, "needs max_order"),
        (
            {"acoustics": {"rt60_s": 0.3, "method": "hybrid", "max_order": 9}},
            "max_order belongs to method: image_sources",
        ),
        ({"acoustics": {"rt60_s": 0.3, "method": "rays"}}, "method"),
        ({"acoustics": {"rt60_s": 0.3, "source_directivity": (0.5, 1.2)}}, "between 0 and 1"),
        ({"acoustics": {"rt60_s": 0.3, "source_directivity": (0.9, 0.5)}}, "source_directivity is reversed"),
        ({"acoustics": {"rt60_s": 0.3, "microphone_error_m": 0.2}}, "microphone_error_m"),
        ({"acoustics": {"materials": SURFACES}}, "materials need max_order"),
        ({"acoustics": {"materials": SURFACES, "rt60_s": 0.3, "method": "hybrid"}}, "one of them"),
        (
            {"acoustics": {"materials": SURFACES | {"floor": "carpet_thn"}, "method": "hybrid"}},
            "did you mean carpet_thin",
        ),
        ({"acoustics": {"materials": SURFACES | {"walls": []}, "method": "hybrid"}}, "walls"),
        ({"acoustics": {"rt60_s": 0.4, "margin_m": (-0.1, 1)}}, "margin_m starts at 0"),
        ({"acoustics": {"rt60_s": 0.4, "array_height_m": 2.5}}, "below the ceiling"),
        ({"train": {"samples": 3, "acoustics": {"rt60_s": 0.4, "rooms": 0}}}, "rooms"),
    ],
)
def test_a_mistake_is_named(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        read(**values)


def test_the_defaults_are_table_1_of_the_paper() -> None:
    spec = RoomSpec()
    assert {name: (split.samples, split.sources, split.genres) for name, split in spec.resolve_splits().items()} == {
        "train": (100_000, (1, 2), "seen"),
        "validate": (5_000, (1, 2), "seen"),
        "S0": (5_000, (1, 2), "seen"),
        "S1": (2_500, (3, 3), "seen"),
        "S2": (5_000, (1, 2), "held_out"),
    }
    assert (spec.size_m, spec.raster_m, spec.min_distance_m) == ((6.0, 6.0), 0.05, 2.0)
    assert next(iter(spec.resolve_splits())) == "train"


def test_the_most_sources_of_any_split_count() -> None:
    assert RoomSpec().max_sources() == 3
    assert read(tests=["S0"]).max_sources() == 2
    assert read(sources=4, tests=["S0"]).max_sources() == 4


def test_only_a_test_that_plays_it_hears_the_held_out_genre() -> None:
    assert RoomSpec().uses_held_out()
    assert not read(tests=["S0", "S1"]).uses_held_out()


def test_arrays_of_ones_own_replace_the_layout() -> None:
    spec = read(arrays=(ARRAY, ARRAY | {"centre_m": (0.0, 3.0), "direction_deg": 90.0}))
    assert RoomSpec().microphones_m().shape == (2, 4, 2)
    expected = np.array([[(2.9, 0), (3.1, 0)], [(0, 2.9), (0, 3.1)]])
    assert_allclose(spec.microphones_m(), expected, atol=1e-9)


def test_a_folder_may_hold_any_genre() -> None:
    assert read(music="/music", genres=("rock",), held_out="polka").genres == ("rock",)


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RoomSpec().train = 3  # type: ignore[misc, assignment]


def test_music_is_the_band_or_a_folder() -> None:
    assert RoomSpec().music_folder() is None
    assert read(music="/music").music_folder() == Path("/music")


OTHER: dict[str, object] = {
    "layout": "kinect_opposite_walls",
    "arrays": (ARRAY,),
    "size_m": (6.0, 5.0),
    "raster_m": 0.1,
    "min_distance_m": 1.5,
    "clearance_m": 0.4,
    "sources": 1,
    "train": 99_999,
    "validate": 4_999,
    "tests": ["S0"],
    "music": "/music",
    "genres": ("classical",),
    "held_out": "funk",
    "excerpt_s": 5.0,
    "excerpts": 199,
    "gate": 0.03,
    "level_db": (-20.0, -1.0),
    "snr_db": 30,
    "acoustics": {"rt60_s": 0.4},
    "seed": 1,
    "train_seed": 1,
}


def test_every_field_has_another_value_to_test_the_fingerprint_with() -> None:
    fields = {field.alias or name for name, field in RoomSpec.model_fields.items()}
    # The files that remain when broken ones are skipped are part of the fingerprint. Only folders are split.
    assert fields - set(OTHER) == {"kind", "noise", "noise_file", "skip_broken", "split_by"}, (
        "a new field needs a value in OTHER"
    )


def fingerprint(spec: RoomSpec, sound_files: dict[str, str] | None = None) -> str:
    return RoomPlan(spec, sound_files, spec.microphones_m()).fingerprint


def test_every_field_is_part_of_the_fingerprint() -> None:
    prints = {fingerprint(RoomSpec()), *(fingerprint(read(**{name: value})) for name, value in OTHER.items())}
    noisy = fingerprint(read(noise="diffuse", snr_db=OTHER["snr_db"]))  # noise needs a level
    assert len(prints | {noisy}) == 2 + len(OTHER)


def test_white_noise_is_described_as_in_versions_without_other_noise() -> None:
    usual = read(snr_db=20, train=3)
    assert "noise" not in repr(usual.model_dump(mode="json", by_alias=True))
    assert "noise" not in repr(usual.split_identity("train"))
    assert read(snr_db=20, noise="white", train={"samples": 3, "noise": "white"}).split_identity("train") == (
        usual.split_identity("train")
    )
    assert usual.with_changes({"train.noise": "white"}).split_identity("train") == usual.split_identity("train")


def test_noise_needs_a_level() -> None:
    with pytest.raises(ValidationError, match="S asks for diffuse noise without snr_db"):
        read(tests={"S": {"samples": 3, "noise": "diffuse"}})


def test_recorded_noise_needs_a_recording() -> None:
    with pytest.raises(ValidationError, match="validate asks for recorded noise without noise_file"):
        read(validate={"samples": 3, "noise": "recorded", "snr_db": 10})


def test_a_split_may_have_noise_of_its_own_kind() -> None:
    spec = read(snr_db=20, noise="diffuse", train={"samples": 3, "noise": "white"})
    assert [split.noise for split in spec.resolve_splits().values()][:2] == ["white", "diffuse"]
    again = RoomSpec.model_validate(spec.model_dump(mode="json", by_alias=True))
    assert again == spec
    changed = spec.with_changes({"train.snr_db": 10})
    assert changed.resolve_splits()["train"].noise == "white"
    assert changed.resolve_splits()["validate"].noise == "diffuse"


def test_another_seed_of_the_training_samples_is_another_training_split_only() -> None:
    spec = RoomSpec()
    fresh = spec.with_train_seed(1001)
    assert "train_seed" not in spec.model_dump(by_alias=True)
    assert RoomSpec.model_validate(fresh.model_dump(mode="json", by_alias=True)) == fresh
    changed = [name for name in spec.resolve_splits() if fresh.split_identity(name) != spec.split_identity(name)]
    assert changed == ["train"]
    other = RoomSpec(seed=1001)  # its music differs as well
    assert fresh.split_identity("train") != other.split_identity("train")
    assert fresh.music_identity() == spec.music_identity()


@pytest.mark.parametrize(
    "other",
    [
        {"samples": 4},
        {"sources": 2},
        {"genres": "held_out"},
        {"snr_db": 30},
        {"snr_db": 0, "noise": "pink"},
        {"acoustics": {"rt60_s": 0.4}},
    ],
    ids=repr,
)
def test_every_field_of_a_split_is_part_of_the_fingerprint(other: dict[str, object]) -> None:
    assert set(SplitSpec.model_fields) == {"samples", "sources", "genres", "snr_db", "noise", "acoustics"}, (
        "a new field"
    )
    assert fingerprint(read(tests={"S": {"samples": 3} | other})) != fingerprint(read(tests={"S": 3}))
    if "genres" not in other:  # which splits but tests do not choose
        assert fingerprint(read(train={"samples": 3} | other)) != fingerprint(read(train=3))


@pytest.mark.parametrize(
    "other",
    [
        {"rt60_s": 0.5},
        {"absorption": 0.5, "rt60_s": None},
        {"materials": SURFACES, "rt60_s": None},
        {"microphone_error_m": 0.005},
        {"source_directivity": 0.5},
        {"source_directivity": (0.5, 1)},
        {"margin_m": (0.5, 1.4)},
        {"height_m": 2.7},
        {"array_height_m": 1.3},
        {"source_height_m": (1.0, 1.2)},
        {"max_order": 4},
        {"rooms": 5},
        {"positions": 101},
    ],
    ids=repr,
)
def test_every_field_of_the_acoustics_is_part_of_the_fingerprint(other: dict[str, object]) -> None:
    base = {"rt60_s": 0.4, "max_order": 3}
    assert fingerprint(read(acoustics=base | other)) != fingerprint(read(acoustics=base))


def test_the_method_is_part_of_the_fingerprint() -> None:
    assert fingerprint(read(acoustics={"rt60_s": 0.4, "method": "hybrid"})) != fingerprint(
        read(acoustics={"rt60_s": 0.4})
    )


def test_the_fingerprint_does_not_depend_on_how_the_spec_was_written() -> None:
    written: list[dict[str, Any]] = [
        {"sources": "1-2", "tests": ["S0"], "train": 40, "snr_db": 20},
        {"sources": [1, 2], "tests": {"S0": 5000}, "train": {"samples": 40}, "snr_db": "20-20"},
        {
            "sources": (2, 2),  # every split says it for itself
            "tests": {"S0": {"samples": 5000, "sources": "1-2", "snr_db": 20}},
            "train": {"samples": 40, "sources": "1-2", "snr_db": [20, 20]},
            "validate": {"samples": 5000, "sources": [1, 2], "snr_db": 20},
        },
    ]
    assert len({fingerprint(read(**spec)) for spec in written}) == 1


def test_where_the_music_lies_does_not_matter_but_what_it_is_does() -> None:
    files = {"funk/a.wav": "1f", "jazz/b.wav": "2e"}
    here, there = read(music="/here"), read(music="there")
    assert fingerprint(here, files) == fingerprint(there, dict(reversed(files.items())))
    assert fingerprint(here, files) != fingerprint(here, files | {"jazz/b.wav": "2d"})
    assert fingerprint(here, files) != fingerprint(here, {"funk/c.wav": "1f", "jazz/b.wav": "2e"})
    assert fingerprint(here, files) != fingerprint(here, {"funk/a.wav": "1f"})


def test_where_the_bank_lies_does_not_matter_but_what_it_is_does() -> None:
    def of(path: str, digest: str) -> str:
        spec = MeasuredSpec(bank=path)
        return MeasuredPlan(spec, None, spec.microphones_m(), bank=digest).fingerprint

    assert of("/here.npz", "1f") == of("there.npz", "1f") != of("/here.npz", "2e")


@pytest.mark.parametrize("acoustics", [{"rt60_s": 0}, {"rt60_s": 0.4, "max_order": 0}])
def test_rooms_without_any_reflection_need_no_impulse_responses(acoustics: dict[str, Any]) -> None:
    spec = read(acoustics=acoustics)
    assert {part.kind for part in RoomPlan(spec, None, spec.microphones_m()).list_parts()} == {"music", "split"}


def test_only_simulated_rooms_echo() -> None:
    for changes in ({"train": {"samples": 3, "acoustics": {"rt60_s": 0.4}}}, {"acoustics": {"rt60_s": 0.4}}):
        with pytest.raises(ValidationError, match="acoustics"):
            MeasuredSpec.model_validate({"bank": "bank.npz"} | changes)


def test_what_a_split_leaves_out_the_dataset_says() -> None:
    train = {"samples": 9, "sources": 2, "snr_db": 40, "acoustics": {"rt60_s": 0}}
    splits = read(
        sources="1-3", snr_db="10-30", acoustics={"rt60_s": 0.4}, train=train, tests={"mine": 5}
    ).resolve_splits()
    assert {name: (s.sources, s.snr_db) for name, s in splits.items()} == {
        "train": ((2, 2), (40, 40)),
        "validate": ((1, 3), (10, 30)),
        "mine": ((1, 3), (10, 30)),
    }
    rooms = {name: s.acoustics.rt60_s for name, s in splits.items() if s.acoustics is not None}
    assert rooms == {"train": (0, 0), "validate": (0.4, 0.4), "mine": (0.4, 0.4)}


def test_a_spec_survives_being_written_as_json() -> None:
    echoing = {"rt60_s": "0.2-0.4", "rooms": 2}
    spec = read(train=50, tests=["S0"], arrays=(ARRAY,), genres=("funk",), acoustics=echoing, snr_db=20)
    again = RoomSpec.model_validate_json(spec.model_dump_json(by_alias=True))
    assert again == spec
    assert fingerprint(again) == fingerprint(spec)
    assert np.array_equal(again.microphones_m(), spec.microphones_m())


def test_arrays_of_any_shape_are_placed_in_the_area() -> None:
    circle = {"centre_m": (3.0, 3.0), "model": "respeaker_4"}
    spec = read(arrays=(circle, circle | {"centre_m": (1.0, 1.0), "direction_deg": 90.0}))
    assert spec.microphones_m().shape == (2, 4, 2)
    assert_allclose(spec.microphones_m()[0], [(2.968, 3), (3, 2.968), (3.032, 3), (3, 3.032)], atol=1e-9)
    assert_allclose(spec.microphones_m()[1, 0], (1.0, 0.968), atol=1e-9)
    raised = read(arrays=({"centre_m": (1, 2), "mics_m": [(0, 0), (0, 0, 0.2)]},))
    assert_allclose(raised.microphones_m(), [[(1, 2, 0), (1, 2, 0.2)]])
    assert read(arrays=({"centre_m": (1, 2), "mics_m": [(0, 0)]},)).microphones_m().shape == (1, 1, 2)


def test_a_bar_is_described_as_in_earlier_versions() -> None:
    """Fingerprints of datasets with bars must not change."""
    assert read(arrays=(ARRAY,)).model_dump(mode="json")["arrays"] == [
        {"centre_m": [3.0, 0.0], "direction_deg": 0.0, "offsets_m": [-0.1, 0.1]}
    ]
    model = read(arrays=({"centre_m": (1, 1), "model": "uma_8"},))
    assert model.model_dump(mode="json")["arrays"] == [{"centre_m": [1.0, 1.0], "direction_deg": 0.0, "model": "uma_8"}]
    assert RoomSpec.model_validate(model.model_dump(mode="json", by_alias=True)).microphones_m().shape == (1, 7, 2)
