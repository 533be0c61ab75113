"""Write `examples/my_arrays.npz`, which stands for your own data: `python -m examples.make_arrays`."""

from pathlib import Path
from typing import Any

import numpy as np

ARRAYS = Path(__file__).with_name("my_arrays.npz")
SAMPLES = {"train": 800, "validate": 200, "test": 200}
FEATURES = 8


def main() -> None:
    """Draw features, shape (samples, 8), the first of them constant, and labels, shape (samples,), of each split."""
    generator = np.random.default_rng(0)
    direction = generator.normal(size=FEATURES)
    arrays: dict[str, Any] = {}
    for split, samples in SAMPLES.items():
        features = generator.normal(size=(samples, FEATURES))
        features[:, 0] = 1
        arrays[f"{split}_x"] = features
        arrays[f"{split}_y"] = features @ direction + generator.normal(size=samples) > 1
    np.savez(ARRAYS, **arrays)
    print(f"wrote {ARRAYS}")


if __name__ == "__main__":
    main()
