"""The doctor examines a user's trainable: one line per check, and status 1 with a remedy where it departs from the contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from datasets.rooms.spec import RoomSpec
from datasets.scenes.spec import SceneSpec
from search.doctor import __main__ as doctor
from search.doctor.config_values import other_values, shrink_dataset

TOYS = "tests.trainables.contract_toys"
SPACE = """
name: walk
trainable: tests.trainables.contract_toys:Walk
dataset: {kind: matrices}
search: {lr: {uniform: [0.1, 1]}, form: {choice: [plain, fancy]}}
objectives: [{metric: score}]
budget: {trials: 2, epochs: 2}
"""


def test_a_trainable_that_keeps_the_contract_is_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    assert doctor.main(["--trainable", f"{TOYS}:Walk", "--dataset", str(path)]) == 0
    output = capsys.readouterr().out
    assert output.count("ok    ") == 11
    assert "note  another value changes nothing, for: form" in output
    assert output.endswith("\nready\n")


@pytest.mark.parametrize(
    ("name", "message"), [("Forgetful", "a training that continues from its state"), ("Incomplete", "declares score")]
)
def test_a_fault_is_an_error_with_a_remedy(name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--trainable", f"{TOYS}:{name}"]) == 1
    output = capsys.readouterr().out
    [line] = [number for number, text in enumerate(output.splitlines()) if text.startswith("error")]
    assert message in output.splitlines()[line]
    assert output.splitlines()[line + 1].startswith("      → ")
    assert output.endswith("\n1 problem found\n")


@pytest.mark.parametrize(("name", "status"), [("Dropping", 1), ("SeededDropping", 0)])
def test_a_searched_dropout_that_seed_and_epoch_do_not_determine_is_an_error(
    name: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "space.yaml"
    search = "search: {lr: {uniform: [0.1, 1]}, dropout: {uniform: [0, 0.5]}}"
    text = SPACE.replace("contract_toys:Walk", f"contract_toys:{name}").replace(SPACE.splitlines()[4], search)
    path.write_text(text)
    assert doctor.main(["--trainable", f"{TOYS}:{name}", "--dataset", str(path)]) == status
    output = capsys.readouterr().out
    assert ("error with dropout=0.5: the same seed must give the same numbers" in output) is bool(status)
    assert ("`with self._seed_epoch():`" in output) is bool(status)
    assert "with lr=" not in output
    assert ("a second evaluation gives the same metrics" in output) is (name == "SeededDropping")  # it has no inner


def test_the_data_may_be_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--trainable", f"{TOYS}:Partial", "--dataset", "matrices"]) == 1
    assert "with data of the kind matrices" in (output := capsys.readouterr().out)
    assert "error evaluate on test must give the same metrics after load_weights" in output


def test_a_function_is_examined_without_the_methods_that_it_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--trainable", "examples.my_function:fit_line"]) == 0
    assert "weights are all" not in capsys.readouterr().out


def test_wrong_options_are_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--trainable", f"{TOYS}:Wolk"]) == 2
    assert "did you mean tests.trainables.contract_toys:Walk?" in capsys.readouterr().err
    assert doctor.main(["--trainable", f"{TOYS}:Walk", "--dataset", "tau2021"]) == 2
    assert "tau2021" in capsys.readouterr().err
    assert doctor.main(["--dataset", "spaces/rg_rep.yaml"]) == 2
    assert "--trainable" in capsys.readouterr().err


def test_generated_data_is_used_at_a_small_size() -> None:
    room = shrink_dataset(RoomSpec.model_validate({"train": 50, "acoustics": {"rt60_s": 0.3}, "excerpts": 100}))
    assert isinstance(room, RoomSpec)
    assert (room.train.samples, room.validate_.samples, room.tests["S1"].samples) == (50, 64, 32)
    assert room.tests["S1"].sources == (3, 3)
    assert (room.excerpts, room.acoustics and room.acoustics.positions) == (8, 20)
    scenes = shrink_dataset(SceneSpec())
    assert isinstance(scenes, SceneSpec)
    assert scenes.folds == dict.fromkeys(range(1, 7), 1)


def test_other_values_of_a_field_are_valid() -> None:
    class Group(BaseModel):
        size: int = Field(4, ge=1, le=8, multiple_of=4)

    class Config(BaseModel):
        share: float = Field(1.0, gt=0, le=1)
        flag: bool = False
        group: Group = Group()
        text: str = "plain"

    config = Config()
    assert other_values(config, "share") == [0.5, 0.9]
    assert other_values(config, "flag") == [True]
    assert other_values(config, "group.size") == [8]
    assert other_values(config, "text") == []
    assert other_values(config, "text", ("plain", "fancy")) == ["fancy"]
