"""Exported programs turned back into modules that can be trained and pruned."""

import operator
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram

from model_compression.intake.activations import DROPOUTS, build_activation
from model_compression.intake.layers import Layer, build_layer
from model_compression.intake.nodes import (
    aten,
    is_operator,
    live_nodes,
    origin,
    overwritten_is_free,
    without_literals,
    without_write,
    written_argument,
)
from model_compression.intake.ownership import Holding, Ownership, fresh, not_rebuilt
from model_compression.intake.program import check_dynamic_batch, output_node, user_inputs
from model_compression.intake.untold import BATCH_COUNTER, restore_momentum


def rebuild(program: ExportedProgram) -> fx.GraphModule:
    """Rebuild a program as modules with fresh, trainable copies of its parameters; the program stays as it is.

    The result takes the program's inputs in their order and returns its one output tensor, bare. Modules and parameters
    have the names of the original model; everything that the output does not need is left out. The result is in
    evaluation mode; train() switches batch statistics and dropout on again, also where the program was exported without
    them. untold_settings() names what the program does not tell. Raises RebuildError for a node that cannot become a
    module, IntakeError for a program with a fixed batch size or with another kind of input or output.
    """
    check_dynamic_batch(program)
    return _Rebuilding(program).run().eval()


class _Rebuilding:
    """One walk over the program's graph, which writes the new graph."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        self.output = output_node(program)
        self.inputs = set(user_inputs(program))
        self.ownership = Ownership(program)
        self.places = Places(self.ownership.held.values())
        self.graph = fx.Graph()
        self.copies: dict[fx.Node, fx.Node] = {}
        self.sizes: dict[tuple[fx.Node, int], fx.Node] = {}
        self.tuples: set[Any] = set()

    def run(self) -> fx.GraphModule:
        live = live_nodes(self.program.graph, self.output)
        for node in self.program.graph.nodes:
            if node in self.inputs:
                self.copies[node] = self.graph.placeholder(node.name)
            elif node in live and node.op == "call_function":
                self._visit(node)
        self.graph.output(self._copy(self.output, self.output))
        # not GraphModule(root, graph), which would make every buffer persistent
        model = fx.GraphModule({}, fx.Graph())
        moved = self.places.fill(model)
        for node in self.graph.find_nodes(op="get_attr"):
            node.target = moved.get(str(node.target), node.target)
        self.graph.eliminate_dead_code(is_impure_node=_has_effect)
        model.graph = self.graph
        model.graph.lint()
        return model

    def _visit(self, node: fx.Node) -> None:
        if isinstance(node.target, HigherOrderOperator):
            raise not_rebuilt(node, "control flow and other operators that call subgraphs are not rebuilt")
        layer = build_layer(node)
        if layer is not None and self.ownership.can_own(layer):
            restore_momentum(self.program, node, layer.module)
            self._place_layer(node, layer)
        elif node.target is operator.getitem and node.args[0] in self.tuples:
            if node.args[1] == 0:
                self.copies[node] = self.copies[node.args[0]]  # type: ignore[index]
        elif not self.ownership.is_inside_layer(node):
            self.ownership.check_parameters(node)
            self._place(node)

    def _place_layer(self, node: fx.Node, layer: Layer) -> None:
        if layer.tensors:
            path = self.ownership.find(node, layer) or self._fill(node, layer)
            self.ownership.claim(node, layer, path)
        else:
            path = self.places.activation(node, layer.module)
        self._call(node, path, layer.inputs, {})

    def _fill(self, node: fx.Node, layer: Layer) -> str:
        """Give a new layer its tensors and its place; returns its path."""
        held = {name: self.ownership.held[tensor] for name, tensor in layer.tensors.items()}
        path = self.places.layer(node, layer.module, *next(iter(held.items())))
        for name, holding in held.items():
            setattr(layer.module, name, fresh(holding))
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
        activation = build_activation(node, target) if is_operator(node) else None
        if activation is not None:
            self._call(node, self.places.activation(node, activation.module), activation.args, activation.kwargs)
        else:
            self._keep(node, target)
        if written is not None and target is not node.target:
            self.copies[written] = self.copies[node]

    def _keep(self, node: fx.Node, target: Any) -> None:
        target, args = without_literals(node, self._read_size) or (target, node.args)
        self.copies[node] = self.graph.create_node(
            "call_function", target, self._map(node, args), self._map(node, node.kwargs), node.name
        )

    def _call(self, node: fx.Node, path: str, args: Any, kwargs: Any) -> None:
        if isinstance(node.meta["val"], (tuple, list)):
            self.tuples.add(node)
        self.copies[node] = self.graph.create_node(
            "call_module", path, self._map(node, args), self._map(node, kwargs), node.name
        )

    def _map(self, user: fx.Node, value: Any) -> Any:
        return fx.map_arg(value, lambda node: node if node.graph is self.graph else self._copy(node, user))

    def _copy(self, node: fx.Node, user: fx.Node) -> fx.Node:
        holding = self.ownership.held.get(node)
        if holding is not None and self.ownership.claim_bare(node, user):
            self.copies[node] = self.graph.get_attr(self.places.tensor(holding, fresh(holding)))
        if node not in self.copies:
            raise not_rebuilt(node, "only the first result of its operator is rebuilt")
        return self.copies[node]

    def _read_size(self, node: fx.Node, dim: int) -> fx.Node:
        key = (node, dim)
        if key not in self.sizes:
            self.sizes[key] = self.graph.call_function(aten.sym_size.int, (self._copy(node, node), dim))
        return self.sizes[key]


def drop_dead_code(model: fx.GraphModule) -> None:
    """Remove everything that a rebuilt model's output does not need, weights included, in place."""
    model.graph.eliminate_dead_code(is_impure_node=_has_effect)
    model.delete_all_unused_submodules()
    used = {str(node.target) for kind in ("get_attr", "call_module") for node in model.graph.find_nodes(op=kind)}
    for path in [name for name, _ in (*model.named_parameters(), *model.named_buffers())]:
        parent, _, leaf = path.rpartition(".")
        if not any(f"{path}.".startswith(f"{name}.") for name in used):
            delattr(model.get_submodule(parent), leaf)
    model.recompile()


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

    def fill(self, root: nn.Module) -> dict[str, str]:
        """Put everything into `root`; returns the new path of each tensor that had to move.

        A tensor moves when a layer has an attribute of its name.
        """
        for path in sorted(self.modules, key=lambda path: path.count(".")):
            _parent(root, path).add_module(path.rpartition(".")[2], self.modules[path])
        moved = {}
        for path, (value, persistent) in self.tensors.items():
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
