"""What is offered to be done next."""

from __future__ import annotations

from search.reporting import next_steps


def test_the_next_command_is_the_old_one_with_other_options() -> None:
    command = ["spaces/x.yaml", "--trials", "4", "--storage=a b", "--set", "seed=1"]
    assert next_steps.without_option(command, "--trials") == ["spaces/x.yaml", "--storage=a b", "--set", "seed=1"]
    assert next_steps._find_option(command, "--storage") == " '--storage=a b'"
    assert next_steps._find_option(["x", "--storage", "a b"], "--storage") == " --storage 'a b'"
    assert next_steps._find_option(["x"], "--storage") == ""
