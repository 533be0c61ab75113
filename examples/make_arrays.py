"""Write `examples/my_arrays/`, which stands for your own data: `python -m examples.make_arrays`."""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("my_arrays")
SAMPLES = {"train": 800, "validate": 200, "test": 200}
FEATURES = 8


def main() -> None:
    """Draw features, shape (samples, 8), the first of them constant, and labels, shape (samples,), of each split."""
    generator = np.random.default_rng(0)
    direction = generator.normal(size=FEATURES)
    FOLDER.mkdir(exist_ok=True)
    table = []
    for split, samples in SAMPLES.items():
        x = generator.normal(size=(samples, FEATURES))
        x[:, 0] = 1
        y = x @ direction + generator.normal(size=samples) > 1
        np.savez(FOLDER / f"{split}.npz", x=x, y=y)
        table.append(np.column_stack([x, y]))
    names = [f"x{index}" for index in range(FEATURES)]
    np.savetxt(FOLDER / "table.csv", np.concatenate(table), delimiter=",", header=",".join([*names, "y"]), comments="")
    print(f"wrote {FOLDER}")


if __name__ == "__main__":
    main()
