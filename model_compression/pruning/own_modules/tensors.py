"""Tensors and attributes of layers that got smaller in a twin, taken over by the module of code."""

from typing import Any

from torch import Tensor, fx, nn
from torch.nn.utils import parametrize, remove_weight_norm

from model_compression.errors import PruningError
from model_compression.intake import TensorPlace
from model_compression.pruning.own_modules.smaller_attention import SmallerAttention
from model_compression.pruning.own_modules.twin import Twin, has_tensor, set_tensor, tensor_at, tensors_of


def take_tensors(module: nn.Module, twin: Twin, after: fx.GraphModule) -> list[str]:
    """Give a module the tensors that changed their shapes between its twin and `after`, in place.

    Layers of torch get the sizes of the twin's layers with them. A weight that torch computes from others, as weight
    norm does, becomes a plain parameter; returns the paths of these. Raises PruningError for one that the code computes
    in another way.
    """
    smaller = _smaller(twin.program, after)
    folded: list[str] = []
    for path in smaller:
        if path in twin.folded and path not in folded:
            folded += _fold(module, path)
    own, names = tensors_of(module), _names(module)
    places = {place.path: (name, place) for name, place in twin.places.items()}
    places |= {path: (path, TensorPlace(path)) for path in folded}
    changed: set[str] = set()
    for path in smaller:
        name, place = places.get(path, ("", TensorPlace(path)))
        if name not in own:
            raise _computed(path)
        tensor = tensor_at(after, path)
        taken = _own_form(tensor, own[name], transposed=place.transposed)
        for each in names[id(own[name])]:
            set_tensor(module, each, taken)
            _take_sizes(module, each, twin.program, after, path)
        changed.update(each.rpartition(".")[0] for each in names[id(own[name])])
    for path, part in list(module.named_modules()):
        if isinstance(part, nn.MultiheadAttention) and {path, f"{path}.out_proj"} & changed:
            module.set_submodule(path, SmallerAttention(part))
    return folded


def _fold(module: nn.Module, path: str) -> list[str]:
    """Turn a weight that torch computes from others into a parameter, in place; returns the paths of all that it did.

    A layer's parametrizations go together. torch's own removal takes them from the layer's class, which copies share.
    """
    owner, _, name = path.rpartition(".")
    part: Any = dict(module.named_modules()).get(owner)
    if part is not None and parametrize.is_parametrized(part, name):
        values = {each: getattr(part, each).detach().clone() for each in part.parametrizations}
        part.__class__ = parametrize.type_before_parametrizations(part)
        del part.parametrizations
        for each, value in values.items():
            part.register_parameter(each, nn.Parameter(value))
        return [f"{owner}.{each}" for each in values]
    if part is not None and f"{name}_g" in dict(part.named_parameters(recurse=False)):
        remove_weight_norm(part, name)
        return [path]
    raise _computed(path)


def _computed(path: str) -> PruningError:
    return PruningError(f"expected a parameter or a buffer of the code to hold {path}, got one that it computes")


def _smaller(before: fx.GraphModule, after: fx.GraphModule) -> list[str]:
    """Return the paths of the tensors whose shapes differ in two programs that both have them."""
    return [path for path, tensor in tensors_of(before).items()
            if has_tensor(after, path) and tensor_at(after, path).shape != tensor.shape]  # fmt: skip


def _names(module: nn.Module) -> dict[int, list[str]]:
    """Map each tensor to all of its names: a tied weight has several."""
    names: dict[int, list[str]] = {}
    for name, tensor in tensors_of(module).items():
        names.setdefault(id(tensor), []).append(name)
    return names


def _own_form(tensor: Tensor, before: Tensor, *, transposed: bool) -> Tensor:
    if not isinstance(before, nn.Parameter):
        return tensor.detach().clone()
    if not transposed and isinstance(tensor, nn.Parameter):
        return tensor
    held = tensor.detach().t().contiguous() if transposed else tensor.detach().clone()
    return nn.Parameter(held, before.requires_grad)


def _take_sizes(module: nn.Module, name: str, before: fx.GraphModule, after: fx.GraphModule, path: str) -> None:
    """Take over the sizes that changed in the twin's layer, such as `out_channels`, where the module's has them too."""
    part: Any = module.get_submodule(name.rpartition(".")[0])
    was, now = (vars(each.get_submodule(path.rpartition(".")[0])) for each in (before, after))
    for key, value in now.items():
        if isinstance(value, (int, tuple)) and was.get(key) != value and vars(part).get(key) == was.get(key):
            setattr(part, key, value)
