"""Exported programs turned back into modules that can be trained and pruned."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram

from model_compression.intake.activations import DROPOUTS, build_activation
from model_compression.intake.equality import evaluation_mode
from model_compression.intake.layers import Layer, build_layer
from model_compression.intake.nodes import (
    aten,
    callers_of,
    is_operator,
    live_nodes,
    origin,
    overwritten_is_free,
    without_literals,
    without_write,
    written_argument,
)
from model_compression.intake.ownership import Holding, Ownership, TensorPlace, fresh, not_rebuilt
from model_compression.intake.program import check_dynamic_batch, check_single_precision, output_nodes, user_inputs
from model_compression.intake.regions import inline_regions
from model_compression.intake.untold import BATCH_COUNTER, restore_momentum


def rebuild(program: ExportedProgram) -> fx.GraphModule:
    """Rebuild a program as modules with fresh, trainable copies of its parameters; the program stays as it is.

    The result takes the program's inputs in their order and returns its one output tensor, bare, or a tuple of them in
    the order of output_names(). Modules and parameters have the names of the original model; everything that the output
    does not need is left out. A weight that is computed from parameters alone is folded into its layer. Operators and
    parameters that no layer here has stay in the graph as they are; kept_as_they_are() lists them. The result is in
    evaluation mode; train() switches batch statistics and dropout on again, also where the program was exported without
    them. untold_settings() names what the program does not tell. Raises RebuildError for control flow and for a program
    that changes its own tensors, IntakeError for one with a fixed batch size, of float64, or with another kind of input
    or output.
    """
    check_dynamic_batch(program)
    check_single_precision(program)
    return _Rebuilding(inline_regions(program)).run().eval()


@dataclass(frozen=True)
class RebuiltCode:
    """A module of code as a rebuilt program, and how the two go together.

    `places`: name of a tensor in the module -> where the program has it; weights that the code computes are not there.
    `callers`: node of the program -> paths of the modules that it ran in, the outermost first.
    """

    program: fx.GraphModule
    places: Mapping[str, TensorPlace]
    callers: Mapping[str, tuple[str, ...]]


def rebuild_code(module: nn.Module, example: tuple[Tensor, ...]) -> RebuiltCode:
    """Export a module of code in evaluation mode and rebuild the program; the module stays as it is.

    The batch size may change. Tensors that the module changes while it runs stay in the graph, and so do the changes.
    Raises RebuildError and IntakeError as rebuild() does, and what torch.export raises.
    """
    batch = torch.export.Dim("batch", min=1)
    rows = tuple(torch.cat([each, each]) if len(each) == 1 else each for each in example)  # export takes 1 as fixed
    shapes = tuple({0: batch} for _ in rows)
    with evaluation_mode(module), torch.enable_grad():
        program = inline_regions(torch.export.export(module, rows, dynamic_shapes=shapes))
    check_dynamic_batch(program)
    rebuilding = _Rebuilding(program, may_change=True)
    model = rebuilding.run().eval()
    callers = {node.name: callers_of(node) for node in program.graph.nodes if node.op == "call_function"}
    return RebuiltCode(model, rebuilding.found, callers)


class _Rebuilding:
    """One walk over the program's graph, which writes the new graph; `found` says where its tensors are then."""

    def __init__(self, program: ExportedProgram, *, may_change: bool = False) -> None:
        self.program = program
        self.outputs = output_nodes(program)
        self.inputs = set(user_inputs(program))
        self.ownership = Ownership(program, may_change=may_change)
        self.found: dict[str, TensorPlace] = {}
        self.places = Places(self.ownership.held.values())
        self.bare: set[fx.Node] = set()
        self.graph = fx.Graph()
        self.copies: dict[fx.Node, fx.Node] = {}
        self.sizes: dict[tuple[fx.Node, int], fx.Node] = {}
        self.tuples: set[Any] = set()

    def run(self) -> fx.GraphModule:
        live = live_nodes(self.program.graph, self.outputs)
        for node in self.program.graph.nodes:
            if node in self.inputs:
                self.copies[node] = self.graph.placeholder(node.name)
            elif node in live and node.op == "call_function":
                self._visit(node)
        results = tuple(self._copy(node) for node in self.outputs)
        self.graph.output(results if len(results) > 1 else results[0])
        self.graph.eliminate_dead_code(is_impure_node=_has_effect)
        self._give_to_owners()
        # not GraphModule(root, graph), which would make every buffer persistent
        model = fx.GraphModule({}, fx.Graph())
        moved = self.places.fill(model, self.graph)
        self.found = self.ownership.places()
        for node in self.graph.find_nodes(op="get_attr"):
            name = str(node.target)
            node.target = moved.get(name, name)
            if name in self.places.tensors:
                self.found[name] = TensorPlace(node.target)
        model.graph = self.graph
        model.graph.lint()
        return model

    def _give_to_owners(self) -> None:
        """Let operators read the weights of layers where the layers are: tied weights stay one tensor."""
        owned = {name: place.path for name, place in self.ownership.places().items()}
        called = {str(node.target) for node in self.graph.find_nodes(op="call_module")}
        for node in self.graph.find_nodes(op="get_attr"):
            path = owned.get(str(node.target), "")
            if path.rpartition(".")[0] in called:
                del self.places.tensors[str(node.target)]
                node.target = path

    def _visit(self, node: fx.Node) -> None:
        if isinstance(node.target, HigherOrderOperator):
            raise not_rebuilt(node, "control flow and other operators that call subgraphs are not rebuilt")
        layer = build_layer(node)
        held = None if layer is None else self.ownership.tensors_of(node, layer)
        if layer is not None and held is not None:
            restore_momentum(self.program, node, layer.module)
            self._place_layer(node, layer, held)
        elif node.target is operator.getitem and node.args[0] in self.tuples:
            if node.args[1] == 0:
                self.copies[node] = self.copies[node.args[0]]  # type: ignore[index]
        else:
            self._place(node)

    def _place_layer(self, node: fx.Node, layer: Layer, held: dict[str, Holding]) -> None:
        if layer.tensors:
            path = self.ownership.path_of(layer) or self._fill(node, layer, held)
            self.ownership.claim(layer, path)
        else:
            path = self.places.activation(node, layer.module)
        self._call(node, path, layer.inputs, {})

    def _fill(self, node: fx.Node, layer: Layer, held: dict[str, Holding]) -> str:
        """Give a new layer its tensors and its place; returns its path."""
        own = [(name, holding) for name, holding in held.items() if holding.name in self.program.state_dict]
        name, holding = [*own, *held.items()][0]
        usual = f"{origin(node)[0]}.{name}"  # of a tied weight, the name that this layer gives it
        holding = replace(holding, name=usual) if usual in holding.aliases else holding
        path = self.places.layer(node, layer.module, name, holding)
        for name, holding in held.items():
            tensor = fresh(holding)
            if layer.transposed and name == "weight":
                tensor = nn.Parameter(tensor.detach().t().contiguous(), tensor.requires_grad)
            setattr(layer.module, name, tensor)
        if getattr(layer.module, BATCH_COUNTER, None) is not None:
            counter = self.program.state_dict.get(f"{path}.{BATCH_COUNTER}", torch.tensor(0))
            setattr(layer.module, BATCH_COUNTER, counter.detach().clone())
        return path

    def _place(self, node: fx.Node) -> None:
        """Add an operator without weights of its own to the graph: as a module if there is one, else as it is."""
        target: Any = node.target
        written = written_argument(node)
        if written is not None:
            self.ownership.check_write(node, written)
            plain = without_write(target)
            if plain is not None and (plain in DROPOUTS or overwritten_is_free(node, written)):
                target = plain
        activation = build_activation(node, target) if is_operator(node) and not _has_more_results(node) else None
        if activation is not None:
            self._call(node, self.places.activation(node, activation.module), activation.args, activation.kwargs)
        else:
            self._keep(node, target)
        if written is not None and target is not node.target:
            self.copies[written] = self.copies[node]

    def _keep(self, node: fx.Node, target: Any) -> None:
        target, args = without_literals(node, self._read_size) or (target, node.args)
        kwargs = node.kwargs
        if target is aten.contiguous.default:  # an exporter drops it where its own value happens to be laid out so
            target, kwargs = aten.clone.default, {"memory_format": torch.contiguous_format, **kwargs}
        self.copies[node] = self.graph.create_node(
            "call_function", target, self._map(args), self._map(kwargs), node.name
        )

    def _call(self, node: fx.Node, path: str, args: Any, kwargs: Any) -> None:
        if isinstance(node.meta["val"], (tuple, list)):
            self.tuples.add(node)
        self.copies[node] = self.graph.create_node("call_module", path, self._map(args), self._map(kwargs), node.name)

    def _map(self, value: Any) -> Any:
        return fx.map_arg(value, lambda node: node if node.graph is self.graph else self._copy(node))

    def _copy(self, node: fx.Node) -> fx.Node:
        holding = self.ownership.held.get(node)
        if holding is not None and node not in self.bare:
            self.bare.add(node)
            self.copies[node] = self.graph.get_attr(self.places.tensor(holding, fresh(holding)))
        if node not in self.copies:
            raise not_rebuilt(node, "only the first result of its operator is rebuilt")
        return self.copies[node]

    def _read_size(self, node: fx.Node, dim: int) -> fx.Node:
        key = (node, dim)
        if key not in self.sizes:
            self.sizes[key] = self.graph.call_function(aten.sym_size.int, (self._copy(node), dim))
        return self.sizes[key]


