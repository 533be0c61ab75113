"""`python -m benchmarks.tracking_losses`: comparison of the losses of DOAnet on simulated scenes, FOA and MIC, three seeds.

Sizes and data are those of the laptop profile of `spaces/doanet_foa.yaml` and `doanet_mic.yaml`; the loss weights are those
of the paper. Each training is scored after its last epoch: threshold and smoothing are chosen on the validation split, and
the test scores are reported. Finished trainings are stored, so an interrupted run continues, and several processes can
share the work.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.measure import Spread, write_results
from datasets.registry import prepare_dataset
from runtime.files import write_text_atomic
from runtime.storage import storage_at
from search.execution.trial import inference_grid
from search.study import pareto
from spaces.load import load_space
from spaces.schema import Space, nest_names
from trainables.doanet.config import DoanetConfig
from trainables.doanet.trainable import Doanet

EPOCHS: Final = 32
LEARNING_RATE: Final = 0.003
SEEDS: Final = (0, 1, 2)
FORMATS: Final = ("foa", "mic")
LOSSES: Final = ("mse", "dmotp", "dmotp_act", "dmotp_dmota_act", "pit_mse")
METRICS: Final = ("le", "lr", "mota_authors", "mota_20deg", "ids_authors", "ids_20deg")
STORAGE: Final = Path("runs")


@dataclass(frozen=True)
class Cell:
    """One training of the table: audio format, loss and seed."""

    fmt: str
    loss: str
    seed: int

    def cell_path(self, folder: Path) -> Path:
        """Return the path of the stored scores."""
        return folder / f"{self.fmt}-{self.loss}-{self.seed}.json"


def train_cell(cell: Cell, space: Space, epochs: int) -> dict[str, Any]:
    """Train a model and return its scores."""
    source = prepare_dataset(space.dataset, "dataset")
    data = source.open_dataset(storage_at(str(STORAGE / "datasets")), STORAGE / "datasets")
    values = dict(space.fixed) | {"loss.kind": cell.loss, "optimizer.lr": LEARNING_RATE}
    model = Doanet(DoanetConfig.model_validate(nest_names(values)), data, device="cpu", seed=cell.seed, epochs=epochs)
    losses = [model.train_epoch()["train_loss"] for _ in range(epochs)]
    settings = inference_grid(space)
    validated = model.evaluate("validate", settings)
    chosen = pareto.best_index(validated, space.objectives)
    [tested] = model.evaluate("test", [settings[chosen]])
    return {"test": tested, "validate": validated[chosen], "setting": settings[chosen], "train_loss": losses}


def format_table(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the spread of each metric over the finished seeds, by format and loss."""
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for fmt, loss in itertools.product(FORMATS, LOSSES):
        paths = [Cell(fmt, loss, seed).cell_path(folder) for seed in SEEDS]
        tests = [json.loads(path.read_text())["test"] for path in paths if path.is_file()]
        if tests:
            spreads = {name: Spread.from_samples([test[name] for test in tests]) for name in METRICS}
            table.setdefault(fmt, {})[loss] = {"seeds": len(tests), **spreads}
    return table


def main() -> None:
    """Run the missing trainings, print and store the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument(
        "--part", default="0/1", help="part of the work to be done by this process: 0/2 and 1/2 are the two halves"
    )
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    torch.set_num_threads(1)
    folder = STORAGE / "benchmarks" / f"tracking_losses-{options.epochs}"
    folder.mkdir(parents=True, exist_ok=True)
    # The four losses of the paper come first, seed by seed, so that the results of an interrupted run are comparable.
    cells = [Cell(fmt, loss, seed) for seed, loss, fmt in itertools.product(SEEDS, LOSSES[:-1], FORMATS)]
    cells += [Cell(fmt, LOSSES[-1], seed) for seed, fmt in itertools.product(SEEDS, FORMATS)]
    for cell in cells[part::parts]:
        if not cell.cell_path(folder).is_file():
            space = load_space(Path(f"spaces/doanet_{cell.fmt}.yaml"), has_gpu=False, profile="laptop")
            result = train_cell(cell, space, options.epochs)
            write_text_atomic(cell.cell_path(folder), json.dumps(result))
            print(cell, {name: round(result["test"][name], 1) for name in METRICS}, flush=True)
    table = format_table(folder)
    for fmt, rows in table.items():
        for loss, spreads in rows.items():
            print(f"{fmt} {loss:<16}", "  ".join(f"{name} {spreads[name]}" for name in METRICS))
    print(write_results("tracking_losses", {"epochs": options.epochs, "test": table}))


if __name__ == "__main__":
    main()
