"""Sizes that code keeps in attributes, such as a number of heads, brought to what the smaller twin has there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from model_compression.errors import PruningError
from model_compression.pruning.own_modules.twin import Twin
from model_compression.pruning.structure import observe

MOST_TRIES = 64
SizeChanges = dict[int, set[int]]
"""A size before a removal -> what became of it, at all places where a module computes something of that size."""


@dataclass(frozen=True)
class _Attribute:
    """An attribute that holds a size which changed in the twin; `sure` where that size changed everywhere."""

    part: nn.Module
    name: str
    value: Any
    sure: bool

    @property
    def key(self) -> tuple[type[nn.Module], str]:
        """Class and name, which all attributes that mean the same have in common."""
        return type(self.part), self.name


def fit_sizes(
    module: nn.Module, twin: Twin, after: fx.GraphModule, example: tuple[Tensor, ...], wrong: Callable[[], str]
) -> None:
    """Set the attributes that hold sizes of units which are gone, in place, until nothing is `wrong`.

    A size that is gone from all that a module computes is changed first. One that stays at some places, as where heads
    are as many as their features, is changed where the answers ask for it, alike in all modules of a class. Raises
    PruningError with what is wrong where no such change helps.
    """
    found = list(_attributes(module, _changed(twin, after, example)))
    before = [(each, getattr(each.part, each.name)) for each in found]
    first = ""
    for chosen in _choices(found):
        for each, value in before:
            setattr(each.part, each.name, each.value if each.key in chosen else value)
        reason = wrong()
        if not reason:
            return
        first = first or reason
    raise PruningError(f"its code has sizes of its own: without the unit, it gives {first}")


def _choices(found: list[_Attribute]) -> Iterator[frozenset[Any]]:
    """Yield sets of attributes to change, those next to the likeliest first."""
    keys = list(dict.fromkeys(each.key for each in found))
    unsure = {each.key for each in found if not each.sure}
    likely = frozenset(key for key in keys if key not in unsure)
    count = 0
    for flips in range(len(keys) + 1):
        for flipped in combinations(keys, flips):
            yield likely ^ frozenset(flipped)
            count += 1
            if count >= MOST_TRIES:
                return


def _changed(twin: Twin, after: fx.GraphModule, example: tuple[Tensor, ...]) -> dict[str, SizeChanges]:
    """Return for each module the sizes of what it computes itself, before and after, without those of the batch."""
    now = {node.name: value for node, value in observe(after, example).items()}
    found: dict[str, SizeChanges] = {}
    for node, value in observe(twin.program, example).items():
        callers = twin.callers.get(node.name)
        if not callers or node.name not in now:
            continue
        pairs = zip(pytree.tree_leaves(value), pytree.tree_leaves(now[node.name]), strict=False)
        sizes = found.setdefault(callers[-1], {})
        for one, other in pairs:
            if isinstance(one, Tensor) and isinstance(other, Tensor) and one.dim() == other.dim():
                for old, new in zip(one.shape, other.shape, strict=True):
                    sizes.setdefault(old, set()).add(new)
    return found


def _attributes(module: nn.Module, changed: dict[str, SizeChanges]) -> Iterator[_Attribute]:
    for path, part in module.named_modules():
        sizes = changed.get(path, {})
        if not sizes or _is_layer_of_torch(part):
            continue
        for name, value in vars(part).items():
            parts = list(value) if isinstance(value, (tuple, list)) else [value]
            if name.startswith("_") or not parts or any(type(each) is not int for each in parts):
                continue
            moved = [max(sizes.get(each, {each}) - {each}, default=each) for each in parts]
            if moved != parts:
                sure = all(each == new or len(sizes[each]) == 1 for each, new in zip(parts, moved, strict=True))
                kept = type(value)(moved) if isinstance(value, (tuple, list)) else moved[0]
                yield _Attribute(part, name, kept, sure)


def _is_layer_of_torch(part: nn.Module) -> bool:
    """Tell whether a module is a layer of torch with weights, whose sizes are taken over from its twin."""
    return type(part).__module__.startswith("torch.nn.") and any(True for _ in part.parameters(recurse=False))
