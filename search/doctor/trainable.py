"""Checks of a user's trainable by short trainings on a small dataset, as the built-in trainables are tested."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from datasets import registry as dataset_registry
from datasets.building.builder import Builder
from datasets.building.provider import DatasetProvider
from datasets.building.spec import DatasetSpec
from datasets.config_file import explain_validation, read_specs, read_yaml
from datasets.none import NoneSpec
from runtime.errors import InputError
from runtime.machines import machine
from runtime.storage import storage_at
from search.doctor import config_values
from search.doctor.result import CheckResult
from search.doctor.searched_values import GLOBAL_TORCH, check_searched_values
from search.execution.error_text import describe_error
from spaces.load import load_space
from spaces.schema import field_names, nest_names
from trainables import contract_checks, hooks, registry
from trainables.contract import ContractError, Trainable
from trainables.function import FunctionTrainable
from trainables.returned_values import evaluate_split
from trainables.saved_values import read_back

_EPOCHS: Final = 3
_FIELDS_S: Final = 40.0
"""Time after which no further field of the Config is tried."""
_Check = tuple[Callable[[], object], str, str]
"""Function that raises an exception where there is a problem, the message of success, and the remedy."""
_PAGE: Final = "see docs/tutorial/trainable.md"


@dataclass(frozen=True)
class Subject:
    """Trainable under examination.

    Attributes:
        path: Import path.
        trainable: Class.
        values: Config values by dotted name; those of a space file, or none.
        data: Opened dataset.
        test_splits: Names of the test splits.
        candidates: Values of searched fields to try, by dotted name.
    """

    path: str
    trainable: type[Trainable]
    values: Mapping[str, Any]
    data: Any
    test_splits: tuple[str, ...]
    candidates: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def config(self, changes: Mapping[str, Any] | None = None) -> BaseModel:
        """Return the Config with some values changed."""
        return self.trainable.Config.model_validate(nest_names({**self.values, **(changes or {})}))

    def build(self, seed: int, changes: Mapping[str, Any] | None = None) -> Trainable:
        """Return an untrained trainable on the CPU."""
        return self.trainable(self.config(changes), self.data, device="cpu", seed=seed, epochs=_EPOCHS)


def check_trainable(path: str, dataset: Path | None) -> Iterator[CheckResult]:
    """Examine a trainable.

    Args:
        path: Built-in name or import path of a class or function.
        dataset: Space or dataset file whose data it learns from, at a small size, or a kind of data; None for no data.
    """
    trainable = registry.load_trainable(path, "--trainable")
    values, candidates = _read_space(path, dataset)
    yield _check_import(path)
    with tempfile.TemporaryDirectory(prefix="soundsweep-") as folder:
        provider = _prepare_small_dataset(dataset)
        config = _build_config(trainable, values)
        hooks.check_data(config, provider)
        data = _open_dataset(provider, Path(folder))
        subject = Subject(path, trainable, values, data, tuple(provider.spec.test_names()), candidates)
        remedy = _PAGE if dataset else "if it needs data, name a space or dataset file:  --dataset FILE"
        built = _try(lambda: subject.build(0), f"{path} is built with data of the kind {provider.spec.kind}", remedy)
        yield built
        if built.state == "ok":
            yield from _check_contract(subject)


def _read_space(path: str, dataset: Path | None) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
    """Return the Config values of a space's baseline and the boundary values of its dimensions; empty without a space."""
    if dataset is None or not dataset.exists() or read_yaml(dataset).get("trainable") != path:
        return {}, {}
    space = load_space(dataset, has_gpu=machine.has_gpu())
    return space.config_values(space.baseline), {d.name: d.boundary_values() for d in space.search}


def _build_config(trainable: type[Trainable], values: Mapping[str, Any]) -> BaseModel:
    try:
        return trainable.Config.model_validate(nest_names(values))
    except ValidationError as error:
        raise explain_validation(error, trainable.Config, lambda key: f"--trainable: Config.{key}") from error


