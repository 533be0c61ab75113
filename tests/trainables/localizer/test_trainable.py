"""The parts put together: sweeps, the order of samples, learning rates, and prediction against evaluation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from torch import Tensor

from datasets.rooms.dataset import Batch, Dataset, Split, build_dataset
from datasets.rooms.disturbed import DisturbedSplit
from datasets.rooms.spec import RoomSpec
from tests.datasets.small import plan_samples
from tests.trainables.localizer.support import small
from trainables.localizer import features
from trainables.localizer.config import LocalizerConfig
from trainables.localizer.retrieval import complete_params
from trainables.localizer.trainable import Localizer, SteeredLocalizer, build_optimizer
from trainables.precision import use_bf16
from trainables.schedules import rate_factor


def localizer(data: Dataset, config: LocalizerConfig | None = None, epochs: int = 4, seed: int = 0) -> Localizer:
    return Localizer(config or small(), data, device="cpu", seed=seed, epochs=epochs)


@pytest.fixture(scope="module")
def trained(tiny: Dataset) -> Localizer:
    """Two epochs are enough for scores that differ."""
    model = localizer(tiny)
    for _ in range(2):
        model.train_epoch()
    return model


def same(first: dict[str, float], second: dict[str, float]) -> bool:
    return first.keys() == second.keys() and np.array_equal(list(first.values()), list(second.values()), equal_nan=True)


SWEEP: list[dict[str, float]] = [
    {},
    {"threshold": 0.2},
    {"threshold": 0.35, "nms_radius_m": 2.5},
    {"threshold": 0.2, "nms_radius_m": 0.0},
    {"threshold": 0.2, "nms_radius_m": 2.5},
    {"threshold": 0.35, "smoothing_m": 0.5},
    {"threshold": 0.2},
]


def test_metrics_are_those_at_the_resolutions_of_the_config(trained: Localizer, tiny: Dataset) -> None:
    model = localizer(tiny, small(evaluation__resolutions_m=[0.3, 0.8, 2.5]))
    model.load_weights(trained.weights())
    ours, usual = (subject.evaluate("validate", [{"threshold": 0.2}])[0] for subject in (model, trained))
    f1 = [ours[f"f1_{resolution}m"] for resolution in ("0.3", "0.8", "2.5")]
    assert f1[0] == usual["f1_0.3m"]
    assert f1 == sorted(f1)
    assert ours["f1_mean"] == pytest.approx(sum(f1) / 3)
    assert not [name for name in ours if name.endswith("_1m")]
    beside = model.score_yardsticks(["S0"])["SRP-PHAT"]["S0"]
    assert beside.keys() == ours.keys() - {"loss"}


def test_the_worst_and_the_mean_are_over_all_conditions(tiny: Dataset) -> None:
    config = small(evaluation__snr_db=[0.0], evaluation__gain_db=[6.0])
    conditions = config.evaluation.list_conditions()
    assert [(c.snr_db, c.gain_db) for c in conditions] == [(None, 0.0), (None, 6.0), (0.0, 0.0), (0.0, 6.0)]
    assert config.without_conditions().evaluation.list_conditions() == conditions[:1]
    # MUSIC, since a hardly trained network finds the same in noise
    usual, disturbed = (
        SteeredLocalizer(tiny, "MUSIC", device="cpu", evaluation=evaluation)
        for evaluation in (small().evaluation, config.evaluation)
    )
    params = complete_params(usual.config.retrieval, usual.choose_inference_params())
    plain, found = (subject.evaluate("validate", [params, {"threshold": 0.9}]) for subject in (usual, disturbed))
    for before, after in zip(plain, found, strict=True):
        assert {name: after[name] for name in before} == pytest.approx(before, nan_ok=True)
    with torch.inference_mode():
        each = [
            usual._evaluate_samples(DisturbedSplit(tiny.open_split("validate"), condition), [params])[0]["f1_mean"]
            for condition in conditions[1:]
        ] + [plain[0]["f1_mean"]]
    assert len(set(each)) > 2
    assert found[0]["f1_mean_worst"] == pytest.approx(min(each))
    assert found[0]["f1_mean_average"] == pytest.approx(sum(each) / 4)


def test_an_evaluation_builds_no_optimizer_for_which_torch_imports_its_compiler(
    trained: Localizer, tiny: Dataset
) -> None:
    model = localizer(tiny)
    model.load_weights(trained.weights())
    model.evaluate("validate", [{}])
    assert "optimizer" not in vars(model)
    model.train_epoch()
    assert "optimizer" in vars(model)


@pytest.mark.parametrize("representation", ["rg", "hm", "tg"])
def test_a_sweep_gives_what_each_setting_gives_alone(tiny: Dataset, representation: str) -> None:
    fine = {"grid__cells": 20, "retrieval__smoothing_m": 0.3, "network__heatmap_activation": "sigmoid"}
    model = localizer(tiny, small(representation=representation, **({} if representation == "rg" else fine)))
    model.train_epoch()
    together = model.evaluate("validate", SWEEP)
    assert all(
        same(result, model.evaluate("validate", [setting])[0]) for result, setting in zip(together, SWEEP, strict=True)
    )
    assert len({repr(result) for result in together}) > 2


def test_settings_left_out_are_the_configs(tiny: Dataset, trained: Localizer) -> None:
    own = trained.config.retrieval
    spelt = {"threshold": own.threshold, "nms_radius_m": own.nms_radius_m, "smoothing_m": own.smoothing_m}
    assert same(*trained.evaluate("validate", [{}, spelt]))


@pytest.mark.parametrize("setting", [{"threshold": 0.25}, {"threshold": 0.2, "nms_radius_m": 2.0}])
@pytest.mark.parametrize("resolution_m", [0.3, 1.0])
def test_prediction_and_evaluation_count_the_same(
    tiny: Dataset, trained: Localizer, setting: dict[str, float], resolution_m: float
) -> None:
    split = tiny.open_split("S0")
    batch = split.read_batch(np.arange(len(split)))
    hits = guesses = 0
    for truth, found in zip(batch.positions_m, trained.predict(batch.waves, setting), strict=True):
        near = torch.cdist(truth[~truth.isnan().any(-1)], found.positions_m) < resolution_m
        hits += int((maximum_bipartite_matching(csr_array(near.int().numpy()), perm_type="column") >= 0).sum())
        guesses += len(found.positions_m)
        assert bool((found.scores > setting["threshold"]).all())
        assert bool((found.scores.diff() <= 0).all())
    report = trained.evaluate("S0", [setting])[0]
    truths = int(batch.counts.sum())
    assert hits > 0
    assert report[f"precision_{resolution_m:g}m"] == pytest.approx(hits / guesses)
    assert report[f"recall_{resolution_m:g}m"] == pytest.approx(hits / truths)
    assert report[f"f1_{resolution_m:g}m"] == pytest.approx(2 * hits / (guesses + truths))


def test_the_loss_of_a_split_is_the_mean_over_its_samples(
    tiny: Dataset, trained: Localizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained.evaluate("validate", [{}])[0]
    monkeypatch.setattr("trainables.localizer.trainable._EVALUATION_BATCH", 7)
    parts = trained.evaluate("validate", [{}])[0]
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert parts["f1_1m"] == whole["f1_1m"]


def test_a_network_of_nan_has_a_loss_of_nan(tiny: Dataset) -> None:
    model = localizer(tiny)
    with torch.no_grad():
        model.network.decoder[1].weight.fill_(torch.nan)  # type: ignore[index, union-attr]
    assert math.isnan(model.evaluate("validate", [{}])[0]["loss"])


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indices of all samples that are read, in order."""
    indices: list[int] = []
    read = Split.read_batch

    def recorded(split: Split, chosen: np.ndarray[Any, Any]) -> Batch:
        indices.extend(chosen.tolist())
        return read(split, chosen)

    monkeypatch.setattr(Split, "read_batch", recorded)
    return indices


