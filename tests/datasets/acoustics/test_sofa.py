"""SOFA files written with the standard's own library: geometry, delays and emitters come out as they were put in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import sofar

from datasets.acoustics import rirs
from datasets.acoustics.arrays import SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S
from datasets.acoustics.rirs import RirBank
from datasets.rooms.spec import RoomSpec
from runtime.errors import InputError
from tests.datasets.acoustics.test_rirs import PLACE, POSITIONS, SIZE_M, free_field

MICROPHONES = RoomSpec().microphones_m()
FLAT = MICROPHONES.reshape(-1, 2)
TAPS = 480


def upright(points_m: Any, height_m: float = 0.0) -> Any:
    return np.insert(np.asarray(points_m, float), 2, height_m, axis=-1)


def single_room(**changes: Any) -> Any:
    """Three positions, eight receivers around a listener at (3, 3), turned by 90 degrees."""
    file = sofar.Sofa("SingleRoomSRIR")
    offsets = FLAT - 3.0
    turned = np.stack([offsets[:, 1], -offsets[:, 0]], axis=1)  # as seen by someone who faces +y
    file.Data_IR = free_field(POSITIONS, FLAT, SAMPLE_RATE_HZ)
    file.Data_SamplingRate = SAMPLE_RATE_HZ
    file.Data_Delay = np.zeros((1, 8))
    file.ListenerPosition = np.tile([3.0, 3.0, 1.2], (3, 1))
    file.ListenerView = np.array([[0.0, 1.0, 0.0]])
    file.ListenerUp = np.array([[0.0, 0.0, 1.0]])
    file.ReceiverPosition = upright(turned)
    file.ReceiverPosition_Type, file.ReceiverPosition_Units = "cartesian", "metre"
    file.SourcePosition = upright(POSITIONS, 1.2)
    file.MeasurementDate = np.zeros(3)
    file.GLOBAL_Title = "a hall"
    for name, value in changes.items():
        setattr(file, name, value)
    return slim(file)


def slim(file: Any) -> Any:
    """Drop what the library adds for one receiver or emitter and a bank does not read."""
    for name in [
        name for name in vars(file) if name.startswith(("ReceiverView", "ReceiverUp", "EmitterView", "EmitterUp"))
    ]:
        file.delete(name)
    for name in ("ReceiverDescriptions", "EmitterDescriptions"):
        if hasattr(file, name):
            file.delete(name)
    return file


def written(folder: Path, file: Any) -> Path:
    sofar.write_sofa(str(folder / "room.sofa"), file)
    return folder / "room.sofa"


def read(path: Path, arrays: int = 2) -> RirBank:
    return rirs.read_rir_bank(path, PLACE, arrays=arrays, size_m=SIZE_M)


def assert_is_the_room(bank: RirBank) -> None:
    np.testing.assert_allclose(bank.positions_m, POSITIONS, atol=1e-9)
    np.testing.assert_allclose(bank.microphones_m, MICROPHONES, atol=1e-9)
    expected = free_field(POSITIONS, MICROPHONES, SAMPLE_RATE_HZ)
    np.testing.assert_allclose(bank.responses[..., :TAPS], expected, atol=1e-6)


def test_receivers_around_a_turned_listener_stand_where_the_arrays_are(tmp_path: Path) -> None:
    bank = read(written(tmp_path, single_room()))
    assert_is_the_room(bank)
    assert bank.origin == "SingleRoomSRIR: a hall"


def test_spherical_sources_are_the_same_as_cartesian_ones(tmp_path: Path) -> None:
    degrees = np.rad2deg(np.arctan2(POSITIONS[:, 1], POSITIONS[:, 0]))
    spherical = np.stack([degrees, np.full(3, 0.0), np.linalg.norm(POSITIONS, axis=1)], axis=1)
    file = single_room(
        SourcePosition=spherical, SourcePosition_Type="spherical", SourcePosition_Units="degree, degree, metre"
    )
    assert_is_the_room(read(written(tmp_path, file)))


def test_other_rates_arrive_at_16_khz(tmp_path: Path) -> None:
    file = single_room(Data_IR=free_field(POSITIONS, FLAT, 48_000), Data_SamplingRate=48_000)
    bank = read(written(tmp_path, file))
    delay = np.linalg.norm(POSITIONS[:, None, None] - MICROPHONES, axis=-1) / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ
    assert np.abs(np.argmax(bank.responses, axis=-1) - delay).max() <= 0.51


@pytest.mark.parametrize("delay", [1.0, 7.0, 12.25])
def test_a_delay_kept_apart_is_put_back(tmp_path: Path, delay: float) -> None:
    early = single_room()
    late = single_room(Data_Delay=np.full((1, 8), delay) * (np.arange(8) == 5))
    before, after = (
        read(written(tmp_path, file)).responses.reshape(3, 8, -1).astype(np.float64) for file in (early, late)
    )
    length = after.shape[-1]
    np.testing.assert_allclose(after[:, :5, :TAPS], before[:, :5], atol=1e-7)
    assert not after[:, :5, TAPS:].any()
    # An independent way to be late: by the slope of the phase.
    spectra = [np.fft.rfft(each[:, 5], length) for each in (before, after)]
    bins = np.arange(1, length // 3)
    turn = np.exp(-2j * np.pi * bins * delay / length)
    np.testing.assert_allclose(spectra[1][:, bins], spectra[0][:, bins] * turn, atol=1e-3)


def many_emitters(convention: str) -> Any:
    """One loudspeaker array at the origin whose emitters are the three positions, measured once."""
    file = sofar.Sofa(convention, verify=False)
    responses = free_field(POSITIONS, FLAT, SAMPLE_RATE_HZ)  # (emitters, receivers, taps)
    file.Data_IR = responses.transpose(1, 2, 0)[None]
    file.Data_SamplingRate = SAMPLE_RATE_HZ
    file.Data_Delay = np.zeros((1, 8, 3))
    file.ListenerPosition = np.zeros((1, 3))
    file.ReceiverPosition = upright(FLAT)
    file.ReceiverPosition_Type, file.ReceiverPosition_Units = "cartesian", "metre"
    file.SourcePosition = np.array([[1.0, 0.5, 0.0]])
    file.SourcePosition_Type, file.SourcePosition_Units = "cartesian", "metre"
    file.EmitterPosition = upright(POSITIONS - [1.0, 0.5])
    file.EmitterPosition_Type, file.EmitterPosition_Units = "cartesian", "metre"
    return slim(file)


@pytest.mark.parametrize("convention", ["SingleRoomMIMOSRIR", "GeneralFIR-E"])
def test_every_emitter_is_a_position(tmp_path: Path, convention: str) -> None:
    assert_is_the_room(read(written(tmp_path, many_emitters(convention))))


def test_the_old_convention_for_loudspeakers_has_emitters_before_samples(tmp_path: Path) -> None:
    content = {
        "Data.IR": ("MREN", free_field(POSITIONS, FLAT, SAMPLE_RATE_HZ).transpose(1, 0, 2)[None]),
        "Data.SamplingRate": ("I", np.array([SAMPLE_RATE_HZ])),
        "Data.Delay": ("IRE", np.zeros((1, 8, 3))),
        "ListenerPosition": ("IC", np.zeros((1, 3))),
        "ReceiverPosition": ("RCI", upright(FLAT)[..., None]),
        "SourcePosition": ("IC", np.zeros((1, 3))),
        "EmitterPosition": ("ECI", upright(POSITIONS)[..., None]),
    }
    # The library reads this convention, and refuses to write it.
    with netCDF4.Dataset(tmp_path / "old.sofa", "w") as file:
        file.SOFAConventions, file.DataType = "MultiSpeakerBRIR", "FIRE"
        for name, size in {"I": 1, "M": 1, "C": 3, "R": 8, "E": 3, "N": TAPS}.items():
            file.createDimension(name, size)
        for name, (dimensions, values) in content.items():
            file.createVariable(name, "f8", tuple(dimensions))[:] = values
    assert_is_the_room(read(tmp_path / "old.sofa"))


def test_the_general_convention_needs_no_views(tmp_path: Path) -> None:
    file = sofar.Sofa("GeneralFIR")
    file.Data_IR = free_field(POSITIONS, FLAT, SAMPLE_RATE_HZ)
    file.Data_SamplingRate, file.Data_Delay = SAMPLE_RATE_HZ, np.zeros((1, 8))
    file.ReceiverPosition = upright(FLAT)
    file.SourcePosition = upright(POSITIONS)
    file.SourcePosition_Type, file.SourcePosition_Units = "cartesian", "metre"
    file.delete("ListenerView")
    assert_is_the_room(read(written(tmp_path, file)))


def test_receivers_are_dealt_to_arrays_in_their_order(tmp_path: Path) -> None:
    path = written(tmp_path, single_room())
    assert read(path, arrays=4).microphones_m.shape == (4, 2, 2)
    with pytest.raises(InputError, match="into 3 arrays") as caught:
        read(path, arrays=3)
    assert (caught.value.place, caught.value.value) == (f"{path}: ReceiverPosition", "8 receivers")


def edited(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Change a variable in the file itself, past the library's own checks."""

    def edit(path: Path) -> None:
        with netCDF4.Dataset(path, "a") as file:
            file[name][:] = change(np.array(file[name][:]))

    return edit


