"""Which layer owns which of a program's tensors: every tensor belongs to one layer, or to none."""

from typing import NamedTuple

from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind

from model_compression.intake.holdings import Holding, holdings
from model_compression.intake.layers import Layer, build_layer, is_transpose
from model_compression.intake.nodes import memory_of, operator_name
from model_compression.intake.refusals import not_rebuilt, shared

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_ELEMENTWISE = frozenset({
    "add", "sub", "rsub", "mul", "div", "pow", "minimum", "maximum", "where", "lerp", "addcmul", "cat", "stack",
    "expand_as", "add_", "sub_", "mul_", "div_",
})  # fmt: skip
"""Operators that may take a parameter as it is: they treat every element alike."""


class _Use(NamedTuple):
    node: fx.Node
    path: str
    layer: Layer | None


class Ownership:
    """The tensors that a program holds, and who uses each."""

    def __init__(self, program: ExportedProgram) -> None:
        self.held: dict[fx.Node, Holding] = holdings(program)
        self._parameters = {node: [holding] for node, holding in self.held.items() if holding.is_parameter}
        self._uses: dict[fx.Node, _Use] = {}
        _check_mutations(program)

    def can_own(self, layer: Layer) -> bool:
        """Whether the layer's tensors are the program's: parameters where it trains them, buffers where not."""
        return all(
            tensor in self.held and self.held[tensor].is_parameter != name.startswith("running_")
            for name, tensor in layer.tensors.items()
        )

    def find(self, node: fx.Node, layer: Layer) -> str | None:
        """The path of the layer if it was called before. Raises RebuildError if another one has its tensors."""
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
        """Whether the node only turns a weight for the layers that own it, as decomposed linear layers do."""
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
            self._parameters[node] = parameters  # computed from parameters alone: as good as one
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