@pytest.mark.parametrize(("epoch_samples", "epochs"), [(36, 8), (0, 3), (240, 2), (12, 8)])
def test_every_sample_is_seen_once_before_any_is_seen_again(
    tiny: Dataset, seen: list[int], epoch_samples: int, epochs: int
) -> None:
    model = localizer(tiny, small(optimizer__epoch_samples=epoch_samples, optimizer__batch_size=12))
    for _ in range(epochs):
        model.train_epoch()
    assert len(seen) == epochs * (epoch_samples or 96)
    passes = [seen[first : first + 96] for first in range(0, len(seen), 96)]
    assert all(sorted(whole) == list(range(96)) for whole in passes if len(whole) == 96)
    assert len({tuple(whole) for whole in passes}) == len(passes)
    assert passes[0] != sorted(passes[0])


def test_an_epoch_after_loading_reads_on_where_the_saved_one_stopped(tiny: Dataset, seen: list[int]) -> None:
    config = small(optimizer__epoch_samples=36, optimizer__batch_size=12)
    first, second = localizer(tiny, config), localizer(tiny, config)
    first.train_epoch()
    second.load_state(first.state())
    seen.clear()
    first.train_epoch()
    half = len(seen)
    second.train_epoch()
    assert seen[:half] == seen[half:]
    assert half == 36


