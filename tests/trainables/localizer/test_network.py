"""Table II: parameter counts and shapes by hand, and the pair extractor against the layout the paper describes."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.localizer.support import paper, small
from trainables.localizer.config import LocalizerConfig
from trainables.localizer.network import ArrayEncoder, GridDecoder, LocalizerNetwork, PairExtractor, decoder_sizes

PARAMETERS = {
    ("single", "tg"): 1_963_121,
    ("single", "hm"): 1_963_121,
    ("single", "rg"): 1_799_427,
    ("array", "tg"): 3_137_649,
    ("array", "hm"): 3_137_649,
    ("array", "rg"): 2_973_955,
    ("combined", "tg"): 3_194_105,
    ("combined", "hm"): 3_194_105,
    ("combined", "rg"): 3_030_411,
}
PARTS = {"single": (0, 389_104), "array": (0, 383_984), "combined": (136, 440_304)}
SHAPES = {"tg": (1, 81, 81), "hm": (1, 81, 81), "rg": (3, 6, 6)}


def network(config: LocalizerConfig, arrays: int = 2, mics: int = 4) -> LocalizerNetwork:
    torch.manual_seed(0)
    return LocalizerNetwork(config, arrays, mics).eval()


def spectra(*shape: int) -> Tensor:
    return torch.randn(*shape, 9, 256, generator=torch.Generator().manual_seed(1))


def settled(config: LocalizerConfig, arrays: int = 2, mics: int = 4) -> LocalizerNetwork:
    """A network in double precision whose norms have seen noise; a fresh one gives nearly the same for every input."""
    built = network(config, arrays, mics).double().train()
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # averages all it has seen
    with torch.no_grad():
        built(spectra(32, arrays, 2 * mics).double())
    return built.eval()


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("encoder", "representation"), PARAMETERS)
@torch.inference_mode()
def test_the_papers_nine_networks_have_their_size_and_output(encoder: str, representation: str) -> None:
    built = network(paper(representation, encoder=encoder))
    assert parameters(built) == PARAMETERS[encoder, representation]
    assert (parameters(built.pairs), parameters(built.encoder)) == PARTS[encoder]
    assert built(spectra(1, 2, 8)).shape == (1, *SHAPES[representation])


@pytest.mark.parametrize("encoder", PARTS)
def test_both_stride_variants_have_the_same_weights(encoder: str) -> None:
    late, early = (network(paper("rg", encoder=encoder, network__strides=strides)) for strides in ("late", "early"))
    assert {n: v.shape for n, v in late.state_dict().items()} == {n: v.shape for n, v in early.state_dict().items()}


LATE = [(9, 256)] * 5 + [(9, 128), (9, 64), (1, 32)]
EARLY = [(9, 128), (9, 64), (9, 64), (9, 64), (9, 64), (9, 64), (9, 64), (1, 32)]


@pytest.mark.parametrize(("strides", "sizes"), [("late", LATE), ("early", EARLY)])
@torch.inference_mode()
def test_frequencies_shrink_from_256_to_32_and_times_from_9_to_1(strides: str, sizes: list[tuple[int, int]]) -> None:
    encoder = ArrayEncoder(8, small(network__strides=strides).network).eval()
    seen: list[tuple[int, int]] = []
    for layer in encoder:
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _layer, _input, output: seen.append(tuple(output.shape[2:])))
    assert encoder(spectra(2, 8)).shape == (2, 512)
    assert seen == sizes


@pytest.mark.parametrize(("encoder_norm", "norms"), [(False, 5), (True, 8)])
def test_batch_norm_follows_the_five_wide_layers_or_all(encoder_norm: bool, norms: int) -> None:
    encoder = ArrayEncoder(8, small(network__encoder_norm=encoder_norm).network)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in encoder) == norms


def materialised(pairs: PairExtractor, heard: Tensor) -> tuple[Tensor, nn.Conv2d, nn.BatchNorm2d]:
    """Table II literally: every pair's rows side by side, one image a frame, a 2×7 kernel with stride 2 over the rows."""
    batch, mics = heard.shape[0], heard.shape[1] // 2
    convolution = nn.Conv2d(1, 8, (2, 7), stride=(2, 1), padding=(0, 3)).double()
    convolution.load_state_dict(pairs.kernel.state_dict())
    norm = nn.BatchNorm2d(8).double().train()
    of_pairs = list(itertools.combinations(range(mics), 2))
    rows = [part * mics + mic for part in (0, 1) for pair in of_pairs for mic in pair]  # real parts, then imaginary
    images = heard[:, rows].transpose(1, 2).reshape(batch * 9, 1, len(rows), 256)
    responses = nn.functional.leaky_relu(norm(convolution(images)), 0.01)
    return responses.reshape(batch, 9, 8 * len(rows) // 2, 256).transpose(1, 2), convolution, norm


@pytest.mark.parametrize("mics", [2, 4])
def test_pairs_equal_the_layout_of_the_paper_forwards_and_backwards(mics: int) -> None:
    torch.manual_seed(3)
    pairs = PairExtractor(mics, 0.01).double().train()
    heard = spectra(3, 2 * mics).double()
    expected, convolution, norm = materialised(pairs, heard)
    found = pairs(heard)
    assert found.shape == (3, pairs.pair_channels, 9, 256) == (3, 8 * mics * (mics - 1), 9, 256)
    assert (found - expected).abs().max().item() < 1e-10
    weight = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    assert pairs.kernel.weight.grad is not None
    assert convolution.weight.grad is not None
    assert float((pairs.kernel.weight.grad - convolution.weight.grad).abs().max()) < 1e-8
    assert pairs.norm.running_mean is not None
    assert norm.running_mean is not None
    assert pairs.norm.running_var is not None
    assert norm.running_var is not None
    assert torch.allclose(pairs.norm.running_mean, norm.running_mean, atol=1e-12)
    assert torch.allclose(pairs.norm.running_var, norm.running_var, rtol=1e-9)  # the same number of values, too


@pytest.mark.parametrize("cells", [*range(3, 41), 81, 100, 243])
@torch.inference_mode()
def test_the_decoder_hits_every_grid_exactly(cells: int) -> None:
    decoder = GridDecoder(8, cells, 1, 16).eval()
    assert decoder(torch.zeros(1, 8)).shape == (1, 1, cells, cells)


def test_the_decoder_grows_as_in_the_paper() -> None:
    assert decoder_sizes(81) == (3, 9, 27, 81)
    assert decoder_sizes(6) == (3, 6, 6, 6)


@pytest.mark.parametrize(("cells", "kernels"), [(81, [(3, 3)] * 4), (6, [(3, 3), (2, 2), (3, 1), (3, 1)])])
def test_the_decoder_has_the_papers_kernels_and_strides(cells: int, kernels: list[tuple[int, int]]) -> None:
    layers = [layer for layer in GridDecoder(512, cells, 1, 256) if isinstance(layer, nn.ConvTranspose2d)]
    assert [(layer.kernel_size[0], layer.stride[0]) for layer in layers] == kernels
    assert [layer.out_channels for layer in layers] == [256, 128, 64, 32]


@torch.inference_mode()
def test_arrays_share_one_encoder_and_their_codes_are_concatenated() -> None:
    built, heard = settled(small()), spectra(3, 2, 8).double()
    codes = [built.encoder(heard[:, array]) for array in range(2)]
    assert float((built(heard) - built.decoder(torch.cat(codes, dim=1))).abs().max()) < 1e-10
    assert float((built(heard) - built.decoder(torch.cat(codes[::-1], dim=1))).abs().max()) > 1e-6


@torch.inference_mode()
def test_summed_codes_cannot_tell_the_arrays_apart_and_concatenated_ones_can() -> None:
    heard = spectra(3, 2, 8).double()
    summed, concatenated = (settled(small(network__merge=merge)) for merge in ("sum", "concat"))
    codes = summed.encoder(heard[:, 0]) + summed.encoder(heard[:, 1])
    assert float((summed(heard) - summed.decoder(codes)).abs().max()) < 1e-10
    assert float((summed(heard) - summed(heard.flip(1))).abs().max()) < 1e-10
    assert float((concatenated(heard) - concatenated(heard.flip(1))).abs().max()) > 1e-6


def test_a_sum_saves_the_second_array_its_share_of_the_first_decoder_layer() -> None:
    summed, concatenated = (network(paper("hm", encoder="array", network__merge=merge)) for merge in ("sum", "concat"))
    assert parameters(concatenated) - parameters(summed) == 512 * 256 * 3 * 3


@torch.inference_mode()
def test_a_single_encoder_hears_all_arrays_at_once() -> None:
    assert network(small(encoder="single"), arrays=3, mics=2)(spectra(2, 3, 4)).shape == (2, 3, 6, 6)


@pytest.mark.parametrize("encoder", PARTS)
@torch.inference_mode()
def test_a_sample_comes_out_the_same_in_company(encoder: str) -> None:
    built, heard = settled(small(encoder=encoder)), spectra(3, 2, 8).double()
    together = built(heard)
    assert float((together[1:2] - built(heard[1:2])).abs().max()) < 1e-10
    assert float((together[1] - together[0]).abs().max()) > 1e-6


EXPECTED = {"relu": torch.relu, "sigmoid": torch.sigmoid, "linear": torch.clone}


@pytest.mark.parametrize("activation", EXPECTED)
@torch.inference_mode()
def test_the_heat_map_ends_in_its_activation(activation: str) -> None:
    built = settled(small(representation="hm", grid__cells=12, network__heatmap_activation=activation))
    heard = spectra(8, 2, 8).double()
    raw: list[Tensor] = []
    built.decoder[-1].register_forward_hook(lambda _layer, _input, output: raw.append(output))
    built(heard)
    built.decoder[-1].bias -= raw[0].mean()  # type: ignore[operator]  # so that there are values on both sides of zero
    after = built(heard)
    assert float(raw[1].min()) < 0 < float(raw[1].max())
    assert torch.equal(after, EXPECTED[activation](raw[1]))


@pytest.mark.parametrize("representation", ["tg", "rg"])
@torch.inference_mode()
def test_tight_and_refined_grids_return_logits(representation: str) -> None:
    built = network(small(representation=representation, grid__cells=6))
    built.decoder[-1].bias.fill_(-5.0)  # type: ignore[operator]
    assert float(built(spectra(2, 2, 8)).max()) < 0  # neither a ReLU nor a sigmoid has the last word
