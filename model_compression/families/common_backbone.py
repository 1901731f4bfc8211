"""The backbone that several programs share: all that leads to the last tensor that each of them computes alike."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import fx

from model_compression.errors import FamilyError
from model_compression.families.refusals import (
    Named,
    declared_elsewhere,
    declared_unknown,
    inner_layer_read,
    nothing_shared,
    way_around,
)
from model_compression.families.signed_program import SignedProgram

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Member:
    """A model of a family: its name in the family, and its rebuilt program in evaluation mode."""

    name: str
    model: fx.GraphModule


@dataclass(frozen=True)
class SharedBackbone:
    """The backbone of some members: its digest, the numbers that it trained, and their share of each member's.

    `cut` says for each member which node of its program gives the features, where the backbone ends.
    """

    digest: str
    cut: Mapping[str, str]
    parameters: int
    share: Mapping[str, float]


def shared_backbone(members: Sequence[Member], declared: str | None = None) -> SharedBackbone:
    """Find the longest backbone that all members share, or check the one that ends at `declared`.

    `declared` names a node or a layer of the first member. Raises FamilyError with one sentence where the members share
    no layer with weights, where a head reads more of the backbone than its end, and where `declared` is no such end.
    """
    programs = signed(members)
    shared = frozenset[str].intersection(*(frozenset(each.program.by_digest) for each in programs))
    ends = _common_ends(programs)
    if declared is not None:
        end = _declared(programs, shared, ends, declared)
    elif ends:
        end = ends[-1]
        _check_only_the_end_is_read(programs, shared, end)
    else:
        alike = [node for node in programs[0].program.values if programs[0].program.digests[node] in shared]
        raise (inner_layer_read if programs[0].program.parameters(alike) else nothing_shared)(programs, shared)
    digest = programs[0].program.digests[end]
    cut = {each.name: each.program.by_digest[digest] for each in programs}
    count = programs[0].program.parameters(programs[0].program.behind([end]))
    share = {each.name: count / each.program.parameters(each.program.nodes) for each in programs}
    return SharedBackbone(digest, {name: node.name for name, node in cut.items()}, count, share)


def signed(members: Sequence[Member]) -> list[Named]:
    """Return the members' programs with digests; raises FamilyError for members that cannot be compared."""
    names = [member.name for member in members]
    odd = [name for name in names if NAME.fullmatch(name) is None]
    if odd or len(set(names)) < len(names) or len(names) < 2:
        got = f"`{odd[0]}`" if odd else ", ".join(names) or "none"
        raise FamilyError(
            "expected two or more members, each with a name of its own made of letters, digits, - and _ that begins "
            f"with a letter, got {got}; name the members of the family so"
        )
    several = [member for member in members if not isinstance(member.model.graph.output_node().args[0], fx.Node)]
    if several:
        raise FamilyError(
            f"expected members with one output, got several from `{several[0].name}`; name the one that is scored as "
            "`output` in its workload"
        )
    programs = [Named(member.name, SignedProgram(member.model)) for member in members]
    _check_inputs(programs)
    _check_different(programs)
    return programs


def _check_inputs(programs: Sequence[Named]) -> None:
    first = programs[0]
    for other in programs[1:]:
        if len(other.program.inputs) != len(first.program.inputs):
            got = " and ".join(f"{each.inputs} of `{each.name}`" for each in (first, other))
            raise FamilyError(
                f"expected members that take the same inputs, got {got}; only models of the same rows are a family"
            )


def _check_different(programs: Sequence[Named]) -> None:
    answers: dict[str, str] = {}
    for each in programs:
        digest = each.program.digests[each.program.output]
        if digest in answers:
            raise FamilyError(
                f"expected members that answer differently, got one program as `{answers[digest]}` and as "
                f"`{each.name}`; name each model once"
            )
        answers[digest] = each.name


def _common_ends(programs: Sequence[Named]) -> list[fx.Node]:
    """Return the first member's nodes where a backbone of all may end, in order.

    It has weights, and no way leads around its end. A digest stands for all that leads to its node, so the ends of
    the members are compared alone.
    """
    ends = [{each.program.digests[node] for node in each.program.cuts()} for each in programs]
    common, first = set.intersection(*ends), programs[0].program
    found = [node for node in first.cuts() if first.digests[node] in common]
    return [node for node in found if first.parameters(first.behind([node]))]


def _check_only_the_end_is_read(programs: Sequence[Named], shared: frozenset[str], end: fx.Node) -> None:
    """Raise FamilyError where weights behind the end are shared, but for a head that reads something before them.

    So it is where another member has a later end, or where most of what is shared is behind this one. Of a block that
    differs in one of its layers the others stay equal too: there, the members part.
    """
    first = programs[0].program
    before = first.behind([end])
    beyond = [node for node in first.values if first.digests[node] in shared and node not in before]
    places = {first.digests[node] for node in beyond}
    later = [node for each in programs for node in each.program.cuts() if each.program.digests[node] in places]
    lost = first.parameters(beyond)
    if lost and (later or lost > first.parameters(before)):
        raise inner_layer_read(programs, shared, end)


def _declared(programs: Sequence[Named], shared: frozenset[str], ends: Sequence[fx.Node], declared: str) -> fx.Node:
    first = programs[0].program
    called = [
        node for node in first.values
        if node.op == "call_module" and f"{node.target}.".startswith(f"{declared}.")
    ]  # fmt: skip
    named = [node for node in first.values if node.name == declared] or called[-1:]
    if not named:
        raise declared_unknown(programs[0], declared)
    end: fx.Node = named[0]
    if end in ends:
        return end
    if first.digests[end] not in shared:
        raise declared_elsewhere(programs, shared, declared, end)
    raise way_around(programs, declared, end, ends)