@pytest.mark.parametrize(
    ("schedule", "progress", "factor"),
    [
        ("constant", 0.0, 1.0),
        ("constant", 0.9, 1.0),
        ("cosine", 0.0, 1.0),
        ("cosine", 0.25, (1 + math.sqrt(0.5)) / 2),
        ("cosine", 0.5, 0.5),
        ("cosine", 1.0, 0.0),
        ("one_cycle", 0.0, 0.1),
        ("one_cycle", 0.075, 0.55),
        ("one_cycle", 0.15, 1.0),
        ("one_cycle", 0.575, 0.5),
        ("one_cycle", 1.0, 0.0),
    ],
)
def test_learning_rates_by_hand(schedule: str, progress: float, factor: float) -> None:
    assert rate_factor(schedule, progress) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_a_training_that_runs_on_keeps_its_last_rate(schedule: str) -> None:
    assert rate_factor(schedule, 1.7) == rate_factor(schedule, 1.0)


def test_the_rate_falls_from_step_to_step(tiny: Dataset) -> None:
    model = localizer(tiny, small(optimizer__schedule="cosine", optimizer__lr=0.01), epochs=2)
    rates = [model.train_epoch()["learning_rate"] for _ in range(2)]
    # Six steps an epoch: the last ones begin at 5/12 and 11/12 of the training.
    assert rates == pytest.approx([0.01 * (0.5 + 0.5 * math.cos(math.pi * done / 12)) for done in (5, 11)])


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("adam", torch.optim.Adam, {"betas": (0.6, 0.9), "weight_decay": 0.2}),
        ("adamw", torch.optim.AdamW, {"betas": (0.6, 0.9), "weight_decay": 0.2}),
        ("sgd", torch.optim.SGD, {"momentum": 0.6, "weight_decay": 0.2}),
    ],
)
def test_the_optimizer_is_the_configs(
    name: str, kind: type[torch.optim.Optimizer], expected: dict[str, object]
) -> None:
    decayed = {"optimizer__beta1": 0.6, "optimizer__beta2": 0.9, "optimizer__weight_decay": 0.2}
    built = build_optimizer(small(optimizer__name=name, **decayed).optimizer, torch.nn.Linear(2, 2))
    assert type(built) is kind
    assert expected.items() <= built.param_groups[0].items()
    assert built.param_groups[0]["lr"] == 3e-3


def test_a_clipped_step_is_no_longer_than_the_limit(tiny: Dataset) -> None:
    config = small(optimizer__name="sgd", optimizer__beta1=0.0, optimizer__lr=0.5, optimizer__clip_norm=0.01)
    model = localizer(tiny, config)
    before = torch.cat([value.flatten() for value in model.network.parameters()]).detach().clone()
    model.train_epoch()
    after = torch.cat([value.flatten() for value in model.network.parameters()]).detach()
    assert 0 < (after - before).norm().item() <= 6 * 0.5 * 0.01 * 1.001  # six steps


