"""What is offered to be done next."""

from __future__ import annotations

from search import hints


def test_the_next_command_is_the_old_one_with_other_options() -> None:
    command = ["spaces/x.yaml", "--trials", "4", "--storage=a b", "--set", "seed=1"]
    assert hints._without(command, "--trials") == ["spaces/x.yaml", "--storage=a b", "--set", "seed=1"]
    assert hints._option(command, "--storage") == " '--storage=a b'"
    assert hints._option(["x", "--storage", "a b"], "--storage") == " --storage 'a b'"
    assert hints._option(["x"], "--storage") == ""
