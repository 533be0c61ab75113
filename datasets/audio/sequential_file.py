"""Sound files that are read from the beginning to the end; imported late, like soundfile."""

from __future__ import annotations

import soundfile


class SequentialFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """Sound file without seeking.

    soundfile seeks to the current position after each read, which libsndfile may miss in an Ogg file.
    """

    def seekable(self) -> bool:
        """Return False, so that no read is followed by a seek."""
        return False
