"""Sentences for models that are no family: where they part, why, and what would make them one."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import fx
from torch.nn.modules.batchnorm import _BatchNorm

from model_compression.errors import FamilyError
from model_compression.families.signed_program import SignedProgram
from model_compression.intake import operator_name

STATISTICS = ("running_mean", "running_var")
TRAIN = (
    "begin each model with the same trained backbone, freeze it (requires_grad_(False), and eval(), so that batch "
    "norms keep their statistics), train its own head on what the backbone gives, and register it again"
)
_SHOWN = 5


@dataclass(frozen=True)
class Named:
    """A member's program with digests, by its name in the family."""

    name: str
    program: SignedProgram

    @property
    def inputs(self) -> str:
        """The inputs as a message counts them."""
        names = [node.name for node in self.program.inputs]
        return f"{len(names)} ({', '.join(names)})"

    def place(self, node: fx.Node) -> str:
        """Return the layer of a node as a message names it, or its operator."""
        if node.op == "call_module":
            return f"`{node.target}`"
        return f"the input `{node.name}`" if node.op == "placeholder" else f"`{node.name}` ({operator_name(node)})"


def nothing_shared(programs: Sequence[Named], shared: frozenset[str]) -> FamilyError:
    """Write the error for members without a common layer that has weights, with the first nodes at which they part."""
    return FamilyError(
        f"expected members that begin with the same layers and weights, got {parting(programs, shared)}; to make "
        f"them a family, {TRAIN}"
    )


def parting(programs: Sequence[Named], shared: frozenset[str]) -> str:
    """Say where the first member parts from another one, and in what."""
    first = programs[0]
    node = next(each for each in first.program.values if first.program.digests[each] not in shared)
    digest = first.program.digests[node]
    other = next(each for each in programs[1:] if digest not in each.program.by_digest)
    rest = [each for each in other.program.values if other.program.digests[each] not in first.program.by_digest]
    if not rest:
        return f"`{other.name}`, which ends where `{first.name}` goes on with {first.place(node)}"
    why = _difference(first.program, node, other.program, rest[0])
    return f"{first.place(node)} of `{first.name}` and {other.place(rest[0])} of `{other.name}`, which differ in {why}"


def _difference(one: SignedProgram, node: fx.Node, other: SignedProgram, counterpart: fx.Node) -> str:
    kinds = [_kind(program, each) for program, each in ((one, node), (other, counterpart))]
    if kinds[0] != kinds[1]:
        return f"what they are ({kinds[0]} and {kinds[1]})"
    if one.form(node) != other.form(counterpart):
        return "their settings"
    if one.weights(node) == other.weights(counterpart):
        return "what they are applied to"
    if node.op == "call_module" and isinstance(one.model.get_submodule(str(node.target)), _BatchNorm):
        pairs = zip(one.weights(node).split(" "), other.weights(counterpart).split(" "), strict=True)
        texts = [name for name, digests in zip(*[iter(pairs)] * 2, strict=True) if digests[0] != digests[1]]
        if {name for name, _ in texts} <= {*STATISTICS}:
            return "their running statistics, which a batch norm changes whenever it is trained outside eval()"
    return "their weights"


def _kind(program: SignedProgram, node: fx.Node) -> str:
    if node.op == "call_module":
        return type(program.model.get_submodule(str(node.target))).__name__
    return operator_name(node) or node.op


def inner_layer_read(programs: Sequence[Named], shared: frozenset[str], end: fx.Node | None = None) -> FamilyError:
    """Write the error for a head that reads the backbone before its end, with the head, its node and what it reads.

    `end` is where all heads could begin, if there is such a place.
    """
    first = programs[0]
    alike = [node for node in first.program.values if first.program.digests[node] in shared]
    last = first.program.digests[[node for node in alike if first.program.parameters([node])][-1]]
    remedy = (
        ""
        if end is None
        else (f", or declare {first.place(end)}, where every way of every member leads through, as the backbone's end")
    )
    for each in programs:
        own = each.program
        before = own.behind([own.by_digest[last]]) - {own.by_digest[last]}
        for node in own.values:
            readers = [reader for reader in own.readers(node) if own.digests[reader] not in shared]
            if node in before and readers:
                inner = "" if node.op == "placeholder" else "the inner layer "
                return FamilyError(
                    f"expected heads that read the end of the shared backbone alone, got the head of `{each.name}`, "
                    f"whose {each.place(readers[0])} reads {inner}{each.place(node)}, which all members follow with "
                    f"{each.place(own.by_digest[last])}; let it read the last layer alone{remedy}"
                )
    own = first.program
    read = [node for node in alike if any(own.digests[reader] not in shared for reader in own.readers(node))]
    return FamilyError(
        f"expected heads that read one tensor of the shared backbone, got several "
        f"({', '.join(first.place(node) for node in read)}); let them read the last layer alone{remedy}"
    )


def declared_unknown(first: Named, declared: str) -> FamilyError:
    """Write the error for a name that the first member has not."""
    layers = [str(node.target) for node in first.program.values if node.op == "call_module"]
    more = f" and {len(layers) - _SHOWN} before them" if len(layers) > _SHOWN else ""
    return FamilyError(
        f"expected the backbone to end at a layer of `{first.name}`, got `{declared}`, which it does not have; its "
        f"last layers are {', '.join(layers[-_SHOWN:])}{more}"
    )


def declared_elsewhere(programs: Sequence[Named], shared: frozenset[str], declared: str, node: fx.Node) -> FamilyError:
    """Write the error for a declared end that is not the same in all members."""
    digest = programs[0].program.digests[node]
    other = next(each for each in programs[1:] if digest not in each.program.by_digest)
    return FamilyError(
        f"expected `{declared}` to compute the same in all members, got another in `{other.name}`: they part at "
        f"{parting([programs[0], other], shared)}; declare an earlier layer, or {TRAIN}"
    )


def way_around(programs: Sequence[Named], declared: str, node: fx.Node, ends: Sequence[fx.Node]) -> FamilyError:
    """Write the error for a declared end that something leads around, with what may be declared."""
    first = programs[0]
    names = ", ".join(first.place(end) for end in ends[-_SHOWN:]) or "none"
    around = next((each for each in programs if _cut_at(each, first.program.digests[node]) is None), first)
    return FamilyError(
        f"expected everything in every member to flow through `{declared}`, got a way around it in `{around.name}`; "
        f"declare one of the layers where all flows through and that have weights behind them: {names}"
    )


def _cut_at(each: Named, digest: str) -> fx.Node | None:
    return next((node for node in each.program.cuts() if each.program.digests[node] == digest), None)
