"""Ownership of a program's tensors: each belongs to one layer, or to no layer.

A tensor is a parameter, a buffer or a constant, and a placeholder of the program stands for it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from model_compression.errors import RebuildError
from model_compression.intake.layers import Layer, build_layer, is_transpose
from model_compression.intake.nodes import memory_of, operator_name, origin

_REMEDY = (
    "give the workload a build_model() that returns the same architecture; "
    "the program's weights will be loaded into it strictly by name"
)
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_ELEMENTWISE = frozenset({
    "add", "sub", "rsub", "mul", "div", "pow", "minimum", "maximum", "where", "lerp", "addcmul", "cat", "stack",
    "expand_as", "add_", "sub_", "mul_", "div_",
})  # fmt: skip
"""Operators that may take a bare parameter, because they treat every element alike."""


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


def not_rebuilt(node: fx.Node, why: str, held: Iterable[Holding] = ()) -> RebuildError:
    """Make the error for one node. `held` are the parameters that it takes."""
    names = ", ".join(str(holding) for holding in held)
    took = f", which takes {names}" if names else ""
    return RebuildError(
        f"expected a program of known layers and operators, got {_described(node)}{took}: {why}; {_REMEDY}"
    )


def shared(holding: Holding, node: fx.Node, other: fx.Node) -> RebuildError:
    """Make the error for a tensor that two different layers use."""
    return RebuildError(
        f"expected every weight to belong to one layer, but {holding} is shared between {_described(other)} "
        f"and {_described(node)}: only one layer called twice with the same weights can stay shared; {_REMEDY}"
    )


def _described(node: fx.Node) -> str:
    path, kind = origin(node)
    place = f" of module '{path}' ({kind.rpartition('.')[2]})" if path else " of the model itself"
    return f"node '{node.name}' ({node.target}){place}"


class _Use(NamedTuple):
    node: fx.Node
    path: str
    layer: Layer | None


class Ownership:
    """The tensors that a program holds, and the user of each."""

    def __init__(self, program: ExportedProgram) -> None:
        self.held: dict[fx.Node, Holding] = holdings(program)
        self._parameters = {node: [holding] for node, holding in self.held.items() if holding.is_parameter}
        self._uses: dict[fx.Node, _Use] = {}
        _check_mutations(program)

    def can_own(self, layer: Layer) -> bool:
        """Tell whether the layer's tensors are the program's: parameters to train, buffers for statistics."""
        return all(
            tensor in self.held and self.held[tensor].is_parameter != name.startswith("running_")
            for name, tensor in layer.tensors.items()
        )

    def find(self, node: fx.Node, layer: Layer) -> str | None:
        """Return the path of the layer if it was called before, else None.

        Raises RebuildError if another layer has its tensors.
        """
        uses = {tensor: self._uses[tensor] for tensor in layer.tensors.values() if tensor in self._uses}
        for tensor, use in uses.items():
            if use.layer is None or not use.layer.same_as(layer):
                raise shared(self.held[tensor], node, use.node)
        return next((use.path for use in uses.values()), None)

    def claim(self, node: fx.Node, layer: Layer, path: str) -> None:
        """Note that the layer at `path` owns its tensors."""
        self._uses.update({tensor: _Use(node, path, layer) for tensor in layer.tensors.values()})

    def claim_bare(self, tensor: fx.Node, node: fx.Node) -> bool:
        """Note that `node` takes a tensor without a layer; returns whether this is the first time.

        Raises RebuildError if a layer owns it.
        """
        use = self._uses.get(tensor)
        if use is not None and use.layer is not None:
            raise shared(self.held[tensor], node, use.node)
        self._uses[tensor] = _Use(node, self.held[tensor].name, None)
        return use is None

    def is_inside_layer(self, node: fx.Node) -> bool:
        """Tell whether the node only transposes a weight for the layers that own it.

        Decomposed linear layers are written so.
        """
        if not is_transpose(node) or node.args[0] not in self._parameters:
            return False
        layers = [build_layer(user) for user in node.users]
        return all(layer is not None and node.args[0] in layer.tensors.values() for layer in layers)

    def check_parameters(self, node: fx.Node) -> None:
        """Raise RebuildError if the node takes a parameter in a way that no layer here computes."""
        tensors = [source for source in node.all_input_nodes if _holds_tensors(source)]
        taken = [source for source in tensors if source in self._parameters]
        parameters = [holding for source in taken for holding in self._parameters[source]]
        if taken and all(source in self._parameters or source in self.held for source in tensors):
            self._parameters[node] = parameters  # computed from parameters alone, so it counts as one
        elif taken and operator_name(node) not in _ELEMENTWISE:
            has_layer = build_layer(node) is not None
            why = "its weight is computed while the model runs" if has_layer else "the operator has no layer here"
            raise not_rebuilt(node, why, parameters)

    def check_write(self, node: fx.Node, written: fx.Node) -> None:
        """Raise RebuildError if the node changes one of the program's own tensors."""
        holding = self.held.get(memory_of(written))
        if holding is not None:
            raise not_rebuilt(node, f"it changes {holding} while the model runs")


def _check_mutations(program: ExportedProgram) -> None:
    for spec in program.graph_signature.output_specs:
        mutates = spec.kind in (OutputKind.BUFFER_MUTATION, OutputKind.PARAMETER_MUTATION)
        if mutates and not str(spec.target).endswith(_STATISTICS):
            node = next(node for node in program.graph.nodes if node.name == spec.arg.name)
            raise not_rebuilt(node, f"it changes '{spec.target}' while the model runs")


def _holds_tensors(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), (Tensor, tuple, list))
