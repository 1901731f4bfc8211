"""New models that are put together from nodes of others, with their modules and tensors at the paths that are asked."""

import copy
from collections.abc import Iterable
from typing import Any

from torch import Tensor, fx, nn

from model_compression.families.signed_program import tensor_at


class Assembly:
    """A model that grows by copies of other models' nodes."""

    def __init__(self) -> None:
        self.graph = fx.Graph()
        self.model = fx.GraphModule({}, fx.Graph())

    def add(
        self, model: fx.GraphModule, nodes: Iterable[fx.Node], images: dict[fx.Node, fx.Node], prefix: str | None = None
    ) -> None:
        """Copy nodes in their order, and note their images, which may have those of what they read already.

        With a `prefix`, modules and tensors are copied below that path; without one, they are shared at their own.
        """
        memo: dict[int, Any] = {}
        for node in nodes:
            if node in images:
                continue
            images[node] = made = self.graph.node_copy(node, images.__getitem__)
            if node.op in ("call_module", "get_attr"):
                made.target = str(node.target) if prefix is None else f"{prefix}.{node.target}"
                self._place(model, node, made.target, None if prefix is None else memo)

    def finish(self, output: fx.Node | tuple[fx.Node, ...]) -> fx.GraphModule:
        """Return the model with its output, or with several, in evaluation mode."""
        self.graph.output(output)
        self.model.graph = self.graph
        self.model.graph.lint()
        return self.model.eval()

    def _place(self, model: fx.GraphModule, node: fx.Node, path: str, memo: dict[int, Any] | None) -> None:
        parent, leaf = self._parent(path), path.rpartition(".")[2]
        if node.op == "call_module":
            module = model.get_submodule(str(node.target))
            parent.add_module(leaf, module if memo is None else copy.deepcopy(module, memo))
        elif not hasattr(parent, leaf):
            _place_tensor(parent, leaf, model, str(node.target), memo)

    def _parent(self, path: str) -> nn.Module:
        owner: nn.Module = self.model
        for name in path.split(".")[:-1]:
            if name not in owner._modules:
                owner.add_module(name, nn.Module())
            owner = owner.get_submodule(name)
        return owner


def _place_tensor(parent: nn.Module, leaf: str, model: fx.GraphModule, path: str, memo: dict[int, Any] | None) -> None:
    owner, _, name = path.rpartition(".")
    found = tensor_at(model, path)
    tensor: Tensor = found if memo is None else copy.deepcopy(found, memo)
    if isinstance(tensor, nn.Parameter):
        parent.register_parameter(leaf, tensor)
    else:
        persistent = name not in model.get_submodule(owner)._non_persistent_buffers_set
        parent.register_buffer(leaf, tensor, persistent=persistent)
