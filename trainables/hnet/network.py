"""Network of Adavanne et al. 2021 (section III-A, Fig. 2): GRU over the rows, attention, one linear layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trainables.hnet.config import HnetConfig


@dataclass(frozen=True)
class HungarianOutput:
    """Logits of associations.

    Attributes:
        entries: Logits of the association of row and column.
        rows: Logits of a row having any association, the largest of its entries.
        columns: Logits of a column having any association, the largest of its entries.
    """

    entries: Float[Tensor, "batch n n"]
    rows: Float[Tensor, "batch n"]
    columns: Float[Tensor, "batch n"]


class ShortGru(nn.Module):
    """GRU layer (Cho et al. 2014) for sequences of a few steps, with the parameters and results of `nn.GRU` but less work.

    The gates are separate from the start, since slicing them out of one tensor costs the backward pass as much as some of the
    products; the state before the first step is zero, so that step needs no product with it. Inputs are projected in single
    precision even under autocast, because associations depend on small differences of distances.

    Shape:
        input (batch, steps, features), output (batch, steps, hidden · directions).
    """

    def __init__(self, features: int, hidden: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.gru = nn.GRU(features, hidden, batch_first=True, bidirectional=bidirectional)  # holds the parameters

    def forward(self, rows: Float[Tensor, "batch steps features"]) -> Float[Tensor, "batch steps out"]:
        """Process the sequence forwards, and also backwards if bidirectional."""
        forwards = torch.stack(self._run_direction(rows.unbind(1), ""), dim=1)
        if not self.gru.bidirectional:
            return forwards
        backwards = self._run_direction(rows.unbind(1)[::-1], "_reverse")[::-1]
        return torch.cat([forwards, torch.stack(backwards, dim=1)], dim=2)

    def _run_direction(self, rows: tuple[Tensor, ...], direction: str) -> list[Tensor]:
        # nn.GRU stacks reset gate, update gate and candidate along the first axis.
        weights_in, weights, biases_in, biases = (
            getattr(self.gru, f"{name}_l0{direction}").chunk(3)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        # The reset gate scales the second bias of the candidate, which therefore cannot be added to the first.
        merged_biases = (biases_in[0] + biases[0], biases_in[1] + biases[1], biases_in[2])
        states: list[Tensor] = []
        for row in rows:
            with torch.autocast(row.device.type, enabled=False):
                reset, update, candidate = map(functional.linear, (row, row, row), weights_in, merged_biases)
            if not states:
                candidate = (candidate + reset.sigmoid() * biases[2]).tanh()
                states.append(candidate - update.sigmoid() * candidate)
                continue
            reset = (reset + functional.linear(states[-1], weights[0])).sigmoid()
            update = (update + functional.linear(states[-1], weights[1])).sigmoid()
            candidate = (candidate + reset * functional.linear(states[-1], weights[2], biases[2])).tanh()
            states.append(candidate.lerp(states[-1], update))
        return states


class Attention(nn.Module):
    """Self-attention with one head and without output projection or bias; the authors do not divide scores by √hidden.

    Shape:
        input (batch, rows, features), output (batch, rows, hidden).
    """

    def __init__(self, features: int, hidden: int, *, scaled: bool) -> None:
        super().__init__()
        self.query = nn.Linear(features, hidden, bias=False)
        self.key = nn.Linear(features, hidden, bias=False)
        self.value = nn.Linear(features, hidden, bias=False)
        self.scale = hidden**-0.5 if scaled else 1.0

    def forward(self, rows: Float[Tensor, "batch rows features"]) -> Float[Tensor, "batch rows hidden"]:
        """Average the values of all rows, weighted by the softmax of query-key products."""
        # (x Q') (x K')' = x (Q' K) x': the product of the two weight matrices is small, and saves one of three large products.
        form = self.query.weight.mT @ self.key.weight
        scores = (rows @ form) @ rows.mT * self.scale
        mixed: Tensor = scores.softmax(dim=2) @ self.value(rows)
        return mixed


class HungarianNetwork(nn.Module):
    """Network from distances to logits of associations; 100 098 parameters for two sources.

    Shape:
        input (batch, n, n), output entries (batch, n, n), rows and columns (batch, n).
    """

    def __init__(self, config: HnetConfig) -> None:
        super().__init__()
        network, n = config.network, config.max_sources
        self.limit = network.distance_limit
        self.gru = ShortGru(n, network.hidden, bidirectional=network.bidirectional)
        width = network.hidden * (2 if network.bidirectional else 1)
        self.attention = Attention(width, network.hidden, scaled=network.scaled_attention)
        self.last = nn.Linear(network.hidden, n)

    def forward(self, distances: Float[Tensor, "batch n n"]) -> HungarianOutput:
        """Return the logits of all pairs of row and column."""
        near = distances.clamp(max=self.limit) if self.limit else distances
        entries: Tensor = self.last(self.attention(self.gru(near)).tanh()).float()
        return HungarianOutput(entries, entries.amax(dim=2), entries.amax(dim=1))
