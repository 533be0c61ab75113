"""Errors for invalid values of all fields contain no wording of pydantic."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from datasets.config_file import explain_validation
from datasets.registry import KINDS
from runtime.errors import suggest_field, unknown_name_error
from runtime.inputs.validation import describe_values, field_meanings
from spaces.schema import SpaceFile, nest_names
from tests.search.wrong_inputs import pydantic_phrases
from trainables.registry import BUILT_IN, describe_trainable

MODELS: dict[str, type[BaseModel]] = {
    **{name: kind.spec for name, kind in KINDS.items()},
    **{name: describe_trainable(name, "tests").config for name in BUILT_IN},
    "space": SpaceFile,
}
WRONG: tuple[Any, ...] = ("word", "", [], [1], ["a", "b", "c"], {}, {"a": []}, None, True, 0.5, 1e12, -1e12, math.nan)
PHRASES = pydantic_phrases()


class Sizes(BaseModel):
    """Fields with bounds of all sorts."""

    width: int = Field(8, ge=4, le=512, multiple_of=4)
    rate: float = Field(0.1, gt=0, le=1)
    share: float = Field(0.1, ge=0, lt=1)
    positive: float = Field(0.1, gt=0)
    kind: Literal["a", "b", "c"] = "a"
    flag: bool | None = None
    pair: tuple[float, float] = (0, 1)


def aliased(model: type[BaseModel], name: str) -> str:
    field = model.model_fields.get(name)
    return name if field is None else field.alias or name


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_no_wrong_value_of_any_field_is_answered_in_the_words_of_pydantic(model: type[BaseModel]) -> None:
    for name in field_meanings(model):
        for value in WRONG:
            try:
                model.model_validate(nest_names({aliased(model, name): value}))
            except ValidationError as error:
                for wrong in error.errors():
                    one = ValidationError.from_exception_data("one", [without_message(wrong)])
                    message = str(explain_validation(one, model, lambda key: f"file: {key}")).lower()
                    assert "described for the field" not in message, message
                    assert not [phrase for phrase in PHRASES if phrase in message], message


def without_message(error: Any) -> Any:
    """Return the details of an error in the form that pydantic takes."""
    return {key: error[key] for key in ("type", "loc", "input", "ctx") if key in error}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("width", "an integer from 4 to 512, a multiple of 4"),
        ("rate", "a number above 0 and of at most 1"),
        ("share", "a number of at least 0 and below 1"),
        ("positive", "a number above 0"),
        ("kind", "'a', 'b' or 'c'"),
        ("flag", "true or false"),
        ("pair", "a list of 2 values"),
    ],
)
def test_the_values_of_a_field_are_described_with_their_bounds(name: str, words: str) -> None:
    assert describe_values(Sizes.model_fields[name]) == words


FIELDS = {
    "optimizer.name": "update rule",
    "optimizer.lr": "learning rate",
    "optimizer.schedule": "learning rate over the epochs",
    "network.rate": "dropout",
    "precision": "",
}


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("optimizer.learning_rate", "did you mean 'optimizer.lr'?"),
        ("optimizer.LearningRate", "name a field of optimizer:"),
        ("optimizer.shedule", "did you mean 'optimizer.schedule'?"),
        ("optimiser.lr", "did you mean 'optimizer.lr'?"),
        ("lr", "did you mean 'optimizer.lr'?"),
        ("network.precision", "name a field of network:\n            network.rate  dropout"),
        ("presicion", "did you mean 'precision'?"),
        ("zzz", "known names: network.rate, optimizer.lr"),
    ],
)
def test_a_suggestion_stays_in_its_group(name: str, answer: str) -> None:
    assert suggest_field(name, FIELDS).startswith(answer)
    assert unknown_name_error("here", name, FIELDS).rule == "the name must be known"
