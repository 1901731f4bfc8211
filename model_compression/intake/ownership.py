"""Ownership of a program's tensors: each belongs to one layer, or to no layer.

A tensor is a parameter, a buffer or a constant, and a placeholder of the program stands for it. A weight that is
computed from parameters alone (weight norm, spectral norm, weight standardisation) counts as one tensor.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from model_compression.errors import RebuildError
from model_compression.intake.layers import Layer, build_layer
from model_compression.intake.nodes import is_operator, memory_of, origin, written_argument

_REMEDY = (
    "give the workload a build_model() that returns the same architecture; "
    "the program's weights will be loaded into it strictly by name"
)
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Holding:
    """One tensor of a program, under the name that the original module gave it."""

    name: str
    tensor: Tensor
    is_parameter: bool
    persistent: bool
    aliases: tuple[str, ...]

    def __str__(self) -> str:
        also = f" (also named {', '.join(self.aliases)})" if self.aliases else ""
        return f"'{self.name}'{also}"


def holdings(program: ExportedProgram) -> dict[fx.Node, Holding]:
    """Map the placeholder of each tensor that the program holds to it. Raises RebuildError for other objects."""
    aliases = _aliases(program)
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    held = {}
    for node, spec in zip(placeholders, program.graph_signature.input_specs, strict=True):
        if spec.kind is InputKind.USER_INPUT:
            continue
        name = spec.target or ""
        tensor = program.state_dict.get(name, program.constants.get(name))
        if not isinstance(tensor, Tensor):
            raise RebuildError(
                f"expected tensors in the program, got '{name}' of type {type(tensor).__name__}; "
                "register a model without custom objects"
            )
        also = tuple(other for other in aliases.get(name, ()) if other != name)
        persistent = spec.kind is not InputKind.CONSTANT_TENSOR and bool(spec.persistent in (True, None))
        held[node] = Holding(name, tensor, spec.kind is InputKind.PARAMETER, persistent, also)
    return held


def fresh(holding: Holding) -> Tensor:
    """Copy the tensor: a parameter can be trained again, a buffer stays a buffer."""
    copy = holding.tensor.detach().clone()
    return nn.Parameter(copy, copy.is_floating_point()) if holding.is_parameter else copy


def _aliases(program: ExportedProgram) -> dict[str, list[str]]:
    by_memory: dict[tuple[int, tuple[int, ...]], list[str]] = defaultdict(list)
    for name, tensor in program.state_dict.items():
        if tensor.numel():
            by_memory[tensor.data_ptr(), tuple(tensor.shape)].append(name)
    return {name: names for names in by_memory.values() for name in names}


def not_rebuilt(node: fx.Node, why: str) -> RebuildError:
    """Make the error for one node."""
    path, kind = origin(node)
    place = f" of module '{path}' ({kind.rpartition('.')[2]})" if path else " of the model itself"
    return RebuildError(
        f"expected a program whose operators compute from the rows and the weights alone, got node '{node.name}' "
        f"({node.target}){place}: {why}; {_REMEDY}"
    )


@dataclass(frozen=True)
class TensorPlace:
    """The path of a tensor in a rebuilt program, which may have it the other way round."""

    path: str
    transposed: bool = False


class _Owner(NamedTuple):
    path: str
    attribute: str
    layer: Layer


class Ownership:
    """The tensors of one program, and the layer that each was given to.

    Refuses programs that change their own, unless they `may_change` them.
    """

    def __init__(self, program: ExportedProgram, *, may_change: bool = False) -> None:
        self.held = holdings(program)
        self._may_change = may_change
        self._owners: dict[fx.Node, _Owner] = {}
        self._constant: dict[fx.Node, bool] = {}
        self._computed: dict[fx.Node, Tensor] = {}
        if not may_change:
            _check_mutations(program)

    def tensors_of(self, node: fx.Node, layer: Layer) -> dict[str, Holding] | None:
        """Return what a layer's attributes hold, None where the layer cannot own it.

        Attributes are parameters to train and buffers for statistics. Another layer must not have them.
        """
        taken = (self._owners.get(tensor) for tensor in layer.tensors.values())
        if any(owner is not None and not owner.layer.same_as(layer) for owner in taken):
            return None
        if layer.transposed and not all(_is_call_of(user, layer) for user in layer.tensors["weight"].users):
            return None  # another reader would get the weight transposed
        found = {name: self._holding(node, name, tensor) for name, tensor in layer.tensors.items()}
        return None if any(holding is None for holding in found.values()) else found  # type: ignore[return-value]

    def path_of(self, layer: Layer) -> str | None:
        """Return the path of a layer that was called before, else None."""
        return next((self._owners[tensor].path for tensor in layer.tensors.values() if tensor in self._owners), None)

    def claim(self, layer: Layer, path: str) -> None:
        """Note that the layer at `path` owns its tensors."""
        for attribute, tensor in layer.tensors.items():
            self._owners[tensor] = _Owner(path, attribute, layer)

    def places(self) -> dict[str, TensorPlace]:
        """Map the name of each tensor of the program that a layer owns to its place in the rebuilt model."""
        return {
            self.held[tensor].name: TensorPlace(
                f"{owner.path}.{owner.attribute}", owner.layer.transposed and owner.attribute == "weight"
            )
            for tensor, owner in self._owners.items()
            if tensor in self.held
        }

    def check_write(self, node: fx.Node, written: fx.Node) -> None:
        """Raise RebuildError if the node changes one of the program's own tensors."""
        holding = self.held.get(memory_of(written))
        if holding is not None and not self._may_change:
            raise not_rebuilt(node, f"it changes {holding} while the model runs")

    def _holding(self, node: fx.Node, attribute: str, tensor: fx.Node) -> Holding | None:
        statistic = attribute.startswith("running_")
        if tensor in self.held:
            return self.held[tensor] if self.held[tensor].is_parameter != statistic else None
        if statistic or not self._is_constant(tensor) or not self._has_parameter(tensor):
            return None
        name = f"{origin(node)[0] or node.name}.{attribute}"
        return Holding(name, self._value(tensor), True, True, ())

    def _is_constant(self, node: fx.Node) -> bool:
        """Tell whether a node computes from the program's own tensors alone, the same each time."""
        if node not in self._constant:
            repeatable = is_operator(node) and torch.Tag.nondeterministic_seeded not in node.target.tags  # type: ignore[union-attr]
            self._constant[node] = node in self.held or (
                repeatable
                and written_argument(node) is None
                and all(self._is_constant(source) for source in node.all_input_nodes)
            )
        return self._constant[node]

    def _has_parameter(self, node: fx.Node) -> bool:
        holding = self.held.get(node)
        if holding is not None:
            return holding.is_parameter
        return any(self._has_parameter(source) for source in node.all_input_nodes)

    def _value(self, node: fx.Node) -> Tensor:
        """Compute a constant node."""
        if node in self.held:
            return self.held[node].tensor.detach()
        if node not in self._computed:
            args: Any = fx.map_arg(node.args, self._value)
            kwargs: Any = fx.map_arg(node.kwargs, self._value)
            with torch.no_grad():
                self._computed[node] = node.target(*args, **kwargs)  # type: ignore[operator]
        return self._computed[node]


def _is_call_of(node: fx.Node, layer: Layer) -> bool:
    other = build_layer(node)
    return other is not None and other.same_as(layer)


def _check_mutations(program: ExportedProgram) -> None:
    for spec in program.graph_signature.output_specs:
        mutates = spec.kind in (OutputKind.BUFFER_MUTATION, OutputKind.PARAMETER_MUTATION)
        if mutates and not str(spec.target).endswith(_STATISTICS):
            node = next(node for node in program.graph.nodes if node.name == spec.arg.name)
            raise not_rebuilt(node, f"it changes '{spec.target}' while the model runs")
