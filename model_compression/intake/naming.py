"""Where in the rebuilt model a module stands: under the name that the original gave it."""

from collections.abc import Iterable

from torch import Tensor, fx, nn

from model_compression.intake.holdings import Holding
from model_compression.intake.nodes import origin


class Places:
    """Gives every module a path, and builds the tree of modules from them.

    Layers with weights stand where their weights' names say; modules without weights where the original module of
    the same class stood, or beside their node's name.
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
        """Put everything into `root`; returns the new paths of tensors that a layer's attribute left no room for."""
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
