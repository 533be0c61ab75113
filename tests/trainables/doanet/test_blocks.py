"""The block against PyTorch's layers in the order the authors have them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from trainables.doanet.blocks import ConvolutionBlock

WINDOW = (5, 2)


def pair() -> tuple[ConvolutionBlock, nn.Sequential]:
    """The same parameters in both, gains of either sign, in double precision."""
    torch.manual_seed(0)
    ours = ConvolutionBlock(3, 8, WINDOW, 0.0).double()
    theirs = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(WINDOW)).double()
    with torch.no_grad():
        ours.norm.weight.copy_(torch.randn(8))
        ours.norm.bias.copy_(torch.randn(8))
    assert (ours.norm.weight < 0).any()
    theirs[0].load_state_dict(ours.convolution.state_dict())
    theirs[1].load_state_dict(ours.norm.state_dict())
    return ours, theirs


def heard(seed: int = 1) -> Tensor:
    """Some input with a mean that is not zero."""
    return 2 + torch.randn(4, 3, 20, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_block_and_layers_agree_in_values_gradients_and_memory() -> None:
    ours, theirs = pair()
    for seed in range(3):
        first, second = heard(seed).requires_grad_(), heard(seed).requires_grad_()
        found, expected = ours(first), theirs(second)
        assert torch.allclose(found, expected, atol=1e-12)
        weight = torch.randn_like(expected)
        (found * weight).sum().backward()
        (expected * weight).sum().backward()
        assert first.grad is not None
        assert second.grad is not None
        assert torch.allclose(first.grad, second.grad, atol=1e-12)
    assert torch.allclose(ours.convolution.weight.grad, theirs[0].weight.grad, atol=1e-11)  # type: ignore[arg-type]
    assert torch.allclose(ours.norm.weight.grad, theirs[1].weight.grad, atol=1e-11)  # type: ignore[arg-type]
    assert torch.allclose(ours.norm.bias.grad, theirs[1].bias.grad, atol=1e-11)  # type: ignore[arg-type]
    for name in ("running_mean", "running_var"):
        assert torch.allclose(getattr(ours.norm, name), getattr(theirs[1], name), atol=1e-12)
    ours.eval()
    theirs.eval()
    assert torch.allclose(ours(heard(9)), theirs(heard(9)), atol=1e-12)


def test_a_bias_before_the_normalisation_has_no_gradient() -> None:
    ours, theirs = pair()
    theirs(heard()).square().sum().backward()
    assert theirs[0].bias.grad.abs().max() < 1e-10  # type: ignore[union-attr, operator]
    ours(heard()).square().sum().backward()
    assert ours.convolution.bias is not None
    assert ours.convolution.bias.grad is None


@pytest.mark.parametrize("samples", [1, 40])
def test_single_precision_holds_however_many_positions(samples: int) -> None:
    torch.manual_seed(0)
    block = ConvolutionBlock(3, 8, WINDOW, 0.0)
    inputs = 1 + torch.randn(samples, 3, 250, 64)
    expected = block.double()(inputs.double()).float()
    assert torch.allclose(block.float()(inputs), expected, atol=2e-5)


def test_under_autocast_statistics_stay_in_single_precision() -> None:
    ours, _ = pair()
    ours.float()
    expected = ours(heard().float())
    assert ours.norm.running_mean is not None
    mean = ours.norm.running_mean.clone()
    ours.norm.reset_running_stats()
    with torch.autocast("cpu", torch.bfloat16):
        found = ours(heard().float())
    found.sum().backward()
    assert found.dtype == ours.norm.running_mean.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
    torch.testing.assert_close(ours.norm.running_mean, mean, rtol=0.01, atol=0.01)
