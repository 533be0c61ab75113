"""Mixtures from memory maps to the device, alone and feeding a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.gpu.datasets import open_built
from benchmarks.gpu.feeding import FEEDS, random_batches, train_fed
from benchmarks.gpu.session import Session
from benchmarks.gpu.workloads import localizer_config
from datasets.rooms.dataset import Batch, Dataset
from trainables.localizer.trainable import Localizer


def measure(session: Session) -> None:
    """Measure every way of feeding, the trainings that it feeds, and an epoch of the trainable as it is."""
    data = open_built(session)
    for name in FEEDS:
        session.attempt(f"{name}/batch_128", measure_feed, session, data, name, 128)
    for network in ("rg_paper", "rg_laptop"):
        for name in ("plain", "prefetched", "prefetched_int16", "resident_int16"):
            session.attempt(f"training/{network}/{name}", measure_fed_training, session, data, network, name)
        session.attempt(f"epoch/{network}", measure_epoch, session, data, network)


def measure_feed(session: Session, data: Dataset, name: str, batch: int) -> float:
    """Return mixtures per second that reach the device without a training."""
    split = data.open_split("train")
    batches = FEEDS[name](split, random_batches(len(split), batch), session.device)

    def take() -> int:
        return len(next(batches).waves)

    try:
        return session.measure_rate(take)
    finally:
        batches.close()  # type: ignore[attr-defined]


def build_localizer(session: Session, data: Dataset, network: str, seed: int = 0, epochs: int = 200) -> Localizer:
    """Build a localizer of the table on the device of the session."""
    config = localizer_config(network, miniature=session.miniature)
    return Localizer(config, data, device=session.device.type, seed=seed, epochs=epochs)


def measure_fed_training(session: Session, data: Dataset, network: str, name: str) -> float:
    """Return mixtures per second of a training that is fed in one way."""
    model = build_localizer(session, data, network)
    split = data.open_split("train")
    indices = random_batches(len(split), model.config.optimizer.batch_size)
    batches = FEEDS[name](split, indices, session.device)
    return measure_fed_rate(session, batches, train_fed(model))


def measure_fed_rate(session: Session, batches: Iterator[Batch], train: Callable[[Batch], None]) -> float:
    """Return mixtures per second of a function that trains on a batch; closes the batches."""

    def step() -> int:
        batch = next(batches)
        train(batch)
        return len(batch.waves)

    try:
        return session.measure_rate(step, warm_up=10)
    finally:
        batches.close()  # type: ignore[attr-defined]


def measure_epoch(session: Session, data: Dataset, network: str) -> dict[str, float]:
    """Return mixtures per second of `train_epoch`; the first epoch includes the choice of algorithms."""
    model = build_localizer(session, data, network)
    samples = len(data.open_split("train"))
    first = session.measure_seconds(model.train_epoch)
    second = session.measure_seconds(model.train_epoch)
    return {"first_epoch_per_second": samples / first, "second_epoch_per_second": samples / second}
