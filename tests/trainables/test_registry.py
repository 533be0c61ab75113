"""Names of trainables: what is known, what a class of one's own has to keep, and how a mistake is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel

from runtime.errors import InputError
from trainables import hooks, registry
from trainables.contract import Metric, TrainableConfig

PLACE = "space.yaml: trainable"


@pytest.fixture
def my_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_trainables.py").write_text(
        "from typing import ClassVar\n"
        "from pydantic import BaseModel\n"
        "from benchmarks.idle import Idle, IdleConfig\n"
        "from trainables.contract import Trainable\n"
        "class Unfinished(Trainable):\n"
        "    def train_epoch(self): return {}\n"
        "class Unrelated: pass\n"
        "number = 3\n"
        "class Plain(Idle):\n"
        "    class Config(BaseModel): lr: float = 0.1\n"
        "class Untyped(Idle):\n"
        "    class Config: lr = 0.1\n"
        "class PlainMisspelt(Idle):\n"
        "    class Config(BaseModel):\n"
        "        def check_dataset(self, dataset): pass\n"
        "class Listed(Idle):\n"
        "    metrics = [*Idle.metrics]\n"
        "    inner = []\n"
        "class Single(Idle):\n"
        "    metrics = (Idle.metrics[0])\n"
        "class NoInner(Trainable):\n"
        "    Config, metrics = IdleConfig, Idle.metrics\n"
        "    __init__, train_epoch, evaluate = Idle.__init__, Idle.train_epoch, Idle.evaluate\n"
        "    state, load_state, weights, load_weights = Idle.state, Idle.load_state, Idle.weights, Idle.load_weights\n"
        "    def predict(self, sound): pass\n"
        "class Misspelt(Idle):\n"
        "    class Config(IdleConfig):\n"
        "        def check_dataset(self, dataset): pass\n"
        "class Singular(Idle):\n"
        "    class Config(IdleConfig):\n"
        "        support_ddp: ClassVar[bool] = True\n"
        "class Searched(Idle):\n"
        "    class Config(IdleConfig):\n"
        "        support_ddp: bool = True\n"
        "class Incomplete(Idle):\n"
        "    class Config(IdleConfig):\n"
        "        supports_ddp: ClassVar[bool] = True\n"
        "class Complete(Idle):\n"
        "    class Config(IdleConfig):\n"
        "        supports_ddp: ClassVar[bool] = True\n"
        "        @property\n"
        "        def ddp_batch_size(self): return 8\n"
        "        def check_data(self, dataset): pass\n"
        "        def learning_rate(self): return self.lr\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def complaint(name: str) -> InputError:
    with pytest.raises(InputError) as caught:
        registry.load_trainable(name, PLACE)
    assert caught.value.place == PLACE
    return caught.value


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_a_built_in_name_is_the_same_class_as_its_path(name: str) -> None:
    path = registry.BUILT_IN[name].trainable
    assert registry.load_trainable(name, PLACE) is registry.load_trainable(path, PLACE)
    assert registry.describe_trainable(path, PLACE).config is registry.describe_trainable(name, PLACE).config


def test_a_near_miss_is_answered_with_the_name() -> None:
    error = complaint("localiser")
    assert "did you mean 'localizer'?" in error.remedy
    assert error.value == "localiser"


def test_an_unknown_name_is_answered_with_the_known_ones_and_how_to_write_ones_own() -> None:
    assert "known names: doanet, hnet, localizer" in complaint("seld").remedy
    assert "my_package.my_module:MyTrainable" in complaint("seld").remedy


@pytest.mark.parametrize("name", ["no_such_package:Model", "trainables.contract:Nobody", "trainables.nothing:Model"])
def test_what_cannot_be_imported_is_named(name: str) -> None:
    error = complaint(name)
    assert "importable" in error.rule
    assert any(part in str(error.value) for part in ("no_such_package", "Nobody", "nothing"))


@pytest.mark.usefixtures("my_package")
@pytest.mark.parametrize("name", ["Unrelated", "number"])
def test_what_is_no_trainable_is_refused(name: str) -> None:
    assert "derives from trainables.contract.Trainable" in complaint(f"my_trainables:{name}").rule


@pytest.mark.usefixtures("my_package")
def test_everything_that_is_missing_is_listed() -> None:
    value = str(complaint("my_trainables:Unfinished").value)
    assert "Config" in value
    assert "load_state" in value
    assert "train_epoch" not in value


@pytest.mark.usefixtures("my_package")
def test_a_plain_pydantic_model_is_a_config_whose_hooks_have_their_defaults() -> None:
    config = registry.load_trainable("my_trainables:Plain", PLACE).Config()
    assert hooks.ddp_batch_size(config) is None
    hooks.check_data(config, None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("my_package")
def test_metrics_may_be_a_list_or_one_metric_and_inner_may_be_absent() -> None:
    listed, single, without = (
        registry.describe_trainable(f"my_trainables:{name}", PLACE) for name in ("Listed", "Single", "NoInner")
    )
    assert [metric.name for metric in listed.metrics] == ["f1", "loss"]
    assert isinstance(listed.metrics, tuple)
    assert single.metrics == (Metric("f1", "maximize", "made up"),)
    assert (listed.inner, without.inner) == ((), ())


def test_an_exception_of_a_hook_is_an_error_in_the_input() -> None:
    class Config(BaseModel):
        def check_data(self, dataset: Any) -> None:
            raise ValueError(f"no {dataset} here\nor elsewhere")

    with pytest.raises(InputError, match=r"check_data of .*Config must accept") as caught:
        hooks.check_data(Config(), "music")  # type: ignore[arg-type]
    assert caught.value.value == "ValueError: no music here"


@pytest.mark.usefixtures("my_package")
def test_a_config_is_a_pydantic_model() -> None:
    error = complaint("my_trainables:Untyped")
    assert "is a pydantic model" in error.rule
    assert "my_trainables:Untyped" in str(error.value)


@pytest.mark.parametrize("returned", [0, -4, 2.5, True, "100", ValueError("no such split")])
def test_a_wrong_number_of_presentations_is_an_error_in_the_input(returned: object) -> None:
    class Config(TrainableConfig):
        def epoch_presentations(self, dataset: object) -> Any:
            del dataset
            if isinstance(returned, Exception):
                raise returned
            return returned

    with pytest.raises(InputError, match="a positive integer or None"):
        hooks.epoch_presentations(Config(), cast(Any, None))


@pytest.mark.usefixtures("my_package")
@pytest.mark.parametrize(
    ("name", "hook"),
    [
        ("Misspelt", "check_data"),
        ("PlainMisspelt", "check_data"),
        ("Singular", "supports_ddp"),
        ("Searched", "supports_ddp"),
    ],
)
def test_a_misspelt_hook_is_answered_with_the_hook(name: str, hook: str) -> None:
    error = complaint(f"my_trainables:{name}")
    assert str(error.value) in ("Config.check_dataset", "Config.support_ddp")
    assert f"define {hook} as TrainableConfig does" in error.remedy


@pytest.mark.usefixtures("my_package")
def test_training_in_several_processes_needs_the_batch_they_share() -> None:
    assert "must define ddp_batch_size" in complaint("my_trainables:Incomplete").rule


@pytest.mark.usefixtures("my_package")
def test_hooks_and_other_methods_are_accepted() -> None:
    config = registry.load_trainable("my_trainables:Complete", PLACE).Config()
    assert hooks.ddp_batch_size(config) == 8
