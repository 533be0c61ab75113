"""Label files as the data set has them, spoilt ones, and the slots that a network sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets.tau2020.labels import max_simultaneous, read_label_file, read_labels, track_slots, write_labels
from runtime.errors import InputError


def put(folder: Path, text: str) -> Path:
    path = folder / "fold1_room1_mix001_ov2.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_are_read_by_frame_and_keep_their_order_within_one(tmp_path: Path) -> None:
    path = put(tmp_path, "7,3,1,-180,90\n7,2,0,180,-90\n0,13,2,45,0\n\n599,0,0,0,0\n")
    assert read_labels(path).tolist() == [
        [0, 13, 2, 45, 0],
        [7, 3, 1, -180, 90],
        [7, 2, 0, 180, -90],
        [599, 0, 0, 0, 0],
    ]


def test_the_order_within_a_frame_is_kept_in_a_long_file(tmp_path: Path) -> None:
    rows = [(frame, 0, track, 0, 0) for track in range(3) for frame in range(599, -1, -1)]
    path = put(tmp_path, "".join(",".join(map(str, row)) + "\n" for row in rows))
    assert read_labels(path)[:, 2].tolist() == [0, 1, 2] * 600


def test_no_line_is_no_event(tmp_path: Path) -> None:
    assert read_labels(put(tmp_path, "")).shape == (0, 5)


def test_three_events_at_once_may_be_read(tmp_path: Path) -> None:
    assert len(read_labels(put(tmp_path, "5,0,0,0,0\n5,0,1,90,0\n5,0,2,-90,0\n"))) == 3


@pytest.mark.parametrize(
    ("vector", "angles"),
    [
        ("1,0,0", [0, 0]),
        ("0,1,0", [90, 0]),
        ("-1,0,0", [180, 0]),
        ("0,-1,0", [-90, 0]),
        ("0,0,1", [0, 90]),
        ("0.5,0.5,-0.70710678", [45, -45]),
        ("0.75,-0.4330127,0.5", [-30, 30]),
    ],
)
def test_cartesian_lines_become_angles(tmp_path: Path, vector: str, angles: list[int]) -> None:
    assert read_labels(put(tmp_path, f"3,1,2,{vector}\n")).tolist() == [[3, 1, 2, *angles]]


@pytest.mark.parametrize(
    ("line", "where", "rule"),
    [
        ("1,2,0,10", "", "a line has the columns"),
        ("1,2,0,10,0,1,9", "", "a line has the columns"),
        ("x,2,0,10,0", ", column frame", "integers"),
        ("1,,0,10,0", ", column class", "integers"),
        ("1,2,0.5,10,0", ", column track", "integers"),
        ("1,2,0,nan,0", ", column azimuth", "numbers"),
        ("1,2,0,10,up", ", column elevation", "numbers"),
        ("-1,2,0,10,0", ", column frame", "0 … 35999"),
        ("36000,2,0,10,0", ", column frame", "0 … 35999"),
        ("1,2,0,10,0,150", "", "a line has the columns"),
        ("1,-2,0,10,0", ", column class", "0 …"),
        ("1,2,99999999999999999999999,10,0", ", column track", "0 …"),
        ("1,2,0,181,0", ", column azimuth", "-180 … 180"),
        ("1,2,0,-181,0", ", column azimuth", "-180 … 180"),
        ("1,2,0,10,91", ", column elevation", "-90 … 90"),
        ("1,2,0,10,-91", ", column elevation", "-90 … 90"),
    ],
)
def test_a_bad_line_is_answered_with_file_row_and_column(tmp_path: Path, line: str, where: str, rule: str) -> None:
    path = put(tmp_path, f"0,2,0,10,0\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_labels(path)
    assert caught.value.place == f"{path}, row 2{where}"
    assert rule in caught.value.rule


@pytest.mark.parametrize(
    ("line", "where", "rule"),
    [
        ("1,2,0,10,20,far", ", column distance", "a distance is a number"),
        ("1,2,0,10,20,-1", ", column distance", "a distance is a number"),
        ("1,2,0,181,20,150", ", column azimuth", "-180 … 180"),
        ("1,2,0,10,20", "", "a line has the columns"),
    ],
)
def test_a_bad_line_with_a_distance_is_answered_too(tmp_path: Path, line: str, where: str, rule: str) -> None:
    path = put(tmp_path, f"0,2,0,-98,-16,154\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_labels(path)
    assert caught.value.place == f"{path}, row 2{where}"
    assert rule in caught.value.rule


@pytest.mark.parametrize("vector", ["0,0,0", "nan,0,1", "0.5,0.5,0.5"])
def test_a_vector_of_another_length_is_refused(tmp_path: Path, vector: str) -> None:
    with pytest.raises(InputError):
        read_labels(put(tmp_path, f"0,2,0,1,0,0\n1,2,0,{vector}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "0,1,1,-98,-16\n3,2,0,30,0\n",
        "0,1,1,-98,-16,154\n3,2,0,30,0,90\n",  # STARSS23: the distance in centimetres
        "0,1,1,-98.0,-16.0\n3.0,2,0,30.2,0\n",
        "\ufefffrozen",
        "frame,class,track,azimuth,elevation\n0,1,1,-98,-16\n3,2,0,30,0\n",
        "Frame number,Active class index,Source number index,Azimuth,Elevation,Distance\n0,1,1,-98,-16,154\n3,2,0,30,0,9\n",
        "frame,class,source,ele,azi\n0,1,1,-16,-98\n3,2,0,0,30\n",
        "0;1;1;-98;-16\n3;2;0;30;0\n",
        "0\t1\t1\t-98\t-16\n3\t2\t0\t30\t0\n",
        "0,1,1,-98,-16,\r\n\r\n3, 2,0,30 ,0,\r\n  \r\n",
        "0,1,1,-98,-16\n0,1,1,-98,-16\n3,2,0,30,0\n3,2,0,30,0\n",
        "3,2,0,30,0\n0,1,1,-98,-16",
    ],
)
def test_the_forms_of_published_data_sets_are_read(tmp_path: Path, text: str) -> None:
    text = text.replace("frozen", "0,1,1,-98,-16\r3,2,0,30,0")
    assert read_labels(put(tmp_path, text)).tolist() == [[0, 1, 1, -98, -16], [3, 2, 0, 30, 0]]


def test_what_is_not_used_is_counted(tmp_path: Path) -> None:
    file = read_label_file(put(tmp_path, "0,1,0,5,6,100\n0,1,0,5,6,100\n700,1,0,5,6,100\n"))
    assert file.rows.tolist() == [[0, 1, 0, 5, 6]]
    assert (file.last_frame, file.repeated, file.has_distance) == (700, 1, True)


def test_all_bad_lines_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_labels(put(tmp_path, "x,1,0,5,6\n1,1,0,5,6\n2,1,0,500,6\n3,1\n"))
    assert "3 problems" in caught.value.rule
    assert all(f"row {row}" in caught.value.rule for row in (1, 3, 4))


def test_an_event_list_of_2019_is_refused_with_the_reason(tmp_path: Path) -> None:
    text = "sound_event_recording,start_time,end_time,ele,azi,dist\nspeech,0.5,2.5,10,-30,1\n"
    with pytest.raises(InputError, match="not a list of events"):
        read_labels(put(tmp_path, text))


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"\xff\xfe0,1")])
def test_an_unreadable_file_is_named(tmp_path: Path, spoil: object) -> None:
    path = put(tmp_path, "0,0,0,0,0\n")
    assert callable(spoil)
    spoil(path)
    with pytest.raises(InputError) as caught:
        read_labels(path)
    assert caught.value.place == str(path)


def test_written_labels_are_the_data_sets_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_labels(path, np.array([[9, 1, 0, -10, 5], [2, 1, 0, 180, -90]]))
    assert path.read_text() == "2,1,0,180,-90\n9,1,0,-10,5\n"


def test_labels_that_cannot_be_read_back_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="frame lies in 0 … 599"):
        write_labels(tmp_path / "a.csv", np.array([[600, 0, 0, 0, 0]]))
    assert list(tmp_path.iterdir()) == []


def test_the_second_event_moves_up_when_the_first_ends() -> None:
    rows = np.array([[4, 5, 0, 0, 0], [4, 6, 1, 90, 0], [5, 6, 1, 90, 0], [6, 6, 1, 0, 90]])
    directions, active = track_slots(rows)
    assert directions.shape == (600, 2, 3)
    assert active.sum(axis=1)[3:8].tolist() == [0, 2, 1, 1, 0]
    assert active[5].tolist() == [True, False]
    np.testing.assert_allclose(directions[4], [[1, 0, 0], [0, 1, 0]], atol=1e-7)
    np.testing.assert_allclose(directions[5:7, 0], [[0, 1, 0], [0, 0, 1]], atol=1e-7)


def test_slots_without_event_hold_nan_and_those_with_one_unit_vectors() -> None:
    generator = np.random.default_rng(0)
    frames = np.sort(generator.choice(600, 200, replace=False))
    rows = np.stack(
        [frames, *np.zeros((2, 200), int), generator.integers(-180, 181, 200), generator.integers(-90, 91, 200)]
    )
    directions, active = track_slots(rows.T, sources=3)
    assert np.isnan(directions[~active]).all()
    np.testing.assert_allclose(np.linalg.norm(directions[active], axis=-1), 1, rtol=1e-6)
    azimuth = np.rad2deg(np.arctan2(directions[frames, 0, 1], directions[frames, 0, 0]))
    flat = np.abs(rows[4]) < 90
    np.testing.assert_allclose(np.cos(np.deg2rad(azimuth - rows[3]))[flat], 1, atol=1e-5)


def test_no_label_is_silence_in_every_slot() -> None:
    directions, active = track_slots(np.empty((0, 5), np.int64))
    assert not active.any()
    assert np.isnan(directions).all()


def test_more_events_than_slots_are_refused_with_their_frame() -> None:
    rows = np.array([[8, 0, 0, 0, 0], [9, 0, 0, 0, 0], [9, 0, 1, 9, 0], [9, 0, 2, 20, 0]])
    with pytest.raises(InputError) as caught:
        track_slots(rows, 2, "a.csv")
    assert (caught.value.place, caught.value.value) == ("a.csv, frame 9", 3)
    assert track_slots(rows, 3)[1].sum() == 4


def test_the_busiest_frame_is_the_first_with_most_events() -> None:
    rows = np.array([[9, 0, 0, 0, 0], [7, 0, 0, 0, 0], [9, 0, 1, 9, 0], [8, 0, 0, 0, 0], [7, 0, 1, 20, 0]])
    assert max_simultaneous(rows) == (7, 2)
    assert max_simultaneous(rows[:0]) == (0, 0)


def test_labels_with_room_around_them_and_without_a_last_newline_are_read(tmp_path: Path) -> None:
    assert read_labels(put(tmp_path, "\ufeff 5, 1,0 ,-30,10\r\n\r\n3,1,0,+30,10")).tolist() == [
        [3, 1, 0, 30, 10],
        [5, 1, 0, -30, 10],
    ]