def _prepare_small_dataset(dataset: Path | None) -> DatasetProvider:
    return dataset_registry.prepare_dataset(
        config_values.shrink_dataset(_read_dataset(dataset)), f"--dataset {dataset}"
    )


def _read_dataset(dataset: Path | None) -> DatasetSpec:
    """Return the dataset of a file, or the default one of a kind; a space without a dataset has none."""
    if dataset is None:
        return NoneSpec()
    if str(dataset) in dataset_registry.KINDS and not dataset.exists():
        try:
            return dataset_registry.KINDS[str(dataset)].spec.model_validate({"kind": str(dataset)})
        except ValidationError as error:  # the kind has required keys
            remedy = "name a space or dataset file that contains them"
            raise InputError("--dataset", f"data of the kind {dataset} needs further keys", remedy=remedy) from error
    content = read_yaml(dataset)
    return NoneSpec() if "trainable" in content and "dataset" not in content else read_specs(dataset, has_gpu=False)[0]


def _open_dataset(provider: DatasetProvider, folder: Path) -> Any:
    store = storage_at(str(folder / "datasets"))
    provider.build(Builder(store, lambda *_: None, cache=folder / "cache"))
    return provider.open_dataset(store, folder / "cache")


def _check_import(path: str) -> CheckResult:
    """Import the trainable in a fresh process that runs in another folder, as the workers of a search do."""
    code = "import sys; from trainables import registry; registry.load_trainable(sys.argv[1], '--trainable')"
    search_path = os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)])
    with tempfile.TemporaryDirectory(prefix="soundsweep-") as folder:
        done = subprocess.run(
            [sys.executable, "-c", code, path],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": search_path},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        return CheckResult("ok", f"{path} can be imported by another process in another folder")
    reason = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
    remedy = "refer to files by paths relative to __file__, and do nothing on import that depends on the folder"
    return CheckResult("error", f"{path} cannot be imported by another process in another folder: {reason}", remedy)


def _check_contract(subject: Subject) -> Iterator[CheckResult]:
    checks = _common_checks(subject)
    if not issubclass(subject.trainable, FunctionTrainable):
        checks += _class_checks(subject)
    faultless = True
    for check, message, remedy in checks:
        result = _try(check, message, remedy)
        faultless = faultless and result.state == "ok"
        yield result
    if faultless:
        yield from check_searched_values(subject.build, subject.config(), subject.candidates)
    yield from _note_effects(subject)


def _common_checks(subject: Subject) -> list[_Check]:
    """Return the checks that apply to classes and functions."""
    grid = contract_checks.inference_choices(subject.trainable.inner)
    metrics = hooks.reported_metrics(subject.config(), subject.trainable.metrics)
    return [
        (
            lambda: contract_checks.check_metrics(subject.build, metrics, grid),
            "all declared metrics are returned as numbers",
            "return what is declared, as numbers",
        ),
        (
            lambda: contract_checks.check_seed(subject.build),
            "the same seed gives the same numbers, also after another training in the process",
            "draw all random numbers from generators that begin with `seed`, and keep nothing in modules or classes",
        ),
        (
            lambda: contract_checks.check_state(subject.build),
            "a training continues from its state bit for bit",
            "store and restore everything that changes: weights, optimizer, schedule, epoch, random generators",
        ),
    ]


def _class_checks(subject: Subject) -> list[_Check]:
    """Return the checks of the methods that a function does not have."""
    grid = contract_checks.inference_choices(subject.trainable.inner)
    test = next(iter(subject.test_splits), "validate")
    return [
        (
            lambda: contract_checks.check_weights(subject.build, test),
            f"weights are all that evaluate needs on {test}",
            "return everything that evaluate uses in weights(), and restore it in load_weights",
        ),
        (
            lambda: contract_checks.check_grid(subject.build, grid),
            f"evaluate gives each of {len(grid)} choices of inference parameters its own metrics"
            if len(grid) > 1
            else "a second evaluation gives the same metrics",
            "compute the metrics of each element of params_grid from that element alone",
        ),
        (
            lambda: contract_checks.check_evaluation(subject.build),
            "an evaluation does not change the training",
            "use no generator of the training in evaluate, and restore the mode of the network",
        ),
        (
            lambda: _evaluate_tests(subject),
            "all test splits are evaluated",
            "accept the name of every split in evaluate",
        ),
        (
            lambda: _use_optional_methods(subject),
            "plot_predictions, analyse_errors, score_yardsticks and predictor run",
            _PAGE,
        ),
    ]


def _try(check: Callable[[], object], message: str, remedy: str) -> CheckResult:
    """Return the result of a check that raises an exception where there is a problem."""
    try:
        check()
    except InputError as error:
        return CheckResult("error", f"{error.place}: {error.rule}: {error.value}", error.remedy)
    except ContractError as error:
        return CheckResult("error", str(error), remedy)
    except Exception as error:  # noqa: BLE001  # any exception of a trainable
        return CheckResult("error", f"not the case that {message}: {describe_error(error)}", remedy)
    return CheckResult("ok", message)


def _evaluate_tests(subject: Subject) -> None:
    trainable = subject.build(0)
    for split in subject.test_splits:
        evaluate_split(trainable, split, [{}])


def _use_optional_methods(subject: Subject) -> None:
    trainable = subject.build(0)
    contract_checks.train(trainable, 1)
    trainable.plot_predictions(list(subject.test_splits)[:2], {})
    analyses = [trainable.analyse_errors(split, {}) for split in subject.test_splits]
    for analysis in filter(None, analyses):
        analysis.check_shapes()
    for by_split in trainable.score_yardsticks(subject.test_splits).values():
        for metrics in by_split.values():
            [float(value) for value in metrics.values()]
    subject.trainable.predictor(subject.config(), read_back(trainable.weights()), device="cpu")


def _note_effects(subject: Subject) -> Iterator[CheckResult]:
    """Note what is no error but mostly a mistake: a seed or fields without an effect, and changed global generators."""
    try:
        if not contract_checks.seed_has_effect(subject.build):
            yield CheckResult(
                "note", "another seed gives the same numbers", "use `seed` where numbers are drawn at random"
            )
        changed = contract_checks.changed_global_states(subject.build)
        if changed:
            message = f"a training changes the state of the global generators of {', '.join(changed)}"
            own = "use generators of your own, such as numpy.random.default_rng(seed)"
            yield CheckResult("note", message, GLOBAL_TORCH if "torch" in changed else own)
        yield from _check_fields(subject)
    except Exception as error:  # noqa: BLE001  # reported by the checks above
        message = f"the effect of the fields is not checked: {describe_error(error)}"
        yield CheckResult("note", message, "solve the problems above")


def _check_fields(subject: Subject) -> Iterator[CheckResult]:
    """Try another value of every field of the Config."""
    names = field_names(subject.trainable.Config)
    until = time.monotonic() + _FIELDS_S
    expected = _train_evidence(subject, {})
    ineffective: list[str] = []
    untried: list[str] = []
    for name in names:
        changes = config_values.other_values(subject.config(), name, subject.candidates.get(name, ()))
        if not changes or time.monotonic() > until:
            untried.append(name)
        elif all(_train_evidence(subject, {name: value}) == expected for value in changes):
            ineffective.append(name)
    if ineffective:
        message = f"another value changes nothing, for: {', '.join(ineffective)}"
        yield CheckResult("note", message, "use these fields of the Config, or remove them; some may need other fields")
    if untried:
        message = f"no other value was tried, for: {', '.join(untried)}"
        yield CheckResult("note", message, "search them in a space and pass its file as --dataset")
    effective = len(names) - len(ineffective) - len(untried)
    yield CheckResult("ok", f"{effective} of {len(names)} fields of the Config have an effect")


def _train_evidence(subject: Subject, changes: Mapping[str, Any]) -> str:
    """Return all numbers of a short training, or the exception that ended it."""
    try:
        trainable = subject.build(0, changes)
        numbers = contract_checks.train(trainable, 2)
        return repr(numbers) + contract_checks.digest(trainable.weights())
    except Exception as error:  # noqa: BLE001  # a value may be unsuitable, which is an effect
        return repr(error)