def at(index: tuple[int, ...], value: float) -> Callable[[Any], Any]:
    def change(values: Any) -> Any:
        values[index] = value
        return values

    return change


def renamed(name: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        with netCDF4.Dataset(path, "a") as file:
            file.renameVariable(name, "Other")

    return edit


def labelled(name: str | None, attribute: str, value: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        with netCDF4.Dataset(path, "a") as file:
            (file if name is None else file[name]).setncattr(attribute, value)

    return edit


def moved(values: Any) -> Any:
    values[1] += 0.5
    return values


@pytest.mark.parametrize(
    ("corrupt", "where", "rule"),
    [
        (renamed("Data.IR"), "Data.IR", "needs this variable"),
        (renamed("SourcePosition"), "SourcePosition", "needs this variable"),
        (renamed("ReceiverPosition"), "ReceiverPosition", "needs this variable"),
        (renamed("Data.SamplingRate"), "Data.SamplingRate", "needs this variable"),
        (edited("Data.IR", at((1, 3, 9), np.nan)), "Data.IR[1]", "finite"),
        (edited("Data.IR", at((2, 6), 0.0)), "Data.IR[2]", "every microphone"),
        (edited("Data.SamplingRate", lambda rate: -rate), "Data.SamplingRate", "whole number"),
        (edited("Data.Delay", lambda delay: delay - 1), "Data.Delay", "at least 0"),
        (edited("SourcePosition", at((1, 0), 7.5)), "SourcePosition[1]", "area of 6 × 6 m"),
        (edited("SourcePosition", at((2, 1), np.nan)), "SourcePosition[2]", "finite"),
        (edited("ListenerPosition", moved), "ListenerPosition[1]", "must not move"),
        (edited("ListenerView", lambda view: 0 * view), "ListenerView[0]", "zero vector"),
        (edited("ListenerUp", lambda up: up[:, [0, 2, 1]]), "ListenerView[0]", "not be parallel"),
        (labelled(None, "DataType", "TF"), "GLOBAL:DataType", "FIR"),
        (labelled(None, "DataType", "FIR-E"), "Data.IR", "(M, R, N, E)"),
        (labelled("SourcePosition", "Type", "spherical harmonics"), "SourcePosition:Type", "cartesian or spherical"),
    ],
)
def test_a_corrupt_sofa_file_is_answered_with_file_and_variable(
    tmp_path: Path, corrupt: Callable[[Path], None], where: str, rule: str
) -> None:
    path = written(tmp_path, single_room())
    corrupt(path)
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.place == f"{path}: {where}"
    assert rule in caught.value.rule


def test_a_position_for_one_receiver_of_eight_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path, single_room())
    with netCDF4.Dataset(path, "a") as content:
        content.renameVariable("ReceiverPosition", "Other")
        content.createVariable("ReceiverPosition", "f8", ("I", "C"))[:] = 0.0
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.place == f"{path}: ReceiverPosition"
    assert "(8, 3, 1 or M)" in caught.value.rule
