"""The message on metrics of another type shows the form for a class and that for a function."""

from __future__ import annotations

import pytest

from runtime.errors import InputError
from trainables.inspection import read_metrics


def test_the_remedy_has_an_example_for_a_class_and_one_for_a_function() -> None:
    with pytest.raises(InputError) as caught:
        read_metrics(["minimize error"], "my.module:train", "space.yaml: trainable")
    assert 'metrics = (Metric("f1"' in caught.value.remedy
    assert '@trainable(metrics=[Metric("f1"' in caught.value.remedy
