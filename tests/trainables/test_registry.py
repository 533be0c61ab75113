"""Names of trainables: what is known, what one's own class has to keep, and what the answer to a mistake says."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import InputError
from trainables import registry

PLACE = "space.yaml: trainable"


@pytest.fixture
def my_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_trainables.py").write_text(
        "from trainables.contract import Trainable\n"
        "class Unfinished(Trainable):\n"
        "    def train_epoch(self): return {}\n"
        "class Unrelated: pass\n"
        "number = 3\n"
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
