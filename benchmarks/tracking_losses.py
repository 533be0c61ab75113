"""`python -m benchmarks.tracking_losses`: DOAnet's losses side by side on simulated scenes, FOA and MIC, three seeds each.

Sizes and data are those of the laptop profile of `spaces/doanet_foa.yaml` and `doanet_mic.yaml`, weights the paper's. Every
training is scored after its last epoch: threshold and smoothing are chosen on validation, the figures are the test's. What
is finished is kept, so a run that was broken off goes on, and several may share the work.
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
from datasets import sources
from runtime.files import write_text_atomic
from runtime.storage import Store
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
SHOWN: Final = ("le", "lr", "mota_authors", "mota_20deg", "ids_authors", "ids_20deg")
STORAGE: Final = Path("runs")


@dataclass(frozen=True)
class Cell:
    """One training of the table."""

    fmt: str
    loss: str
    seed: int

    def cell_path(self, folder: Path) -> Path:
        """Where its figures are kept."""
        return folder / f"{self.fmt}-{self.loss}-{self.seed}.json"


def train_cell(cell: Cell, space: Space, epochs: int) -> dict[str, Any]:
    """Train and score a cell."""
    source = sources.prepare_dataset(space.dataset, "dataset")
    data = source.open_dataset(Store(str(STORAGE / "datasets")), STORAGE / "datasets")
    values = dict(space.fixed) | {"loss.kind": cell.loss, "optimizer.lr": LEARNING_RATE}
    model = Doanet(DoanetConfig.model_validate(nest_names(values)), data, device="cpu", seed=cell.seed, epochs=epochs)
    losses = [model.train_epoch()["train_loss"] for _ in range(epochs)]
    settings = inference_grid(space)
    validated = model.evaluate("validate", settings)
    chosen = pareto.best_index(validated, space.objectives)
    [tested] = model.evaluate("test", [settings[chosen]])
    return {"test": tested, "validate": validated[chosen], "setting": settings[chosen], "train_loss": losses}


def format_table(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Median and range over the seeds that are finished, by format and loss."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for fmt, loss in itertools.product(FORMATS, LOSSES):
        paths = [Cell(fmt, loss, seed).cell_path(folder) for seed in SEEDS]
        tests = [json.loads(path.read_text())["test"] for path in paths if path.is_file()]
        if tests:
            figures = {name: Spread.from_samples([test[name] for test in tests]) for name in SHOWN}
            found.setdefault(fmt, {})[loss] = {"seeds": len(tests), **figures}
    return found


def main() -> None:
    """Train what is missing, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--part", default="0/1", help="share the work: 0/2 and 1/2 are the two halves")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    torch.set_num_threads(1)
    folder = STORAGE / "benchmarks" / f"tracking_losses-{options.epochs}"
    folder.mkdir(parents=True, exist_ok=True)
    # The paper's four first, a seed after the other, so that what is there when it is broken off can be compared.
    cells = [Cell(fmt, loss, seed) for seed, loss, fmt in itertools.product(SEEDS, LOSSES[:-1], FORMATS)]
    cells += [Cell(fmt, LOSSES[-1], seed) for seed, fmt in itertools.product(SEEDS, FORMATS)]
    for cell in cells[part::parts]:
        if not cell.cell_path(folder).is_file():
            space = load_space(Path(f"spaces/doanet_{cell.fmt}.yaml"), has_gpu=False, profile="laptop")
            result = train_cell(cell, space, options.epochs)
            write_text_atomic(cell.cell_path(folder), json.dumps(result))
            print(cell, {name: round(result["test"][name], 1) for name in SHOWN}, flush=True)
    found = format_table(folder)
    for fmt, rows in found.items():
        for loss, figures in rows.items():
            print(f"{fmt} {loss:<16}", "  ".join(f"{name} {figures[name]}" for name in SHOWN))
    print(write_results("tracking_losses", {"epochs": options.epochs, "test": found}))


if __name__ == "__main__":
    main()