def drop_dead_code(model: fx.GraphModule) -> None:
    """Remove everything that a rebuilt model's output does not need, weights included, in place."""
    model.graph.eliminate_dead_code(is_impure_node=_has_effect)
    model.delete_all_unused_submodules()
    used = {str(node.target) for kind in ("get_attr", "call_module") for node in model.graph.find_nodes(op=kind)}
    for path in [name for name, _ in (*model.named_parameters(), *model.named_buffers())]:
        parent, _, leaf = path.rpartition(".")
        if used.isdisjoint(path.rsplit(".", dots)[0] for dots in range(path.count(".") + 1)):
            delattr(model.get_submodule(parent), leaf)
    model.recompile()


def _has_more_results(node: fx.Node) -> bool:
    """Tell whether anything reads another result than the first, which is all that a module gives."""
    return any(user.target is operator.getitem and user.args[1] != 0 and user.users for user in node.users)


def _has_effect(node: fx.Node) -> bool:
    return node.op in ("placeholder", "output") or written_argument(node) is not None


class Places:
    """Paths for all modules, and the tree of modules that is built from them.

    A layer with weights is placed where the names of its weights say. A module without weights is placed where the
    original module of the same class was, or under its node's name.
    """

    def __init__(self, held: Iterable[Holding]) -> None:
        names = [holding.name for holding in held]
        self.modules: dict[str, nn.Module] = {}
        self.tensors: dict[str, tuple[Tensor, bool]] = {}
        self._reserved = {name.rsplit(".", dots)[0] for name in names for dots in range(name.count(".") + 1)}

    def layer(self, node: fx.Node, module: nn.Module, attribute: str, weight: Holding) -> str:
        """Place a layer whose tensor `attribute` has the name of `weight`; returns its path."""
        stem = weight.name.removesuffix(attribute).rstrip("._")
        path = stem if weight.name.endswith(attribute) else weight.name
        return self._put(path or node.name, module)

    def activation(self, node: fx.Node, module: nn.Module) -> str:
        """Place a module without weights; two calls of the same original module give one module."""
        path, kind = origin(node)
        same_class = kind.startswith("torch.nn.") and kind.endswith(f".{type(module).__name__}")
        if same_class and path and repr(self.modules.get(path, module)) == repr(module):
            if path in self.modules:
                return path
            if path not in self._reserved:
                return self._put(path, module)
        path = f"{path}.{node.name}" if path else node.name
        return self._put(path if path not in self._reserved else f"{path}_call", module)

    def tensor(self, holding: Holding, value: Tensor) -> str:
        """Place a tensor that no layer owns; returns its path."""
        self.tensors[holding.name] = (value, holding.persistent)
        return holding.name

    def fill(self, root: nn.Module, graph: fx.Graph) -> dict[str, str]:
        """Put everything that a graph uses into `root`; returns the new path of each tensor that had to move.

        A tensor moves when a layer has an attribute of its name.
        """
        called, read = ({str(node.target) for node in graph.find_nodes(op=op)} for op in ("call_module", "get_attr"))
        for path in sorted((path for path in self.modules if path in called), key=lambda path: path.count(".")):
            _parent(root, path).add_module(path.rpartition(".")[2], self.modules[path])
        moved = {}
        for path, (value, persistent) in self.tensors.items():
            if path not in read:
                continue
            parent, leaf = _parent(root, path), path.rpartition(".")[2]
            if hasattr(parent, leaf):
                moved[path] = leaf = path.replace(".", "_")
                parent = root
            if isinstance(value, nn.Parameter):
                parent.register_parameter(leaf, value)
            else:
                parent.register_buffer(leaf, value, persistent=persistent)
        return moved

    def _put(self, path: str, module: nn.Module) -> str:
        free, count = path, 1
        while free in self.modules:
            free, count = f"{path}_{count}", count + 1
        self.modules[free] = module
        return free


def _parent(root: nn.Module, path: str) -> nn.Module:
    for name in path.split(".")[:-1]:
        if name not in root._modules:
            root.add_module(name, nn.Module())
        root = root.get_submodule(name)
    return root
