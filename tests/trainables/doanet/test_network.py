"""Shapes, parameter counts and the wiring of the network."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trainables.doanet.config import DoanetConfig, NetworkConfig
from trainables.doanet.network import DoaNetwork, RecurrentProduct

SMALL = {"channels": 4, "gru": 8, "branch": 4}


def build(**values: Any) -> DoaNetwork:
    torch.manual_seed(0)
    return DoaNetwork(DoanetConfig.model_validate(values)).eval()


@pytest.mark.parametrize(
    ("values", "parameters"),
    [
        ({"format": "foa"}, 1_553_928),
        ({"format": "mic"}, 1_557_384),
        ({"format": "foa", "loss": {"kind": "dmotp"}}, 1_520_646),
        ({"format": "foa", "loss": {"kind": "mse"}}, 1_520_646),
    ],
)
def test_it_has_the_parameters_of_the_authors_network(values: dict[str, Any], parameters: int) -> None:
    assert sum(parameter.numel() for parameter in build(**values).parameters()) == parameters


@pytest.mark.parametrize(("fmt", "channels", "sources"), [("foa", 7, 2), ("mic", 10, 3)])
@pytest.mark.parametrize("heads", [0, 2])
def test_five_feature_frames_make_one_label_frame(fmt: str, channels: int, sources: int, heads: int) -> None:
    network = build(format=fmt, max_sources=sources, network=SMALL | {"heads": heads})
    directions, activity = network(torch.randn(2, channels, 35, 64))
    assert directions.shape == (2, 7, sources, 3)
    assert activity is not None
    assert activity.shape == (2, 7, sources)


def test_directions_lie_in_a_cube_with_x_of_all_sources_first() -> None:
    network = build(network=SMALL)
    last = network.directions[4]
    with torch.no_grad():
        last.weight.zero_()  # type: ignore[operator]
        last.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4, 9.0, -9.0]))  # type: ignore[operator]
    directions, _ = network(torch.randn(1, 7, 5, 64))
    expected = torch.tensor([[0.1, 0.3, 9.0], [0.2, 0.4, -9.0]]).tanh()
    torch.testing.assert_close(directions[0, 0], expected)


@pytest.mark.parametrize("tanh", [True, False])
def test_the_activity_is_bounded_only_if_asked(tanh: bool) -> None:
    network = build(network=SMALL, activity_tanh=tanh)
    assert network.activity is not None
    with torch.no_grad():
        network.activity[4].bias.fill_(3.0)  # type: ignore[operator]
    _, activity = network(torch.randn(1, 7, 5, 64))
    assert activity is not None
    assert bool((activity.abs() <= 1).all()) == tanh
    assert activity.sigmoid().max() > (0.70 if tanh else 0.9)


def test_the_halves_of_the_gru_are_multiplied() -> None:
    torch.manual_seed(1)
    block = RecurrentProduct(3, NetworkConfig(gru=4, gru_layers=1))
    inputs = torch.randn(2, 6, 3)
    one_way = torch.nn.GRU(3, 4, batch_first=True)
    halves = []
    for suffix, order in (("", 1), ("_reverse", -1)):
        state = block.gru.state_dict()
        one_way.load_state_dict(
            {f"{n}_l0": state[f"{n}_l0{suffix}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        )
        run = one_way(inputs if order == 1 else inputs.flip(1))[0]
        halves.append(run if order == 1 else run.flip(1))
    torch.testing.assert_close(block(inputs), halves[0].tanh() * halves[1].tanh())


def test_dropout_is_on_in_training_alone() -> None:
    network = build(network=SMALL | {"dropout": 0.5, "heads": 2})
    features = torch.randn(1, 7, 25, 64)
    assert torch.equal(network(features)[0], network(features)[0])
    network.train()
    assert not torch.equal(network(features)[0], network(features)[0])
