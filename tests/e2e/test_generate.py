"""Generating a dataset, killed at random moments, ends as if nothing had happened; damage is found, named and mended."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.killed import kill_session, start_process

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = 10
SPEC = """
kind: room
train: 9500
validate: 200
tests: {S0: {samples: 1200, acoustics: {rt60_s: 0.2, max_order: 4, rooms: 2, positions: 30}, snr_db: 20}}
excerpts: 60
"""

pytestmark = pytest.mark.slow


def generate(folder: Path, *options: str) -> subprocess.Popen[str]:
    spec = folder / "spec.yaml"
    if not spec.exists():
        folder.mkdir(exist_ok=True)
        spec.write_text(SPEC)
    command = [sys.executable, "-m", "datasets.generate", str(spec), "--storage", str(folder), *options]
    return start_process(command)


def content(folder: Path) -> dict[str, bytes]:
    """All files of the datasets."""
    root = folder / "datasets"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def whole(folder: Path) -> int:
    """How many files there are under their final names."""
    return sum(path.is_file() and path.suffix != ".part" for path in (folder / "datasets").rglob("*"))


def test_killed_ten_times_it_ends_byte_for_byte_the_same_and_damage_is_mended(tmp_path: Path) -> None:
    undisturbed = generate(tmp_path / "undisturbed")
    out, _ = undisturbed.communicate(timeout=300)
    assert undisturbed.returncode == 0, out
    expected = content(tmp_path / "undisturbed")
    assert sum(name.endswith(".arrow") for name in expected) == 8 + 4 + 10 + 1 + 2  # music, places, three splits

    killed = tmp_path / "killed"
    moments = random.Random(1)
    kept = []
    for _ in range(KILLS):
        process = generate(killed)
        try:
            process.communicate(timeout=moments.uniform(4, 14))
        except subprocess.TimeoutExpired:
            kill_session(process)
        kept.append(whole(killed))
    assert kept == sorted(kept)  # nothing that was whole is ever lost
    last = generate(killed)
    out, _ = last.communicate(timeout=300)
    assert last.returncode == 0, out
    assert content(killed) == expected

    spoilt = next((killed / "datasets").glob("train-*")) / "00004.arrow"
    flipped = bytearray(spoilt.read_bytes())
    flipped[len(flipped) // 3] ^= 4
    spoilt.write_bytes(flipped)
    mended = generate(killed, "--verify")
    out, _ = mended.communicate(timeout=300)
    assert mended.returncode == 0, out
    assert f"damaged  {spoilt.relative_to(killed / 'datasets')}: rebuilt" in out
    assert content(killed) == expected
