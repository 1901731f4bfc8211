"""Blocks of code that are left out: they give their input, or zeros, in place of what they computed."""

from collections.abc import Callable, Collection, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, fx, nn

from model_compression.errors import PruningError
from model_compression.intake import evaluation_mode, operator_name
from model_compression.pruning.own_modules.answers import ProgramAnswers, without_fast_path
from model_compression.pruning.own_modules.twin import Twin, copied, has_tensor, tensors_of

Seen = tuple[tuple[Any, ...], dict[str, Any], Any]
"""Arguments, named arguments and result of one call of a module."""
Change = Callable[[nn.Module], object]


class Passed(nn.Module):
    """A block that is left out: its first tensor takes the place of its result.

    Code around it may read the block's plain attributes, such as `layers[0].self_attn.batch_first`: it keeps them.
    """

    def __init__(self, block: nn.Module, places: int | None) -> None:
        super().__init__()
        vars(self).update({name: value for name, value in _plain(block).items() if name not in vars(self)})
        self.places = places

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the first tensor that is given, in the first place of a tuple where the block gave one."""
        given = next(each for each in (*args, *kwargs.values()) if isinstance(each, Tensor))
        return given if self.places is None else (given, *[None] * (self.places - 1))


class Silent(nn.Module):
    """A block whose result was only added to something: a zero that spreads over it takes its place."""

    def __init__(self, rank: int, places: int | None) -> None:
        super().__init__()
        self.rank, self.places = rank, places

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return a zero of the result's rank, in the first place of a tuple where the block gave one."""
        given = next(each for each in (*args, *kwargs.values()) if isinstance(each, Tensor))
        zeros = torch.zeros([1] * self.rank, device=given.device)
        return zeros if self.places is None else (zeros, *[None] * (self.places - 1))


def _plain(block: nn.Module) -> dict[str, Any]:
    """Return the attributes of a block that are no tensors, those of its parts as namespaces."""
    values = {name: value for name, value in vars(block).items()
              if not name.startswith("_") and isinstance(value, (bool, int, float, str, tuple))}  # fmt: skip
    return values | {name: SimpleNamespace(**_plain(part)) for name, part in block.named_children()}


def leave_out(
    module: nn.Module, twin: Twin, after: fx.GraphModule, example: tuple[Tensor, ...], answers: ProgramAnswers
) -> None:
    """Leave the blocks out whose nodes `after` has lost of a module's twin, in place.

    Nothing is done where no node was lost. Raises PruningError where no such block gives the answers of `after`.
    """
    lost = _lost(twin, after)
    if not lost:
        return
    reason = "no block of it computes the layer and nothing else"
    calls = _calls(module, example)
    for changing in _ways(module, twin, lost, calls):
        tried = copied(module)
        changing(tried)
        reason = _left(tried, twin, after) or answers.difference(tried)
        if not reason:
            changing(module)
            return
    raise PruningError(f"its code does not run without the layer: {reason}")


def _left(module: nn.Module, twin: Twin, after: fx.GraphModule) -> str:
    """Return in words a weight that a module still has and its program has lost; empty where there is none."""
    own = tensors_of(module)
    still = [name for name, place in twin.places.items()
             if name in own and has_tensor(twin.program, place.path) and not has_tensor(after, place.path)]  # fmt: skip
    return f"{still[0]} is in a block that computes something else too" if still else ""


def _lost(twin: Twin, after: fx.GraphModule) -> dict[str, tuple[str, ...]]:
    """Return the nodes that a twin has lost, with the modules that they ran in."""
    left = {node.name for node in after.graph.nodes}
    lost = [node.name for node in twin.program.graph.nodes if node.name not in left]
    return {name: twin.callers[name] for name in lost if twin.callers.get(name)}


def _ways(
    module: nn.Module, twin: Twin, lost: Mapping[str, tuple[str, ...]], calls: Mapping[str, Seen]
) -> Iterator[Change]:
    """Yield ways to leave the lost nodes out: the block around all of them, else each block that has no others."""
    for path in _around(twin, lost):
        if path in calls:
            yield _replacing({path: Passed(module.get_submodule(path), _places(calls[path][2]))})
    whole = {path: _silent(calls[path]) for path in _within(twin, lost) if path in calls}
    if whole:
        yield _replacing(whole)


def _replacing(blocks: Mapping[str, nn.Module]) -> Change:
    def replace(module: nn.Module) -> None:
        for path, block in blocks.items():
            module.set_submodule(path, block.train(module.get_submodule(path).training))

    return replace


def _around(twin: Twin, lost: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the modules that all lost layers with weights ran in, the innermost first, without the model itself."""
    weighed = {node.name for node in twin.program.graph.find_nodes(op="call_module")
               if any(True for _ in twin.program.get_submodule(str(node.target)).parameters())}  # fmt: skip
    stacks = [callers for name, callers in lost.items() if name in weighed] or list(lost.values())
    shared = [path for path in stacks[0] if path and all(path in stack for stack in stacks)]
    return shared[::-1]


def _within(twin: Twin, lost: Collection[str]) -> list[str]:
    """Return the outermost modules all of whose nodes are lost, but for sizes, which others may read too."""
    inside: dict[str, set[str]] = {}
    for node in twin.program.graph.nodes:
        if node.op == "call_module" or operator_name(node) not in ("", "sym_size"):
            for path in twin.callers.get(node.name, ()):
                inside.setdefault(path, set()).add(node.name)
    whole = [path for path, names in inside.items() if path and names <= {*lost}]
    return [path for path in whole if not any(path.startswith(f"{other}.") for other in whole)]


def _calls(module: nn.Module, example: tuple[Tensor, ...]) -> dict[str, Seen]:
    """Run a module once; return what its parts were called with and what they gave."""
    tried, seen = copied(module), dict[str, Seen]()

    def note(path: str) -> Any:
        def hook(_part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
            seen[path] = (args, kwargs, result)

        return hook

    for path, part in tried.named_modules():
        part.register_forward_hook(note(path), with_kwargs=True)
    with torch.no_grad(), evaluation_mode(tried), without_fast_path():
        tried(*example)
    return {path: call for path, call in seen.items() if path and _given(call) is not None}


def _given(call: Seen) -> Tensor | None:
    args, kwargs, _ = call
    return next((each for each in (*args, *kwargs.values()) if isinstance(each, Tensor)), None)


def _silent(call: Seen) -> nn.Module:
    result = call[2][0] if isinstance(call[2], tuple) else call[2]
    return Silent(result.dim() if isinstance(result, Tensor) else 0, _places(call[2]))


def _places(result: Any) -> int | None:
    return len(result) if isinstance(result, tuple) else None
