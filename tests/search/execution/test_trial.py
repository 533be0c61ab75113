"""A trial that is killed and built again gives the results of an undisturbed one."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path

import pytest
import torch

from datasets.registry import prepare_dataset
from datasets.rooms.dataset import Dataset
from datasets.rooms.spec import LocalizerSpec
from runtime.errors import StorageError
from search.execution import checkpoint
from search.execution.checkpoint import load_checkpoint
from search.execution.scoring import score_test_splits
from search.execution.trial import TrialFailedError, TrialRunner, inference_grid
from search.experiment import Experiment
from search.results import SearchFolder
from search.study import pareto
from spaces.schema import Budget, Value
from tests.datasets import bucket
from tests.search.support import space

FIXED: dict[str, Value] = {
    "representation": "rg",
    "encoder": "array",
    "features.gain": "rms",
    "network.width": 4,
    "network.tail_width": 4,
    "network.decoder_width": 16,
    "network.strides": "early",
    "precision": "fp32",
}
PARAMETERS: dict[str, Value] = {"optimizer.lr": 1e-3, "optimizer.batch_size": 16, "loss.regression": "mse"}


@pytest.fixture
def experiment(tiny: Dataset, tmp_path: Path) -> Experiment:
    searched = space(dataset=tiny.spec, fixed=FIXED, budget=Budget(trials=2, epochs=3))
    return Experiment(searched, prepare_dataset(tiny.spec, "tests"), SearchFolder(tmp_path, "toy"), tiny.store)


def run(experiment: Experiment, number: int, recorded: int = 0) -> TrialRunner:
    return TrialRunner(experiment, number, PARAMETERS, recorded, "cpu")


def test_settings_are_all_combinations_of_the_inner_parameters() -> None:
    inner = {"threshold": (0.3, 0.6), "nms_radius_m": (0.5, 1.0, 1.5)}
    settings = inference_grid(space(inner=inner))
    assert len(settings) == 6
    assert {(s["threshold"], s["nms_radius_m"]) for s in settings} == {
        (t, r) for t in (0.3, 0.6) for r in (0.5, 1.0, 1.5)
    }


def test_a_resumed_trial_repeats_what_the_study_missed_then_goes_on_bit_for_bit(experiment: Experiment) -> None:
    undisturbed = run(experiment, 0)
    expected = [undisturbed.next_epoch() for _ in range(3)]
    killed = run(experiment, 1)
    killed.next_epoch()
    killed.next_epoch()  # in the checkpoint, but the driver died before the study recorded it
    resumed = run(experiment, 1, recorded=1)
    found = [resumed.next_epoch(), resumed.next_epoch()]
    assert [e.epoch for e in found] == [2, 3]
    assert [dict(e.metrics) for e in found] == [dict(e.metrics) for e in expected[1:]]
    weights = [load_checkpoint(experiment.results.checkpoint_path(number))["state"]["network"] for number in (0, 1)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_kept_model_is_that_of_the_best_epoch_with_its_setting(experiment: Experiment) -> None:
    trial = run(experiment, 0)
    epochs = [trial.next_epoch() for _ in range(3)]
    best = max(epochs, key=lambda epoch: epoch.metrics["f1_0.3m"])
    model = load_checkpoint(experiment.results.model_path(0))
    assert model["epoch"] == next(e.epoch for e in epochs if e.metrics["f1_0.3m"] == best.metrics["f1_0.3m"])
    assert model["setting"] == dict(best.setting)


def test_tests_are_scored_with_the_kept_model(experiment: Experiment) -> None:
    run(experiment, 0).next_epoch()
    scores = score_test_splits(experiment, 0, "cpu")
    assert isinstance(experiment.space.dataset, LocalizerSpec)
    assert set(scores) == set(experiment.space.dataset.tests)
    assert all(0 <= metrics["f1_1m"] <= 1 for metrics in scores.values())


def test_divergence_is_a_reason_without_a_traceback_and_leaves_the_last_good_checkpoint(experiment: Experiment) -> None:
    trial = run(experiment, 0)
    trial.next_epoch()
    before = experiment.results.checkpoint_path(0).read_bytes()
    with torch.no_grad():
        next(iter(trial._trainable.network.parameters())).fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(TrialFailedError, match="loss"):
        trial.next_epoch()
    assert experiment.results.checkpoint_path(0).read_bytes() == before
    assert not experiment.results.log_path(0).exists()


class OddError(Exception):
    """Exception that can neither be shown nor pickled."""

    def __str__(self) -> str:
        raise ValueError("no text")

    def __reduce__(self) -> str:
        raise TypeError("not to be pickled")


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (NameError("lamda is not defined\nline two"), "NameError: lamda is not defined at "),
        (SystemExit(3), "SystemExit: exit status 3 at "),
        (SystemExit("no licence"), "SystemExit: exit status 1, no licence at "),
        (SystemExit(), "SystemExit: exit status 0 at "),
        (KeyboardInterrupt(), "KeyboardInterrupt at "),
        (MemoryError(), "MemoryError at "),
        (ValueError(), "ValueError at "),
        (ValueError("\n\n  indented"), "ValueError: indented at "),
        (OddError(), "OddError: (its message cannot be formatted: ValueError) at "),
        (
            RuntimeError("CUDA error: an illegal memory access"),
            "RuntimeError: CUDA error: an illegal memory access at ",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_a_trainable_raises_fails_its_trial_with_the_place(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, raised: BaseException, reason: str
) -> None:
    trial = run(experiment, 0)

    def fail(_: object) -> None:
        raise raised

    monkeypatch.setattr(trial, "_train_epoch", fail)
    monkeypatch.setattr(trial, "_start", lambda: None)
    with pytest.raises(TrialFailedError) as caught:
        trial.next_epoch()
    text = str(caught.value)
    assert text.startswith(reason)
    assert re.search(r"test_trial\.py:\d+ \(see .*log\.txt\)$", text)
    assert caught.value.spoils_process


def test_a_worker_that_ray_ends_on_sigterm_fails_no_trial(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = run(experiment, 0)
    ended = SystemExit(1)
    ended.ray_terminate_msg = "The process receives a SIGTERM."  # type: ignore[attr-defined]

    def end() -> None:
        raise ended

    monkeypatch.setattr(trial, "_next_epoch", end)
    with pytest.raises(SystemExit):
        trial.next_epoch()


def test_what_a_trainable_raises_becomes_the_reason_with_the_traceback_in_a_file(experiment: Experiment) -> None:
    broken = PARAMETERS | {"optimizer.batch_size": 1}  # no Config allows it
    with pytest.raises(TrialFailedError, match=r"^ValidationError: ") as caught:
        TrialRunner(experiment, 0, broken, 0, "cpu").next_epoch()
    log = experiment.results.log_path(0)
    assert str(log) in str(caught.value)
    assert log.read_text().startswith("Traceback")


def test_a_trial_is_built_once_at_its_first_epoch(experiment: Experiment) -> None:
    trial = run(experiment, 0)
    assert trial._trainable is None
    assert trial.next_epoch().epoch == 1
    built = trial._trainable
    assert trial.next_epoch().epoch == 2
    assert trial._trainable is built


def test_a_trial_whose_checkpoint_was_lost_comes_to_the_same_results(experiment: Experiment) -> None:
    undisturbed = run(experiment, 0)
    expected = [undisturbed.next_epoch() for _ in range(3)]
    found = run(experiment, 1, recorded=2).next_epoch()  # the study has two epochs, and nothing else is left
    assert dict(found.metrics) == dict(expected[2].metrics)


def test_a_checkpoint_of_another_trial_with_this_number_is_left_alone(experiment: Experiment) -> None:
    expected = run(experiment, 0).next_epoch()
    TrialRunner(
        experiment, 1, {**PARAMETERS, "optimizer.lr": 3e-2}, 0, "cpu"
    ).next_epoch()  # unknown to the study's older copy
    found = run(experiment, 1).next_epoch()
    assert (found.epoch, dict(found.metrics)) == (1, dict(expected.metrics))


def test_a_trial_goes_on_from_a_bucket_on_another_machine(experiment: Experiment, tmp_path: Path) -> None:
    undisturbed = run(experiment, 0)
    expected = [undisturbed.next_epoch() for _ in range(3)]
    with bucket.serving() as server:
        server.buckets.add("results")
        for machine, recorded in (("one", 0), ("other", 1), ("one", 2)):  # and back, where an older copy exists
            folder = SearchFolder.from_storage(server.uri("results/runs"), "toy", str(tmp_path / machine))
            found = run(dataclasses.replace(experiment, results=folder), 1, recorded).next_epoch()
            assert (found.epoch, dict(found.metrics)) == (recorded + 1, dict(expected[recorded].metrics))
        assert sorted(name.rpartition("/")[2] for name in server.objects if not name.endswith("/")) == [
            "checkpoint.pt",
            "model.pt",
        ]


def test_a_checkpoint_is_written_once_there_is_room_again(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = experiment.results.checkpoint_path(0)
    in_the_way.mkdir(parents=True)
    pauses: list[float] = []

    def later(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            in_the_way.rmdir()

    monkeypatch.setattr(time, "sleep", later)
    assert run(experiment, 0).next_epoch().epoch == 1
    assert pauses == [checkpoint.RETRY_PAUSE_S] * 3
    assert in_the_way.is_file()


def test_a_storage_out_of_reach_is_no_fault_of_the_trial(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "RETRY_TIMEOUT_S", -1.0)
    experiment.results.checkpoint_path(0).mkdir(parents=True)
    with pytest.raises(StorageError, match="files must be readable"):
        run(experiment, 0).next_epoch()
    assert not experiment.results.log_path(0).exists()


def damage(path: Path, kind: str) -> None:
    """Leave a file as a power cut may do."""
    whole = path.read_bytes()
    contents = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "zeros": bytes(len(whole)),
        "zeros at the end": whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2),
        "garbage": b"garbage",
    }
    path.write_bytes(contents[kind])


@pytest.mark.parametrize("kind", ["empty", "cut", "zeros", "zeros at the end", "garbage"])
def test_a_trial_whose_checkpoint_is_corrupt_starts_again_and_repeats_no_result(
    kind: str, experiment: Experiment
) -> None:
    killed = run(experiment, 0)
    expected = [killed.next_epoch() for _ in range(2)]
    damage(experiment.results.checkpoint_path(0), kind)
    resumed = run(experiment, 0, recorded=1)
    assert dict(resumed.next_epoch().metrics) == dict(expected[1].metrics)
    assert [re.sub(r" \(.*\)", "", text) for text in resumed.notices] == [
        f"checkpoint.pt is corrupt; it was moved to {experiment.results.checkpoint_path(0)}.corrupt"
    ]
    again = run(experiment, 0, recorded=2)
    assert again.next_epoch().epoch == 3
    assert again.notices == []


def test_a_checkpoint_without_epochs_is_corrupt(experiment: Experiment) -> None:
    run(experiment, 0).next_epoch()
    path = experiment.results.checkpoint_path(0)
    torch.save({"state": {}}, path)
    resumed = run(experiment, 0)
    assert resumed.next_epoch().epoch == 1
    assert "without epochs" in resumed.notices[0]


@pytest.mark.parametrize("best", [1, 2])
def test_a_corrupt_model_is_written_again_or_its_trial_starts_again(
    best: int, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = run(experiment, 0)
    for _ in range(2):
        killed.next_epoch()
    path = experiment.results.model_path(0)
    expected = load_checkpoint(path)
    damage(path, "cut")
    real = pareto.best_index
    monkeypatch.setattr(pareto, "best_index", lambda found, by: best - 1 if len(found) == 2 else real(found, by))
    resumed = run(experiment, 0, recorded=2)
    assert resumed.next_epoch().epoch == 3
    assert ("starts again" in " ".join(resumed.notices)) == (best == 1)
    assert load_checkpoint(path).keys() == expected.keys()
