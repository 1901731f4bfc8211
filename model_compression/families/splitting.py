"""A joined model split into its backbone and its heads, and what was removed from the backbone alone."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from torch import fx

from model_compression.errors import FamilyError
from model_compression.families.copied_parts import Assembly
from model_compression.families.joining import BACKBONE, HEADS
from model_compression.families.signed_program import SignedProgram, is_size
from model_compression.intake import aten
from model_compression.pruning import History, Round

FEATURES = "features"


def backbone_and_heads(
    joined: fx.GraphModule, names: Sequence[str]
) -> tuple[fx.GraphModule, dict[str, fx.GraphModule]]:
    """Split a joined model, also a pruned one or one that was exported, into a backbone and a head for each name.

    The parts share its weights, at the same paths. The backbone takes the model's inputs and gives the features. Each
    head takes the features and gives its answers in their own shape. `names` are in the order of the members. Raises
    FamilyError for a model that join() did not make of so many members.
    """
    program = SignedProgram(joined)
    answers = _answers_of(program, names)
    features = _features(program, answers)
    inside = program.behind([features])
    backbone = Assembly()
    images: dict[fx.Node, fx.Node] = {}
    backbone.add(joined, program.inputs, images)
    backbone.add(joined, [node for node in program.nodes if node in inside], images)
    heads = {name: _head(program, features, inside, answer) for name, answer in zip(names, answers, strict=True)}
    return backbone.finish(images[features]), heads


def answers_apart(joined: fx.GraphModule, names: Sequence[str]) -> fx.GraphModule:
    """Return a joined model with an output for each name, which are the answers of the heads in their own shapes.

    It shares the weights. `names` are in the order of the members. Raises FamilyError as backbone_and_heads() does.
    """
    program, made = SignedProgram(joined), Assembly()
    answers = _answers_of(program, names)
    images: dict[fx.Node, fx.Node] = {}
    needed = program.behind(answers)
    made.add(joined, program.inputs, images)
    made.add(joined, [node for node in program.nodes if node in needed], images)
    return made.finish(tuple(images[answer] for answer in answers))


def _answers_of(program: SignedProgram, names: Sequence[str]) -> list[fx.Node]:
    answers = _answers(program)
    if len(answers) != len(names):
        raise FamilyError(
            f"expected a model that was joined of {len(names)} members ({', '.join(names)}), got one of "
            f"{len(answers)}; name the members of this model, in their order"
        )
    return answers


def _answers(program: SignedProgram) -> list[fx.Node]:
    """Return the nodes of the heads' answers, in their own shape. Raises FamilyError where nothing was joined."""
    flat: Any = program.output.args[0] if program.output.target is aten.cat.default else ()
    raised = [part.args[0] for part in flat]
    if not raised or any(each.target is not aten.unsqueeze.default for each in raised):
        raise FamilyError(
            "expected a model whose output puts the answers of heads side by side, as join() makes it, got another; "
            "join the members of the family first"
        )
    return [each.args[0] for each in raised]


def _features(program: SignedProgram, answers: Sequence[fx.Node]) -> fx.Node:
    """Return the one value that every head reads."""
    of_all = set.intersection(*(program.behind([answer]) for answer in answers)) - program.free
    ends: set[fx.Node] = {answer for answer in answers if answer in of_all}
    for node in program.values:
        if node not in of_all:
            ends.update(source for source in program.sources[node] if source in of_all)
    while sizes := {node for node in ends if is_size(node)}:  # heads can read these themselves
        ends = (ends - sizes) | ({source for node in sizes for source in program.sources[node]} - program.free)
    if len(ends) != 1:
        got = ", ".join(sorted(node.name for node in ends)) or "none"
        raise FamilyError(
            f"expected heads that read one tensor of their backbone, got {got}; join the members of the family again"
        )
    return ends.pop()


def _head(program: SignedProgram, features: fx.Node, inside: set[fx.Node], answer: fx.Node) -> fx.GraphModule:
    """Return what leads from the features to a head's answers; it counts the rows of the features."""
    made = Assembly()
    given = made.graph.placeholder(FEATURES)
    images = {features: given}
    own = program.behind([answer], [features])
    counts = [node for node in program.nodes if node in own and _counts_rows_of(node, inside.union(program.inputs))]
    for node in counts:
        images[node] = made.graph.call_function(aten.sym_size.int, (given, 0))
    own = program.behind([answer], [features, *counts])
    made.add(program.model, [node for node in program.nodes if node in own], images)
    result = images[answer]
    return made.finish(made.graph.call_function(aten.clone.default, (result,)) if result is given else result)


def _counts_rows_of(node: fx.Node, inside: set[fx.Node]) -> bool:
    return node.target is aten.sym_size.int and bool(node.args[1] == 0) and node.args[0] in inside


def backbone_history(
    history: History, joined: fx.GraphModule, names: Sequence[str] = (), heads: Collection[str] = ()
) -> History:
    """Return the removals of a joined model's backbone alone, in rounds; `joined` is that model before any of them.

    With `heads`, also those of these heads; `names` are then all of them, in their order.
    """
    program = SignedProgram(joined)
    answers = _answers(program)
    ends = [_features(program, answers), *(answers[names.index(head)] for head in heads)]
    nodes = {node.name for node in program.behind(ends)}
    paths = (f"{BACKBONE}.", *(f"{HEADS}.{head}." for head in heads))

    def stays(name: str) -> bool:
        return name in nodes or f"{name}.".startswith(paths)

    rounds = (_restricted(removed, stays) for removed in history)
    return [each for each in rounds if each]


def _restricted(removed: Round, stays: Callable[[str], bool]) -> Round:
    """Return a round without what `stays` does not name: residual layers, attentions, channels and tables."""
    kept: Round = {"layers": [name for name in removed.get("layers", ()) if stays(name)]}
    for kind in ("heads", "channels"):
        kept[kind] = {name: gone for name, gone in removed.get(kind, {}).items() if stays(name)}
    trim = removed.get("vocabulary", {})
    tables = {name: rows for name, rows in trim.get("tables", {}).items() if stays(name)}
    kept["vocabulary"] = {**trim, "tables": tables} if tables else {}
    return {kind: gone for kind, gone in kept.items() if gone}