@pytest.mark.parametrize(("precision", "half"), [("fp32", False), ("bf16", True)])
def test_precision_is_as_asked(precision: str, half: bool) -> None:
    assert use_bf16(precision, torch.device("cpu")) is half


def test_nothing_global_is_touched(tiny: Dataset) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4711)  # a state that no seed of the model leaves behind
        torch_before = torch.random.get_rng_state()
        numpy_before = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002
        model = localizer(tiny, small(augment__level_db=6.0))
        model.train_epoch()
        model.evaluate("validate", [{}])
        assert torch.equal(torch.random.get_rng_state(), torch_before)
        assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], numpy_before)  # noqa: NPY002


def test_gains_are_drawn_anew_in_every_epoch(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []
    vary = features.vary_levels

    def recorded(waves: Tensor, *rest: Any, **bounds: Any) -> Tensor:
        changed = vary(waves, *rest, **bounds)
        drawn.extend((changed.square().mean((1, 2, 3)) / waves.square().mean((1, 2, 3))).log10().mul(10).tolist())
        return changed

    monkeypatch.setattr(features, "vary_levels", recorded)
    model = localizer(tiny, small(augment__level_db=6.0))
    for _ in range(2):
        model.train_epoch()
    decibels = np.round(drawn, 3)
    assert len(decibels) == 2 * 96
    assert -6 <= decibels.min() < decibels.max() <= 6
    assert len(set(decibels[:96]) & set(decibels[96:])) < 10  # of 12,000 thousandths few fall together by chance


def test_augmentation_leaves_evaluation_alone(tiny: Dataset) -> None:
    plain, augmented = (localizer(tiny, small(augment__level_db=level)) for level in (0.0, 20.0))
    assert same(plain.evaluate("train", [{}])[0], augmented.evaluate("train", [{}])[0])


def test_normalised_gain_hears_no_level(tiny: Dataset) -> None:
    waves = tiny.open_split("validate").read_batch(np.arange(4)).waves
    model = localizer(tiny, small(features__gain="rms"))
    for soft, loud in zip(
        model.predict(0.01 * waves, {"threshold": 0.0}), model.predict(waves, {"threshold": 0.0}), strict=True
    ):
        assert torch.allclose(soft.positions_m, loud.positions_m, atol=1e-3)  # a millimetre


def test_a_picture_has_one_plan_a_sample(tiny: Dataset, trained: Localizer) -> None:
    figure = trained.plot_predictions(["S0", "S2", "S1"], {"threshold": 0.2})
    assert len(figure.axes) == 3 * 4
    assert [plan.get_ylabel().split("\n")[0] for plan in figure.axes[::4]] == ["S0", "S2", "S1"]
    truth = tiny.open_split("S2").positions_m[0]
    drawn = {line.get_label(): line.get_xydata() for line in figure.axes[4].get_lines()}
    assert np.allclose(np.sort(drawn["true"], axis=0), np.sort(truth[~truth.isnan().any(-1)].numpy(), axis=0))
    found = trained.predict(tiny.open_split("S2").read_batch(np.arange(1)).waves, {"threshold": 0.2})[0]
    assert np.allclose(drawn["predicted"], found.positions_m.numpy(), atol=1e-3)


def test_a_split_with_two_samples_adds_two_plans_to_a_picture(tmp_path: Path) -> None:
    spec = RoomSpec.model_validate({"train": 4, "validate": 2, "tests": {"S0": 2}, "excerpts": 8, "excerpt_s": 1})
    data = build_dataset(plan_samples(spec, "tests"), tmp_path, lambda *_: None)
    assert len(localizer(data).plot_predictions(["S0"], {}).axes) == 2
    assert len(localizer(data).plot_predictions(["train", "S0"], {}).axes) == 4 + 2
