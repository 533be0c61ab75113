"""Generating a dataset, killed at random moments, ends as if nothing had happened; damage is found, named and mended."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.test_crash import processes_of

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
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def content(folder: Path) -> dict[str, bytes]:
    """All files of the datasets."""
    root = folder / "datasets"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def whole(folder: Path) -> int:
    """How many files there are under their final names."""
    return sum(path.is_file() and path.suffix != ".part" for path in (folder / "datasets").rglob("*"))


def kill_all(process: subprocess.Popen[str]) -> None:
    """Nothing gets a chance to tidy up: neither the command nor Ray nor its workers."""
    for pid, _ in [*processes_of(process.pid), (process.pid, "")]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()
    for _ in range(40):
        if not processes_of(process.pid):
            return
        time.sleep(0.25)
    pytest.fail(f"still there: {processes_of(process.pid)}")


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
            kill_all(process)
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
