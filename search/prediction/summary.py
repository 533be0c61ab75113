"""What is printed about a recording: the tracks that were found, and what is unlike the training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trainables.source_tracks import FoundTrack

_LISTED: Final = 10
"""Largest number of tracks that are listed."""
_LEAST_ACTIVE_S: Final = 0.5
"""Shorter tracks are counted only: most of them are wrong detections of a moment."""


def describe_tracks(tracks: Sequence[FoundTrack]) -> list[str]:
    """Return a line of text per track, the longest active ones in the order of their numbers, and one about the others."""
    ranked = sorted(tracks, key=lambda track: (-track.active_s, track.number))
    listed = [track for track in ranked if track.active_s >= _LEAST_ACTIVE_S][:_LISTED]
    lines = [
        f"  track {track.number:<3} {track.location}, active {track.active_s:.1f} s "
        f"from {track.first_s:.1f} to {track.last_s:.1f} s"
        for track in sorted(listed, key=lambda track: track.number)
    ]
    others = len(tracks) - len(listed)
    if others:
        longest = max(track.active_s for track in ranked[len(listed) :])
        kind = "track" if others == 1 else "tracks"
        lines.append(f"  {others} more {kind}, active for at most {longest:.1f} s")
    return lines


def describe_warnings(departures: Sequence[str]) -> list[str]:
    """Return a warning per difference from the training data."""
    return [f"  warning: unlike the training data, {departure}" for departure in departures]
