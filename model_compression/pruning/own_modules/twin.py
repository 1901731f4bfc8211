"""The twin of a module of code: its own program, rebuilt, with the module's present weights."""

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, fx, nn

from model_compression.errors import PruningError, cause_of
from model_compression.intake import TensorPlace, rebuild_code
from model_compression.pruning.own_modules.answers import ProgramAnswers

Form = Mapping[str, tuple[int, ...]]


@dataclass
class Twin:
    """A rebuilt program of a module, in step with it.

    `places` says where the program has the module's tensors, `callers` which modules its nodes ran in. `form` has the
    shapes of the module's tensors that it was made for, `versions` tells whether they were written to since. The paths
    `folded` of the program are weights that the code computes from others.
    """

    program: fx.GraphModule
    places: Mapping[str, TensorPlace]
    callers: Mapping[str, tuple[str, ...]]
    form: Form
    versions: Mapping[str, tuple[int, int]]
    folded: frozenset[str]

    def fits(self, module: nn.Module) -> bool:
        """Tell whether the twin is still that of the module."""
        return self.form == form_of(module) and not (self.folded and self.versions != _versions(module))

    def take_weights(self, module: nn.Module) -> None:
        """Take the present weights of the module; parameters are shared, so that gradients reach both."""
        own = tensors_of(module)
        for name, place in self.places.items():
            if name in own and has_tensor(self.program, place.path):
                set_tensor(self.program, place.path, _as_there(own[name], transposed=place.transposed))

    def step(self, module: nn.Module, program: fx.GraphModule, folded: Collection[str]) -> None:
        """Go on with the program that the module follows now, which has plain parameters in place of some `folded`."""
        self.program, self.form, self.versions = program, form_of(module), _versions(module)
        self.places = {**self.places, **{path: TensorPlace(path) for path in folded}}
        self.folded = self.folded.difference(folded)
        self.take_weights(module)


_TWINS: WeakKeyDictionary[nn.Module, Twin] = WeakKeyDictionary()


def program_of(model: nn.Module, example: tuple[Tensor, ...]) -> fx.GraphModule:
    """Return a rebuilt program itself, and the twin of any other module; the module stays as it is.

    Raises PruningError where a module has no twin that answers like it.
    """
    return model if isinstance(model, fx.GraphModule) else twin_of(model, example).program


def twin_of(module: nn.Module, example: tuple[Tensor, ...]) -> Twin:
    """Return the twin of a module, made anew where the module was changed otherwise than through its twin."""
    twin = _TWINS.get(module)
    if twin is None or not twin.fits(module):
        twin = _TWINS[module] = _made(module, example)
    twin.take_weights(module)
    return twin


def copied(module: nn.Module) -> nn.Module:
    """Copy a module of code, which shares its parameters; buffers, which it may write to, are copied."""
    memo: dict[int, Tensor] = {id(parameter): parameter for parameter in module.parameters()}
    held = [value for part in module.modules() for value in vars(part).values() if isinstance(value, Tensor)]
    memo |= {id(tensor): tensor.detach() for tensor in held if not tensor.is_leaf}  # of torch's older weight norm
    return copy.deepcopy(module, memo).eval()


def copied_program(program: fx.GraphModule) -> fx.GraphModule:
    """Copy a rebuilt program, which shares its tensors: a removal replaces them."""
    memo = {id(tensor): tensor for tensor in (*program.parameters(), *program.buffers())}
    return copy.deepcopy(program, memo).eval()


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and all buffers of a module, under each of their names."""
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def form_of(module: nn.Module) -> Form:
    """Return the shapes of a module's tensors, by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors_of(module).items()}


def has_tensor(module: nn.Module, path: str) -> bool:
    """Tell whether a module has a tensor at a path."""
    owner, _, name = path.rpartition(".")
    try:
        return isinstance(getattr(module.get_submodule(owner), name, None), Tensor)
    except AttributeError:
        return False


def tensor_at(module: nn.Module, path: str) -> Tensor:
    """Return the tensor of a module at a path."""
    owner, _, name = path.rpartition(".")
    tensor: Any = getattr(module.get_submodule(owner), name)
    return tensor  # type: ignore[no-any-return]


def set_tensor(module: nn.Module, path: str, tensor: Tensor) -> None:
    """Put a tensor to a path of a module."""
    owner, _, name = path.rpartition(".")
    setattr(module.get_submodule(owner), name, tensor)


def _as_there(tensor: Tensor, *, transposed: bool) -> Tensor:
    if not isinstance(tensor, nn.Parameter):
        return tensor.detach().clone()
    if not transposed:
        return tensor
    return nn.Parameter(tensor.detach().t().contiguous(), tensor.requires_grad)


def _made(module: nn.Module, example: tuple[Tensor, ...]) -> Twin:
    try:
        rebuilt = rebuild_code(module, example)
    except Exception as error:  # torch.export raises errors of many kinds
        raise PruningError(
            f"expected the code of build_model() to export as a program to find units in, got {cause_of(error)}; leave "
            "pruning out of the recipe or let build_model() return code that exports"
        ) from error
    placed = {place.path for place in rebuilt.places.values()}
    folded = frozenset(name for name, _ in rebuilt.program.named_parameters() if name not in placed)
    form, versions = form_of(module), _versions(module)
    twin = Twin(rebuilt.program, rebuilt.places, rebuilt.callers, form, versions, folded)
    twin.take_weights(module)
    found = ProgramAnswers(copied_program(twin.program), example).difference(copied(module))
    if found:
        raise PruningError(
            f"expected the code of build_model() to answer like its own exported program, got {found}; leave pruning "
            "out of the recipe or let build_model() return code that depends on the rows alone"
        )
    return twin


def _versions(module: nn.Module) -> dict[str, tuple[int, int]]:
    return {name: (id(tensor), tensor._version) for name, tensor in module.named_parameters()}
