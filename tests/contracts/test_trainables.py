"""What every trainable has to keep, tested on every built-in one."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from datasets.building.provider import DatasetProvider, SplitEntry
from datasets.rooms.dataset import Dataset
from spaces.schema import Value, field_names, nest_names
from tests.contracts.cases import CASES, Values
from trainables import contract_checks, hooks, measurement, registry
from trainables.contract import DivergedError, Metrics, Trainable
from trainables.prediction import Predictor, Recording
from trainables.training_cost import count_cost

NAMES = sorted(registry.BUILT_IN)
# Variants of DOAnet take seconds each; `make check` runs the first of them.
VARIANTS = [
    pytest.param(name, variant, marks=[pytest.mark.slow] if name == "doanet" and number > 0 else [])
    for name in NAMES
    for number, variant in enumerate(CASES[name].variants)
]
FIELDS = [(name, field) for name in NAMES for field in CASES[name].fields]


def make(name: str, data: Dataset, changes: Values, *, seed: int = 0, epochs: int = 3) -> Trainable:
    kind = registry.load_trainable(name, "tests")
    case, folder = CASES[name], Path(data.store.uri)
    values = {key: value(folder) if callable(value) else value for key, value in {**case.base, **changes}.items()}
    config = kind.Config.model_validate(nest_names(values))
    return kind(config, case.data(folder) if case.data else data, device="cpu", seed=seed, epochs=epochs)


def train(trainable: Trainable, epochs: int) -> list[Metrics]:
    results = [trainable.train_epoch() for _ in range(epochs)]
    assert all(math.isfinite(value) for result in results for value in result.values())
    return results


def evidence(trainable: Trainable, epochs: int = 2) -> str:
    """All numbers of a short training, to the last bit: losses, weights, figures on the validation set."""
    losses = train(trainable, epochs)
    weights = {name: value.numpy().tobytes() for name, value in trainable.weights().items()}
    return repr((losses, trainable.evaluate("validate", [{}]), weights))


def test_every_built_in_trainable_is_tested() -> None:
    assert set(CASES) == set(registry.BUILT_IN)


@pytest.mark.parametrize("name", NAMES)
def test_the_light_description_says_what_the_class_says(name: str) -> None:
    described, kind = registry.describe_trainable(name, "tests"), registry.load_trainable(name, "tests")
    assert (described.config, described.metrics, described.inner) == (kind.Config, kind.metrics, kind.inner)
    assert described.measurable == measurement.list_measurable(kind)


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_the_number_of_parameters_is_known_before_the_model_is_built(name: str, variant: str, tiny: Dataset) -> None:
    trainable: Any = make(name, tiny, CASES[name].variants[variant])
    expected = measurement.expected_parameters(type(trainable), trainable.config, tiny.spec)
    steps = sum(group.numel() for groups in trainable.optimizer.param_groups for group in groups["params"])
    assert measurement.measure_parameters(trainable) == expected == steps > 0


@pytest.mark.parametrize("name", ["localizer", "doanet"])
def test_a_sample_step_has_the_model_of_a_training(name: str, tiny: Dataset) -> None:
    trainable: Any = make(name, tiny, {})
    step = type(trainable).sample_step(trainable.config, tiny.spec)
    assert step is not None
    assert step.parameters == measurement.measure_parameters(trainable)
    assert step.items == hooks.ddp_batch_size(trainable.config)
    cost = count_cost(step)
    assert cost.flop > 4 * step.parameters  # every weight is used in at least one product, forwards and backwards
    assert cost.memory_bytes > 16 * step.parameters


@pytest.mark.parametrize("name", NAMES)
def test_measuring_the_latency_changes_nothing_in_the_training(name: str, tiny: Dataset) -> None:
    plain, measured = make(name, tiny, {}), make(name, tiny, {})
    for trainable in (plain, measured):
        train(trainable, 1)
    threads = torch.get_num_threads()
    assert 0 < measurement.measure_latency(measured) < 2000
    assert torch.get_num_threads() == threads
    assert evidence(measured) == evidence(plain)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("localizer", {}),
        ("localizer", {"optimizer.epoch_samples": 7}),
        ("hnet", {}),
        ("doanet", {"augment.mixing": 0}),
        ("doanet", {"optimizer.epoch_sequences": 5}),
    ],
)
def test_the_config_states_how_many_samples_an_epoch_shows(
    name: str, changes: Values, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainable: Any = make(name, tiny, changes)
    shown, step = [], trainable._train_step

    def count(first: Any, *others: Any) -> Any:
        shown.append(len(first.waves if name == "localizer" else first))
        return step(first, *others)

    monkeypatch.setattr(trainable, "_train_step", count)
    trainable.train_epoch()
    samples = 4 if name == "doanet" else len(tiny.open_split("train"))
    dataset = create_autospec(DatasetProvider, instance=True)
    dataset.list_splits.return_value = (SplitEntry("train", "", samples, ""),)
    assert sum(shown) == hooks.epoch_presentations(trainable.config, dataset)


def test_the_sequences_of_an_epoch_with_mixtures_are_unknown() -> None:
    config = registry.load_trainable("doanet", "tests").Config()
    assert hooks.epoch_presentations(config, create_autospec(DatasetProvider, instance=True)) is None


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_training_lowers_the_loss(name: str, variant: str, tiny: Dataset) -> None:
    trainable = make(name, tiny, CASES[name].variants[variant], epochs=6)
    before = trainable.evaluate("train", [{}])[0]["loss"]
    losses = [result["train_loss"] for result in train(trainable, 6)]
    assert losses[-1] < losses[0]
    assert trainable.evaluate("train", [{}])[0]["loss"] < before


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_a_saved_training_goes_on_bit_for_bit(name: str, variant: str, tiny: Dataset) -> None:
    contract_checks.check_state(lambda seed: make(name, tiny, CASES[name].variants[variant], seed=seed))


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_the_seed_decides_and_nothing_else_does(name: str, variant: str, tiny: Dataset) -> None:
    def build(seed: int) -> Trainable:
        return make(name, tiny, CASES[name].variants[variant], seed=seed)

    contract_checks.check_seed(build)
    assert evidence(build(1)) != evidence(build(2))


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_starts_from_other_weights_and_reads_in_another_order(name: str, tiny: Dataset) -> None:
    first, second = make(name, tiny, {}, seed=1), make(name, tiny, {}, seed=2)
    assert any(not torch.equal(value, second.weights()[key]) for key, value in first.weights().items())
    second.load_weights(first.weights())
    assert first.train_epoch()["train_loss"] != second.train_epoch()["train_loss"]


@pytest.mark.parametrize("name", NAMES)
def test_evaluating_in_between_changes_nothing(name: str, tiny: Dataset) -> None:
    disturbed, left_alone = make(name, tiny, {}), make(name, tiny, {})
    for trainable in (disturbed, left_alone):
        train(trainable, 1)
    disturbed.evaluate("validate", [{}])
    CASES[name].infer(disturbed, tiny)
    assert evidence(disturbed) == evidence(left_alone)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_all_that_inference_needs_and_stay_as_they_were(name: str, tiny: Dataset) -> None:
    trained, other = make(name, tiny, {}), make(name, tiny, {}, seed=5)
    train(trained, 1)
    test = CASES[name].test
    weights, figures = trained.weights(), trained.evaluate(test, [{}])
    train(trained, 1)
    assert repr(trained.evaluate(test, [{}])) != repr(figures)
    other.load_weights(weights)
    assert repr(other.evaluate(test, [{}])) == repr(figures)


def poisoned(trainable: Trainable) -> dict[str, Any]:
    return {
        name: torch.full_like(value, math.nan) if value.is_floating_point() else value
        for name, value in trainable.weights().items()
    }


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_nan_in_the_weights_is_reported(name: str, variant: str, tiny: Dataset) -> None:
    trainable = make(name, tiny, CASES[name].variants[variant])
    trainable.load_weights(poisoned(trainable))
    with pytest.raises(DivergedError, match="epoch 1 is nan"):
        trainable.train_epoch()


@pytest.mark.parametrize("name", [name for name in NAMES if CASES[name].exploding is not None])
def test_a_training_that_explodes_is_reported_and_never_hidden(name: str, tiny: Dataset) -> None:
    trainable = make(name, tiny, CASES[name].exploding or {}, epochs=20)
    with pytest.raises(DivergedError, match="loss of epoch"):
        train(trainable, 20)


@pytest.mark.parametrize("name", NAMES)
def test_every_declared_figure_is_reported_for_every_setting(name: str, tiny: Dataset) -> None:
    kind = registry.load_trainable(name, "tests")
    grid = contract_checks.inference_choices(kind.inner)

    def build(seed: int) -> Trainable:
        return make(name, tiny, {}, seed=seed)

    contract_checks.check_metrics(build, kind.metrics, grid)
    contract_checks.check_grid(build, grid)


@pytest.mark.parametrize("name", NAMES)
def test_sums_over_scenes_give_the_metrics(name: str, tiny: Dataset) -> None:
    evaluation = {"evaluation.resolutions_m": [0.2, 0.5, 2.0], "evaluation.snr_db": [5.0], "evaluation.gain_db": [3.0]}
    trainable: Any = make(name, tiny, evaluation if name == "localizer" else {})
    train(trainable, 1)
    params = {"threshold": 0.3} if name != "hnet" else {}
    terms = trainable.evaluate_scenes("validate", params)
    if terms is None:
        assert name == "hnet"  # the authors' score is a mean over batches, not a function of sums
        return
    expected = trainable.evaluate("validate", [params])[0]
    resampled = np.stack([terms.sum(0), terms[::2].sum(0)])
    whole, half = trainable.summarise_scenes(resampled, trainable.config)
    assert whole == pytest.approx({metric: expected[metric] for metric in whole}, rel=1e-9, nan_ok=True)
    assert set(whole) == {m.name for m in hooks.reported_metrics(trainable.config, trainable.metrics)}
    assert len(terms) == 1 or half != whole


@pytest.mark.parametrize("name", NAMES)
def test_every_inner_parameter_changes_the_figures(name: str, tiny: Dataset) -> None:
    for parameter in registry.load_trainable(name, "tests").inner:
        context, _ = CASES[name].fields[f"{CASES[name].inference}.{parameter.name}"]
        trainable = make(name, tiny, context)
        train(trainable, 1)
        grid = np.linspace(parameter.low, parameter.high, 9).tolist()
        reports = trainable.evaluate("validate", [{parameter.name: value} for value in grid])
        assert len({repr(report) for report in reports}) > 1, parameter.name


def test_the_localizer_predicts_one_result_a_sample_and_reads_each_alone(tiny: Dataset) -> None:
    trainable: Any = make("localizer", tiny, {})
    train(trainable, 1)
    audio = tiny.open_split("S0").read_batch(np.arange(5)).waves
    together: Sequence[Any] = trainable.predict(audio, {})
    assert len(together) == 5
    alone = trainable.predict(audio[2:3], {})[0]
    assert torch.allclose(alone.positions_m, together[2].positions_m, atol=1e-4)


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_a_config_survives_being_kept(name: str, variant: str, tiny: Dataset) -> None:
    config = make(name, tiny, CASES[name].variants[variant]).config  # type: ignore[attr-defined]
    kept = json.loads(json.dumps(config.model_dump(mode="json", by_alias=True)))
    assert type(config).model_validate(kept) == config


def in_use(trainable: Trainable) -> Predictor | None:
    """A predictor from what a file has kept, and nothing else."""
    file = io.BytesIO()
    torch.save(trainable.weights(), file)
    file.seek(0)
    config = trainable.config  # type: ignore[attr-defined]
    return trainable.predictor(config, torch.load(file, weights_only=True), device="cpu")


def recording(sound: NDArray[np.float32]) -> Recording:
    return Recording("toy", len(sound), lambda first, samples: sound[first : first + samples])


@pytest.mark.parametrize("name", NAMES)
def test_a_predictor_is_built_from_weights_alone_or_not_at_all(name: str, tiny: Dataset) -> None:
    trainable, sound = make(name, tiny, {}), CASES[name].recorded
    train(trainable, 1)
    predictor = in_use(trainable)
    assert (predictor is None) == (sound is None)
    if predictor is None or sound is None:
        return
    heard = sound(tiny)
    assert heard.shape[1] == predictor.sound.channels
    threshold = next(parameter for parameter in trainable.inner if parameter.name == "threshold")
    many, none = (predictor.predict(recording(heard), {"threshold": t}) for t in (threshold.low, threshold.high))
    assert many.rows
    assert not none.rows
    for prediction in (many, none):
        assert all(len(row) == len(prediction.columns) for row in prediction.rows)
        assert all(math.isfinite(value) for row in prediction.rows for value in row)
        prediction.draw_figure().savefig(io.BytesIO(), format="png")
    other = make(name, tiny, {}, seed=5)
    other.load_weights(trainable.weights())
    again = in_use(other)
    assert again is not None
    assert again.predict(recording(heard), {}).rows == predictor.predict(recording(heard), {}).rows


@pytest.mark.parametrize("name", [name for name in NAMES if CASES[name].recorded is not None])
def test_the_shortest_recording_is_enough(name: str, tiny: Dataset) -> None:
    predictor = in_use(make(name, tiny, {}))
    assert predictor is not None
    assert predictor.sound.least_samples > 1
    shortest = np.zeros((predictor.sound.least_samples, predictor.sound.channels), np.float32)
    found = predictor.predict(recording(shortest), {"threshold": 0.0})
    assert {row[0] for row in found.rows} == {0}


@pytest.mark.parametrize("name", NAMES)
def test_excerpts_of_the_training_sound_are_in_the_format_of_the_predictor(name: str, tiny: Dataset) -> None:
    trainable = make(name, tiny, {})
    predictor, excerpts, again = in_use(trainable), trainable.training_excerpts(7), trainable.training_excerpts(7)
    assert (excerpts is None) == (predictor is None)
    if predictor is None or excerpts is None or again is None:
        return
    assert excerpts.rate_hz == predictor.sound.rate_hz
    assert excerpts.waves.shape[0] == 7
    assert excerpts.waves.shape[2] == predictor.sound.channels
    assert np.array_equal(excerpts.waves, again.waves)
    assert (np.abs(excerpts.waves).max((1, 2)) > 0).all()
    assert len(np.unique(excerpts.waves, axis=0)) == 7


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_the_config_has_a_test(name: str) -> None:
    fields = set(field_names(registry.load_trainable(name, "tests").Config))
    assert fields == set(CASES[name].fields), "a new field needs a row in tests/contracts/cases.py"


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    """Evidence of trainings that several fields are compared with."""
    return {}


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_every_field_of_the_config_changes_something(
    name: str, field: str, tiny: Dataset, known: dict[str, str]
) -> None:
    context, other = CASES[name].fields[field]
    before, after = make(name, tiny, context), make(name, tiny, {**context, field: other})
    assert value_of(before, field) != value_of(after, field)
    key = repr((name, sorted(context.items())))
    if key not in known:
        known[key] = evidence(before)
    assert evidence(after) != known[key]


def value_of(trainable: Any, field: str) -> Value:
    value = trainable.config
    for part in field.split("."):
        value = getattr(value, part)
    return value
