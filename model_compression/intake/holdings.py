"""The tensors that a program holds: parameters, buffers and constants, by the placeholder that stands for each."""

from collections import defaultdict
from dataclasses import dataclass

from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from model_compression.errors import RebuildError


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
    """Every tensor that the program holds, by its placeholder. Raises RebuildError for what is no tensor."""
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
    """A copy of the tensor that may be trained if it is a parameter, and stays as it is if not."""
    copy = holding.tensor.detach().clone()
    return nn.Parameter(copy, copy.is_floating_point()) if holding.is_parameter else copy


def _aliases(program: ExportedProgram) -> dict[str, list[str]]:
    by_memory: dict[tuple[int, tuple[int, ...]], list[str]] = defaultdict(list)
    for name, tensor in program.state_dict.items():
        if tensor.numel():
            by_memory[tensor.data_ptr(), tuple(tensor.shape)].append(name)
    return {name: names for names in by_memory.values() for name in names}
