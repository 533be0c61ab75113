"""This project's engine of today.

So far it is that of commit b016912. A new engine gets its adapter here; `ours_b016912` stays as it is.
"""

from __future__ import annotations

from benchmarks.efficiency.methods.ours_b016912 import OursB016912


class Ours(OursB016912):
    """Sampler and stopping policy of the working tree."""
