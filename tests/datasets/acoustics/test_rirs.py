"""Banks of impulse responses: what is read is what was measured, at 16 kHz, or an error that names file and key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.acoustics import rirs
from datasets.acoustics.arrays import SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S
from datasets.acoustics.rirs import RirBank
from datasets.rooms.spec import RoomSpec
from runtime.errors import InputError

PLACE = "space.yaml: dataset.bank"
SIZE_M = (6.0, 6.0)
MICROPHONES = RoomSpec().microphones_m()
POSITIONS = np.array([[1.5, 2.5], [4.25, 0.75], [3.0, 5.5]])


def free_field(positions_m: NDArray[np.float64], microphones_m: NDArray[np.float64], rate_hz: int) -> NDArray[Any]:
    """Band-limited impulses after r / c, of 1 / r: shape (positions, *microphones, taps)."""
    distance = np.linalg.norm(positions_m.reshape(-1, *[1] * (microphones_m.ndim - 1), 2) - microphones_m, axis=-1)
    time = np.arange(round(0.03 * rate_hz)) - distance[..., None] / SPEED_OF_SOUND_M_S * rate_hz
    # The pass-band ends below 8 kHz, so that nothing is lost at 16 kHz.
    band = min(1.0, 14_000 / rate_hz)
    return band * np.sinc(band * time) * np.exp(-((band * time / 30) ** 2)) / distance[..., None]


def plain(rate_hz: int = SAMPLE_RATE_HZ) -> dict[str, Any]:
    return {
        "responses": free_field(POSITIONS, MICROPHONES, rate_hz),
        "positions_m": POSITIONS,
        "microphones_m": MICROPHONES,
        "rate_hz": rate_hz,
    }


def read(path: Path, arrays: int = 2) -> RirBank:
    return rirs.read_rir_bank(path, PLACE, arrays=arrays, size_m=SIZE_M)


def saved(folder: Path, content: dict[str, Any]) -> Path:
    np.savez(folder / "bank.npz", **content)
    return folder / "bank.npz"


def test_a_written_bank_is_read_again(tmp_path: Path) -> None:
    content = plain()
    bank = RirBank(content["responses"].astype(np.float32), POSITIONS, MICROPHONES, SAMPLE_RATE_HZ, "a hall")
    rirs.write_rir_bank(tmp_path / "hall.npz", bank)
    again = read(tmp_path / "hall.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["hall.npz"]
    assert (again.rate_hz, again.origin) == (SAMPLE_RATE_HZ, "a hall")
    np.testing.assert_array_equal(again.responses, bank.responses)
    np.testing.assert_array_equal(again.positions_m, POSITIONS)
    np.testing.assert_array_equal(again.microphones_m, MICROPHONES)


def test_heights_are_dropped_and_a_missing_origin_is_the_file_name(tmp_path: Path) -> None:
    tall = {key: np.insert(plain()[key], 2, 1.2, axis=-1) for key in ("positions_m", "microphones_m")}
    bank = read(saved(tmp_path, plain() | tall))
    np.testing.assert_array_equal(bank.positions_m, POSITIONS)
    np.testing.assert_array_equal(bank.microphones_m, MICROPHONES)
    assert bank.origin == "bank.npz"


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
def test_what_is_convolved_arrives_when_and_as_loud_as_geometry_says(tmp_path: Path, rate_hz: int) -> None:
    bank = read(saved(tmp_path, plain(rate_hz)))
    assert (bank.rate_hz, bank.responses.dtype) == (SAMPLE_RATE_HZ, np.float32)
    time = (np.arange(800) - 400) / SAMPLE_RATE_HZ
    packet = np.exp(-((time / 2e-3) ** 2)) * np.cos(2 * np.pi * 2_000 * time)  # well inside all pass-bands
    distance = np.linalg.norm(POSITIONS[:, None, None] - MICROPHONES, axis=-1)
    for index in np.ndindex(distance.shape):
        heard = np.convolve(packet, bank.responses[index])
        lag = np.argmax(np.correlate(heard, packet, "full")) - (len(packet) - 1)
        assert abs(lag - distance[index] / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ) <= 0.51
        level = np.sqrt((heard**2).sum() / (packet**2).sum())
        assert level == pytest.approx(1 / distance[index], rel=0.01)


def without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda content: {name: value for name, value in content.items() if name != key}


def with_value(key: str, index: tuple[int, ...], value: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(content: dict[str, Any]) -> dict[str, Any]:
        values = content[key].copy()
        values[index] = value
        return content | {key: values}

    return change


def reshaped(key: str, shape: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda content: content | {key: shape(content[key])}


@pytest.mark.parametrize(
    ("corrupt", "where", "rule", "value"),
    [
        (without("responses"), ": responses", "needs the keys", "positions_m"),
        (without("rate_hz"), ": rate_hz", "needs the keys", "responses"),
        (reshaped("responses", lambda r: r[:2]), ": responses", "(3, 2, 4, taps)", "(2, 2, 4"),
        (reshaped("responses", lambda r: r[..., 0]), ": responses", "(3, 2, 4, taps)", "(3, 2, 4)"),
        (reshaped("responses", lambda r: r[..., :0]), ": responses", "(3, 2, 4, taps)", "(3, 2, 4, 0)"),
        (reshaped("positions_m", np.ravel), ": positions_m", "(positions, 2)", "(6,)"),
        (reshaped("positions_m", lambda p: p[:0]), ": positions_m", "(positions, 2)", "(0, 2)"),
        (reshaped("microphones_m", lambda m: m[0]), ": microphones_m", "(arrays, microphones, 2)", "(4, 2)"),
        (reshaped("microphones_m", lambda m: m[:1]), ": microphones_m", "must have 2 arrays", "1 arrays"),
        (with_value("responses", (1, 0, 2, 7), np.nan), ": responses[1]", "finite", "NaN"),
        (with_value("responses", (2, 1, 3), 0.0), ": responses[2]", "every microphone", "array 1, microphone 3"),
        (with_value("positions_m", (1, 0), 6.01), ": positions_m[1]", "area of 6 × 6 m", "6.01"),
        (with_value("positions_m", (2, 1), -0.5), ": positions_m[2]", "area of 6 × 6 m", "-0.5"),
        (with_value("positions_m", (0, 1), np.nan), ": positions_m[0]", "area of 6 × 6 m", "nan"),
        (with_value("microphones_m", (0, 1, 1), np.inf), ": microphones_m", "finite", "inf"),
        (lambda content: content | {"rate_hz": 0}, ": rate_hz", "whole number of Hz", "[0.0]"),
        (lambda content: content | {"rate_hz": -16_000}, ": rate_hz", "whole number of Hz", "-16000"),
        (lambda content: content | {"rate_hz": 44_100.5}, ": rate_hz", "whole number of Hz", "44100.5"),
        (lambda content: content | {"rate_hz": np.nan}, ": rate_hz", "whole number of Hz", "nan"),
        (lambda content: content | {"rate_hz": "16 kHz"}, ": rate_hz", "real numbers", "<U6"),
        (reshaped("responses", lambda r: r.astype(complex)), ": responses", "real numbers", "complex"),
        (lambda content: content | {"rate_hz": np.array([None])}, "", "plain arrays", "allow_pickle"),
    ],
)
def test_a_corrupt_npz_is_answered_with_file_and_key(
    tmp_path: Path, corrupt: Callable[[dict[str, Any]], dict[str, Any]], where: str, rule: str, value: str
) -> None:
    path = saved(tmp_path, corrupt(plain()))
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.place == f"{path}{where}"
    assert rule in caught.value.rule
    assert value in str(caught.value.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"this is no archive" * 100])
@pytest.mark.parametrize("suffix", [".npz", ".sofa"])
def test_an_unreadable_file_is_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.place == str(path)
    assert "must be a readable archive" in caught.value.rule or "must be readable" in caught.value.rule


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, plain())
    path.write_bytes(path.read_bytes()[:-5_000])
    with pytest.raises(InputError, match="readable archive") as caught:
        read(path)
    assert caught.value.place == str(path)


def test_a_lone_array_is_no_bank(tmp_path: Path) -> None:
    with (tmp_path / "lone.npz").open("wb") as file:
        np.save(file, POSITIONS)
    with pytest.raises(InputError, match="single array"):
        read(tmp_path / "lone.npz")


@pytest.mark.parametrize(
    ("name", "rule"), [("absent.npz", "must exist"), ("absent.sofa", "must exist"), ("bank.mat", ".npz or a .sofa")]
)
def test_a_file_that_cannot_be_meant(tmp_path: Path, name: str, rule: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / name)
    assert (caught.value.place, caught.value.value) == (PLACE, str(tmp_path / name))
    assert rule in caught.value.rule
