"""A joined model with other heads in the place of some of its own; backbone and the other heads stay as they are."""

from collections.abc import Mapping, Sequence

from torch import fx

from model_compression.errors import FamilyError
from model_compression.families.copied_parts import Assembly
from model_compression.families.joining import side_by_side
from model_compression.families.splitting import backbone_and_heads


def with_heads(joined: fx.GraphModule, names: Sequence[str], new: Mapping[str, fx.GraphModule]) -> fx.GraphModule:
    """Return a joined model, also a pruned one, with these heads, each of which reads its features.

    It shares the weights of all its parts, at their paths. Raises FamilyError for a model that was not joined of these
    names, and for a head of no such name.
    """
    backbone, heads = backbone_and_heads(joined, names)
    if unknown := sorted(set(new) - set(heads)):
        raise FamilyError(f"expected heads of {', '.join(names)}, got one of {unknown[0]}; compress the family again")
    made, images = Assembly(), dict[fx.Node, fx.Node]()
    made.add(backbone, _but_the_output(backbone), images)
    features = images[_result(backbone)]
    answers = []
    for name in names:
        head = new.get(name, heads[name])
        (given,) = head.graph.find_nodes(op="placeholder")
        known = {given: features}
        made.add(head, _but_the_output(head), known)
        answers.append(known[_result(head)])
    return made.finish(side_by_side(made, answers))


def _but_the_output(model: fx.GraphModule) -> list[fx.Node]:
    return [node for node in model.graph.nodes if node.op != "output"]


def _result(model: fx.GraphModule) -> fx.Node:
    found: fx.Node = model.graph.output_node().args[0]  # type: ignore[assignment]
    return found
