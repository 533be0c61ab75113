"""The network against torch's own layers, and its figures against the authors'."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spaces.schema import nest_names
from trainables.hnet.config import HnetConfig
from trainables.hnet.network import Attention, HungarianNetwork, ShortGru


def network(**values: Any) -> HungarianNetwork:
    torch.manual_seed(0)
    changes = {name.replace("__", "."): value for name, value in values.items()}
    return HungarianNetwork(HnetConfig.model_validate(nest_names(changes)))


def random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_it_has_as_many_parameters_as_the_authors_network() -> None:
    assert parameters(network()) == 100_098


@pytest.mark.parametrize("hidden", [8, 32])
@pytest.mark.parametrize("sources", [2, 5])
def test_parameters_by_formula(sources: int, hidden: int) -> None:
    gru = 3 * hidden * (sources + hidden + 2)
    found = parameters(network(max_sources=sources, network__hidden=hidden))
    assert found == gru + 3 * hidden**2 + hidden * sources + sources
    both_ways = parameters(network(max_sources=sources, network__hidden=hidden, network__bidirectional=True))
    assert both_ways == 2 * gru + 3 * hidden * 2 * hidden + hidden * sources + sources


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("steps", [2, 3, 7])
def test_the_short_gru_is_torchs(steps: int, bidirectional: bool) -> None:
    torch.manual_seed(0)
    mine = ShortGru(steps, 16, bidirectional=bidirectional)
    given = [random(5, steps, steps).requires_grad_() for _ in range(2)]
    pull = torch.randn(5, steps, 16 * (1 + bidirectional))
    outputs = [mine(given[0]), mine.gru(given[1])[0]]
    assert torch.allclose(outputs[0], outputs[1], atol=1e-6)
    gradients = [
        torch.autograd.grad((output * pull).sum(), [source, *mine.parameters()])
        for output, source in zip(outputs, given, strict=True)
    ]
    for own, torchs in zip(*gradients, strict=True):
        assert torch.allclose(own, torchs, atol=1e-5)


@pytest.mark.parametrize("scaled", [False, True])
def test_attention_row_by_row(scaled: bool) -> None:
    torch.manual_seed(0)
    attention, rows = Attention(6, 4, scaled=scaled).requires_grad_(False), random(3, 5, 6)
    found = attention(rows)
    assert found.shape == (3, 5, 4)
    for sample, mixed in zip(rows, found, strict=True):
        keys, values = [attention.key(row) for row in sample], [attention.value(row) for row in sample]
        for row, got in zip(sample, mixed, strict=True):
            scores = [float(attention.query(row) @ key) / (2 if scaled else 1) for key in keys]
            weights = [math.exp(score) / sum(math.exp(other) for other in scores) for score in scores]
            wanted = torch.stack([weight * value for weight, value in zip(weights, values, strict=True)]).sum(0)
            assert torch.allclose(got, wanted, atol=1e-6)


def test_attention_is_torchs_scaled_dot_product() -> None:
    torch.manual_seed(0)
    attention, rows = Attention(6, 4, scaled=True), random(3, 5, 6)
    wanted = nn.functional.scaled_dot_product_attention(
        attention.query(rows), attention.key(rows), attention.value(rows)
    )
    assert torch.allclose(attention(rows), wanted, atol=1e-6)


@pytest.mark.parametrize("sources", [2, 3, 7])
def test_maxima_are_those_of_rows_and_columns(sources: int) -> None:
    output = network(max_sources=sources)(random(4, sources, sources))
    assert output.entries.shape == (4, sources, sources)
    assert output.rows.shape == output.columns.shape == (4, sources)
    for sample in range(4):
        for index in range(sources):
            assert output.rows[sample, index] == max(output.entries[sample, index].tolist())
            assert output.columns[sample, index] == max(output.entries[sample, :, index].tolist())


def test_one_matrix_alone_keeps_its_shape_and_its_answer() -> None:
    model, distances = network(), random(3, 2, 2)
    alone = model(distances[1:2])
    assert alone.entries.shape == (1, 2, 2)
    assert alone.rows.shape == (1, 2)
    assert torch.allclose(alone.entries, model(distances).entries[1:2], atol=1e-6)


def test_distances_receive_gradients() -> None:
    distances = random(3, 2, 2).requires_grad_()
    network()(distances).entries.sigmoid().sum().backward()
    assert distances.grad is not None
    assert bool((distances.grad != 0).all())


def test_beyond_the_limit_all_distances_are_alike() -> None:
    far, further = torch.tensor([[[0.3, 5.0], [9.0, 1.0]]]), torch.tensor([[[0.3, 80.0], [4.0, 1.0]]])
    limited, unlimited = network(network__distance_limit=4.0), network()
    assert torch.equal(limited(far).entries, limited(further).entries)
    assert not torch.allclose(unlimited(far).entries, unlimited(further).entries)
    near = random(4, 2, 2)
    assert torch.equal(limited(near).entries, unlimited(near).entries)


def test_in_half_precision_distances_still_count_to_the_last_digit() -> None:
    model = network()
    close = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[1.001, 1.0], [1.0, 1.0]]])  # bf16 rounds both to 1
    with torch.autocast("cpu", torch.bfloat16):
        inner = model.gru(close)
        output = model(random(8, 2, 2))
    assert not torch.equal(inner[0], inner[1])
    assert output.entries.dtype == torch.float32
    assert torch.allclose(output.entries, model(random(8, 2, 2)).entries, atol=0.02)
