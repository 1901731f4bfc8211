"""Members joined into one model: their backbone once, every head behind it, and all answers side by side."""

from collections.abc import Sequence

from torch import fx

from model_compression.families.common_backbone import Member, SharedBackbone, signed
from model_compression.families.copied_parts import Assembly
from model_compression.families.refusals import Named
from model_compression.intake import aten, drop_dead_code, memory_of, written_argument

BACKBONE, HEADS = "backbone", "heads"


def join(members: Sequence[Member], backbone: SharedBackbone) -> fx.GraphModule:
    """Join members into a model with copies of their weights, in evaluation mode.

    Its inputs are those of the first member. Its output has the shape (rows, total): the answers of all heads, in the
    order of the members, each flattened from dimension 1. Layers are called `backbone.X` and `heads.NAME.X`.
    """
    programs, made = signed(members), Assembly()
    first = programs[0]
    known: dict[fx.Node, fx.Node] = {}
    made.add(first.program.model, first.program.inputs, known)
    inside = first.program.behind([first.program.by_digest[backbone.digest]])
    made.add(first.program.model, [node for node in first.program.nodes if node in inside], known, BACKBONE)
    images = {first.program.digests[node]: image for node, image in known.items() if node in first.program.digests}
    answers = [_add_head(made, each, backbone.digest, images) for each in programs]
    joined = made.finish(side_by_side(made, answers))
    drop_dead_code(joined)
    return joined


def _add_head(made: Assembly, member: Named, digest: str, images: dict[str, fx.Node]) -> fx.Node:
    """Add what a member computes behind the backbone; returns the node of its answers, in their own shape."""
    program = member.program
    end = program.by_digest[digest]
    shared = [node for node in program.behind([end]) if node not in program.free]
    own = program.behind([program.output], shared).difference(shared)
    known = {node: images[program.digests[node]] for node in shared}
    if any(_writes_to(node, end) for node in own):  # which the other heads must not see
        known[end] = made.graph.call_function(aten.clone.default, (known[end],))
    made.add(program.model, [node for node in program.nodes if node in own], known, f"{HEADS}.{member.name}")
    return known[program.output]


def _writes_to(node: fx.Node, features: fx.Node) -> bool:
    written = written_argument(node)
    return written is not None and memory_of(written) is memory_of(features)


def side_by_side(made: Assembly, answers: Sequence[fx.Node]) -> fx.Node:
    """Add the form (rows, total) of the answers of all heads, each flattened from dimension 1."""
    return made.graph.call_function(aten.cat.default, ([_flat(made, each) for each in answers], 1))


def _flat(made: Assembly, answers: fx.Node) -> fx.Node:
    """Add the form (rows, numbers) of answers, also where each is a bare number."""
    one_more = made.graph.call_function(aten.unsqueeze.default, (answers, -1))
    return made.graph.call_function(aten.flatten.using_ints, (one_more, 1, -1))
