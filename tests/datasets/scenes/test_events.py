"""Event sounds: what is wrong with a folder is said, and no sound serves two groups of folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from datasets.scenes import events, synth
from datasets.scenes.events import EventSounds
from datasets.scenes.spec import SceneSpec
from datasets.tau2020.layout import SAMPLE_RATE_HZ
from runtime.errors import InputError

PLACE = "scenes.yaml: events"


def tone(hertz: float, seconds: float = 1.0, rate_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float64]:
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate_hz)) / rate_hz)


def put(path: Path, wave: NDArray[np.float64], rate_hz: int = SAMPLE_RATE_HZ) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate_hz)
    return path


def heard(folder: Path, seed: int = 0) -> EventSounds:
    return events.gather_events(SceneSpec(seed=seed), events.scan_events(folder, PLACE).pieces, lambda *_: None)


def pitch_hz(clip: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(clip * np.hanning(len(clip)), 8 * SAMPLE_RATE_HZ))
    return float(spectrum.argmax() / 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(7):
        put(tmp_path / "horn" / f"{number}.wav", tone(300 + 100 * number))
    put(tmp_path / "bell" / "only.flac", np.concatenate([tone(1_000), tone(2_000), tone(3_000)]))
    return tmp_path


def test_classes_are_the_sorted_names_of_the_folders(folder: Path) -> None:
    assert heard(folder).classes == ("bell", "horn")


def test_a_file_serves_one_group_and_all_are_used(folder: Path) -> None:
    sounds = heard(folder)
    pitches = {group: {round(pitch_hz(clip)) for clip in clips[1]} for group, clips in sounds.clips.items()}
    assert sorted(pitch for group in pitches.values() for pitch in group) == [300 + 100 * n for n in range(7)]
    assert [len(pitches[group]) for group in ("train", "validate", "test")] == [5, 1, 1]


def test_another_seed_shares_the_files_out_differently(folder: Path) -> None:
    assert len({pitch_hz(heard(folder, seed).clips["test"][1][0]) for seed in range(8)}) > 1


def test_the_only_file_of_a_class_is_cut_into_disjoint_parts(folder: Path) -> None:
    clips = {group: clips[0] for group, clips in heard(folder).clips.items()}
    assert [len(clips[group][0]) / SAMPLE_RATE_HZ for group in clips] == pytest.approx([2, 0.5, 0.5], abs=0.01)
    assert pitch_hz(clips["train"][0][:SAMPLE_RATE_HZ]) == pytest.approx(1_000, abs=1)
    assert pitch_hz(clips["train"][0][SAMPLE_RATE_HZ:]) == pytest.approx(2_000, abs=2)
    assert pitch_hz(clips["validate"][0]) == pytest.approx(3_000, abs=2)


@pytest.mark.parametrize(("suffix", "rate_hz"), [(".wav", 44_100), (".flac", 16_000), (".ogg", 48_000)])
def test_any_rate_and_stereo_are_read(tmp_path: Path, suffix: str, rate_hz: int) -> None:
    both = np.stack([tone(440, 2, rate_hz), tone(440, 2, rate_hz)], axis=1)
    for number in range(3):
        put(tmp_path / "horn" / f"{number}{suffix}", both, rate_hz)
    clip = heard(tmp_path).clips["test"][0][0]
    assert pitch_hz(clip) == pytest.approx(440, abs=1)
    assert len(clip) == pytest.approx(2 * SAMPLE_RATE_HZ, abs=500)
    assert np.sqrt(np.mean(np.square(clip))) == pytest.approx(events.CLIP_RMS, rel=1e-3)


def test_silence_is_cut_off_and_pauses_are_shortened() -> None:
    rest = np.zeros(SAMPLE_RATE_HZ)
    short = np.zeros(round(0.2 * SAMPLE_RATE_HZ))
    wave = np.concatenate([rest, tone(500, 0.5), short, tone(500, 0.5), rest, tone(500, 0.5), rest])
    kept = events.trim_silence(wave.astype(np.float32))
    assert len(kept) / SAMPLE_RATE_HZ == pytest.approx(0.5 + 0.2 + 0.5 + 0.3 + 0.5, abs=0.05)
    quiet = np.flatnonzero(np.abs(kept) > 1e-3)
    assert np.diff(quiet).max() / SAMPLE_RATE_HZ == pytest.approx(0.3, abs=0.03)
    assert len(events.trim_silence(rest.astype(np.float32))) == 0


def test_one_blow_does_not_drown_all_other_events(tmp_path: Path) -> None:
    for number in range(3):
        wave = 0.001 * np.random.default_rng(number).standard_normal(2 * SAMPLE_RATE_HZ)
        wave[10_000] = 0.9
        put(tmp_path / "crackle" / f"{number}.wav", wave)
    assert np.abs(heard(tmp_path).clips["train"][0][0]).max() <= events.CLIP_PEAK * 1.001


def spoil_missing(folder: Path) -> tuple[Path, str, str]:
    return folder / "absent", PLACE, "must exist"


def spoil_flat(folder: Path) -> tuple[Path, str, str]:
    return folder / "horn", PLACE, "a sub-folder per class"


def spoil_class(folder: Path) -> tuple[Path, str, str]:
    (folder / "gong").mkdir()
    return folder, str(folder / "gong"), "needs a sound file"


def spoil_empty(folder: Path) -> tuple[Path, str, str]:
    (folder / "horn" / "0.wav").write_bytes(b"")
    return folder, str(folder / "horn" / "0.wav"), "must not be empty"


def spoil_truncated(folder: Path) -> tuple[Path, str, str]:
    path = folder / "horn" / "1.wav"
    path.write_bytes(path.read_bytes()[:20_000])
    return folder, str(path), "as long as its header says"


def spoil_text(folder: Path) -> tuple[Path, str, str]:
    (folder / "horn" / "2.ogg").write_text("not a sound")
    return folder, str(folder / "horn" / "2.ogg"), "must be readable"


def spoil_nan(folder: Path) -> tuple[Path, str, str]:
    wave = tone(500)
    wave[77] = np.nan
    soundfile.write(folder / "horn" / "3.wav", wave, SAMPLE_RATE_HZ, subtype="FLOAT")
    return folder, str(folder / "horn" / "3.wav"), "finite"


def spoil_silent(folder: Path) -> tuple[Path, str, str]:
    return folder, str(put(folder / "horn" / "4.wav", np.zeros(SAMPLE_RATE_HZ))), "must contain sound"


def spoil_short(folder: Path) -> tuple[Path, str, str]:
    return folder, str(put(folder / "click" / "one.wav", tone(900, 0.3))), "long enough to be cut"


SPOILED = [
    spoil_missing,
    spoil_flat,
    spoil_class,
    spoil_empty,
    spoil_truncated,
    spoil_text,
    spoil_nan,
    spoil_silent,
    spoil_short,
]


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_what_is_wrong_is_said_with_its_place(folder: Path, spoil: object) -> None:
    assert callable(spoil)
    where, place, rule = spoil(folder)
    with pytest.raises(InputError) as caught:
        heard(where)
    assert caught.value.place == place
    assert rule in caught.value.rule
    assert caught.value.remedy


@pytest.fixture(scope="module")
def band() -> EventSounds:
    return events.gather_events(SceneSpec(event_s=(0.5, 1.5)), None, lambda *_: None)


def test_procedural_events_never_repeat_between_groups(band: EventSounds) -> None:
    assert band.classes == synth.CLASSES
    everything = [clip.tobytes() for clips in band.clips.values() for of_class in clips for clip in of_class]
    assert len(set(everything)) == len(everything) == 6 * 18


def test_procedural_classes_are_plainly_different(band: EventSounds) -> None:
    """Told apart by the shares of energy in octaves and the crest, with the nearest class mean heard in training."""

    def traits(clip: NDArray[np.float32]) -> NDArray[np.float64]:
        power = np.square(np.abs(np.fft.rfft(clip)))
        frequency = np.fft.rfftfreq(len(clip), 1 / SAMPLE_RATE_HZ)
        octaves = [power[(frequency >= low) & (frequency < 2 * low)].sum() for low in 62.5 * 2.0 ** np.arange(8)]
        crest = np.abs(clip).max() / np.sqrt(np.mean(np.square(clip)))
        return np.array([*np.log10(np.array(octaves) / power.sum() + 1e-3), np.log10(crest)])

    means = np.array([np.mean([traits(clip) for clip in clips], axis=0) for clips in band.clips["train"]])
    tried = [(kind, clip) for kind, clips in enumerate(band.clips["test"]) for clip in clips]
    right = [np.linalg.norm(means - traits(clip), axis=1).argmin() == kind for kind, clip in tried]
    assert np.mean(right) > 0.8  # 1 in 6 by chance


def test_procedural_events_have_no_long_pauses(band: EventSounds) -> None:
    for clips in band.clips["train"]:
        for clip in clips:
            assert len(events.trim_silence(clip)) > 0.8 * len(clip)
