"""Arithmetic, memory traffic and memory of training steps, counted operator by operator without a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

_ITEMS: Final = (2, 4)
"""Numbers of items of the two counted steps; costs are linear in the number of items."""
_VALUES_PER_PARAMETER: Final = 4
"""Weight, gradient and two moments of Adam."""


@dataclass(frozen=True)
class SampleStep:
    """Training step of a new model on random items, as `Trainable.sample_step` returns it.

    Attributes:
        run: Trains for one step on a number of items.
        items: Items per step in a training.
        parameters: Number of trained parameters.
        is_half: Whether a GPU computes the network in bf16.
    """

    run: Callable[[int], object]
    items: int
    parameters: int
    is_half: bool = False


@dataclass(frozen=True)
class StepCost:
    """Cost of a training, per item.

    Attributes:
        flop: Floating-point operations of products and convolutions.
        traffic_bytes: Bytes that operators read and write, each of them from memory; with the share of weights and optimizer.
        memory_bytes: Memory of the training, all items of a step together.
    """

    flop: float
    traffic_bytes: float
    memory_bytes: float


@dataclass
class OperatorCost:
    """Calls of one operator in a training step.

    Attributes:
        calls: Number of calls.
        flop: Floating-point operations, of products and convolutions only.
        values: Values that are read and written.
        seconds: Duration on this machine.
    """

    calls: int = 0
    flop: float = 0.0
    values: int = 0
    seconds: float = 0.0


def profile_step(run: Callable[[int], object], items: int) -> dict[str, OperatorCost]:
    """Return the operators of a training step by name, views left out.

    Args:
        run: Trains for one step on a number of items, see `SampleStep`.
        items: Number of items.
    """
    counter = _Counter()
    with counter:
        run(items)
    return counter.operators


def count_cost(step: SampleStep) -> StepCost:
    """Count the cost of a training step on the CPU.

    A network in bf16 moves and keeps two bytes per value instead of four; its weights and the optimizer remain in four.
    """
    step.run(_ITEMS[0])  # the optimizer allocates its state
    few, many = (_count(step.run, items) for items in _ITEMS)
    items = _ITEMS[1] - _ITEMS[0]
    flop, values, saved = ((b - a) / items for a, b in zip(few, many, strict=True))
    fixed_values = max(0.0, few[1] - values * _ITEMS[0])
    size = 2 if step.is_half else 4
    return StepCost(
        flop,
        values * size + fixed_values * 4 / step.items,
        saved * size * step.items + step.parameters * 4 * _VALUES_PER_PARAMETER,
    )


def _count(run: Callable[[int], object], items: int) -> tuple[float, float, float]:
    """Return operations, values that are moved, and values that are kept for the backward pass, of one step."""
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes() // value.element_size()
        return value

    # The counter of PyTorch does not know the fused attention of CPUs, but its products.
    with saved_tensors_hooks(keep, lambda value: value), sdpa_kernel(SDPBackend.MATH):
        operators = profile_step(run, items).values()
    flop, values = sum(each.flop for each in operators), sum(each.values for each in operators)
    return flop, float(values), float(sum(kept.values()))


class _Counter(TorchDispatchMode):
    """Counts and times every operator; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: dict[str, OperatorCost] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operator and count it."""
        del types
        given = kwargs or {}
        begin = time.perf_counter()
        result = func(*args, **given)
        seconds = time.perf_counter() - begin
        inputs, outputs = _list_tensors((args, given)), _list_tensors(result)
        own = {value.untyped_storage().data_ptr() for value in inputs}
        in_place = func._schema.is_mutable
        if not in_place and all(value.untyped_storage().data_ptr() in own for value in outputs):
            return result
        formula = flop_registry.get(func._overloadpacket)
        cost = self.operators.setdefault(func._overloadpacket.__name__, OperatorCost())
        cost.calls += 1
        cost.flop += 0 if formula is None else formula(*args, **given, out_val=result)
        written = _list_written(func, args, given) if in_place else outputs
        cost.values += sum(value.numel() for value in [*inputs, *written])
        cost.seconds += seconds
        return result


def _list_written(func: Any, args: Sequence[Any], given: Mapping[str, Any]) -> list[Tensor]:
    """Return the arguments that an operator changes in place."""
    declared = func._schema.arguments
    named = dict(zip((argument.name for argument in declared), args, strict=False)) | dict(given)
    changed = [a.name for a in declared if a.alias_info is not None and a.alias_info.is_write]
    return _list_tensors([named[name] for name in changed if name in named])


def _list_tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
