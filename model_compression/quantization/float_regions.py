"""Regions in float: layers with weights, and the steps without weights that lie between them alone."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from onnx import ModelProto


class GraphStep(NamedTuple):
    """One step of a graph: its name, those of the steps that it reads, and whether it is a layer with weights."""

    name: str
    reads: tuple[str, ...]
    weighted: bool


def region(steps: Sequence[GraphStep], in_float: Collection[str]) -> set[str]:
    """Return the steps `in_float`, and those without weights that stay in float with them.

    `steps` are in the graph's order. A step without weights stays there where all layers next to it do: those that it
    reads and those that read it, directly or through other steps without weights. In integers it would cost a
    conversion on either side.
    """
    reads = {step.name: step.reads for step in steps}
    readers: dict[str, list[str]] = {step.name: [] for step in steps}
    for step in steps:
        for source in step.reads:
            readers.setdefault(source, []).append(step.name)
    before = _next_to(steps, reads, in_float)
    behind = _next_to(reversed(steps), readers, in_float)
    between = {step.name for step in steps if not step.weighted and before[step.name] | behind[step.name] == {True}}
    return {*in_float, *between}


def _next_to(
    steps: Iterable[GraphStep], sources: Mapping[str, Sequence[str]], in_float: Collection[str]
) -> dict[str, set[bool]]:
    """Return for each step whether the layers with weights on one side of it are in float: both where some are."""
    found: dict[str, set[bool]] = {}
    passed_on: dict[str, set[bool]] = {}
    for step in steps:
        found[step.name] = {said for source in sources[step.name] for said in passed_on.get(source, ())}
        passed_on[step.name] = {step.name in in_float} if step.weighted else found[step.name]
    return found


def steps_of(model: ModelProto, weighted: Collection[str]) -> list[GraphStep]:
    """List the nodes of an ONNX graph; `weighted` are the names of those that are layers with weights."""
    makers = {output: node.name for node in model.graph.node for output in node.output}
    return [
        GraphStep(node.name, tuple(makers[name] for name in node.input if name in makers), node.name in weighted)
        for node in model.graph.node
    ]
