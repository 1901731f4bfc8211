"""A graph with several outputs split into a backbone, which several of them need, and a head for each.

What is made of constants and of the number of rows alone belongs to nobody: each part has its own copy of it. Features
that leave the backbone dequantized stay float. A head quantizes them again by the same scale, which gives the same
integers, so that its layers still run on integers.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import onnx
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, shape_inference

from model_compression.errors import ExportError
from model_compression.onnx_files.inspection import graphs_in
from model_compression.onnx_files.slimming import share_constants

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def split_at_features(
    model: ModelProto, heads: Mapping[str, str], features: str = "features"
) -> tuple[ModelProto, dict[str, ModelProto]]:
    """Split a graph into its backbone and heads; `heads` has the output that each head gives, by the head's name.

    A node that several outputs need is the backbone's. It gives one tensor called `features`, or several whose names
    have a number behind that. Inputs and outputs keep their names, and `model` stays as it is. Raises ExportError for
    fewer than two heads, for outputs that the graph does not have or that have no node in common, and for a head that
    reads an input of the graph.
    """
    whole = _Whole(model)
    _check_outputs(whole, heads)
    behind = {name: whole.behind(output) for name, output in heads.items()}
    shared = {place for place in whole.values if sum(place in each for each in behind.values()) > 1}
    own = {name: each - shared for name, each in behind.items()}
    _check_shared(whole, shared, own)
    read = {name: whole.read_from(shared, own[name], output) for name, output in heads.items()}
    passed = list(dict.fromkeys(tensor for each in read.values() for tensor in each))
    names = {each: features if len(passed) == 1 else f"{features}_{place}" for place, each in enumerate(passed)}
    described = {each: whole.described(each, name) for each, name in names.items()}
    backbone = whole.part(whole.copied(shared, names), model.graph.input, list(described.values()))
    return backbone, {
        name: whole.part(
            _head_nodes(whole, own[name], {each: names[each] for each in read[name]}, output),
            [described[each] for each in read[name]],
            [whole.described(output, output)],
        )
        for name, output in heads.items()
    }


def _check_outputs(whole: "_Whole", heads: Mapping[str, str]) -> None:
    lacking = [output for output in heads.values() if output not in whole.outputs]
    if len(heads) < 2 or lacking:
        got = f"no output `{lacking[0]}` among {', '.join(whole.outputs)}" if lacking else f"{len(heads)}"
        raise ExportError(f"expected a graph that gives the outputs of two heads or more, got {got}; export it again")


def _check_shared(whole: "_Whole", shared: set[int], own: Mapping[str, set[int]]) -> None:
    if not shared:
        raise ExportError(f"expected heads that need a node in common, got none of {', '.join(own)}; export each alone")
    inputs = {value.name for value in whole.model.graph.input}
    for name, places in own.items():
        taken = sorted(inputs & {tensor for place in places for tensor in whole.reads[place]})
        if taken:
            raise ExportError(
                f"expected heads that read what the backbone gives alone, got `{name}`, which reads the input "
                f"`{taken[0]}`; let the backbone pass it on"
            )


def _head_nodes(whole: "_Whole", own: set[int], read: Mapping[str, str], output: str) -> list[NodeProto]:
    """Return a head's nodes; `read` has the name under which each tensor of the backbone comes in."""
    entrance, renamed = list[NodeProto](), dict[str, str]()
    for tensor, name in read.items():
        again = whole.quantizing(tensor)
        if again is not None:
            quantized, *by = again.input
            entrance.append(helper.make_node(QUANTIZE, [name, *by], [quantized]))
            entrance.append(again)
        elif tensor == output:  # what the backbone gives is the answer itself
            entrance.append(helper.make_node("Identity", [name], [tensor]))
        else:
            renamed[tensor] = name
    return [*entrance, *whole.copied(own, renamed)]


class _Whole:
    """A graph's nodes by their places, and what each of them reads; equal nodes are one.

    `values` are those that depend on more of the rows than their number.
    """

    def __init__(self, model: ModelProto) -> None:
        self.model = shape_inference.infer_shapes(_merged(model))
        self.nodes = list(self.model.graph.node)
        self.outputs = [value.name for value in self.model.graph.output]
        self.reads = [_read(node) for node in self.nodes]
        self._makers = {name: place for place, node in enumerate(self.nodes) for name in node.output if name}
        self._constants = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self.values = set(range(len(self.nodes))) - self._free()

    def behind(self, tensor: str) -> set[int]:
        """Return the values that a tensor is computed from."""
        found, pending = set[int](), [tensor]
        while pending:
            place = self._makers.get(pending.pop(), -1)
            if place in self.values and place not in found:
                found.add(place)
                pending.extend(self.reads[place])
        return found

    def read_from(self, shared: Collection[int], own: Iterable[int], output: str) -> list[str]:
        """Return the tensors of shared nodes that a head reads, or that is its output."""
        read = [tensor for place in sorted(own) for tensor in sorted(self.reads[place])]
        return list(dict.fromkeys(each for each in [*read, output] if self._makers.get(each) in shared))

    def quantizing(self, tensor: str) -> NodeProto | None:
        """Return the node that dequantizes a tensor which was quantized by the same constants; None for another one."""
        node = self.nodes[self._makers[tensor]]
        before = self.nodes[self._makers[node.input[0]]] if node.input and node.input[0] in self._makers else node
        if (node.op_type, before.op_type) != (DEQUANTIZE, QUANTIZE):
            return None
        by = list(node.input[1:])
        return node if by == list(before.input[1:]) and set(by) <= self._constants.keys() else None

    def copied(self, places: Iterable[int], names: Mapping[str, str]) -> list[NodeProto]:
        """Return copies of nodes in their order, with other names of tensors."""
        copies = [_copy(self.nodes[place]) for place in sorted(places)]
        _rename(copies, names)
        return copies

    def described(self, tensor: str, name: str) -> ValueInfoProto:
        """Return the type and shape of a tensor under another name; its first axis is the rows of the inputs."""
        graph = self.model.graph
        known = {value.name: value for value in [*graph.input, *graph.value_info, *graph.output]}
        if tensor not in known or not known[tensor].type.tensor_type.elem_type:
            maker = self.nodes[self._makers[tensor]].op_type
            raise ExportError(
                f"expected features whose type ONNX infers, got `{tensor}` of {maker}; report this with the model's "
                "graph"
            )
        value = ValueInfoProto()
        value.CopyFrom(known[tensor])
        value.name = name
        axes, rows = value.type.tensor_type.shape.dim, graph.input[0].type.tensor_type.shape.dim
        if axes and rows:
            axes[0].CopyFrom(rows[0])
        return value

    def part(
        self, nodes: Sequence[NodeProto], inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]
    ) -> ModelProto:
        """Return a model of these nodes, of the free ones that they read, and of the constants of both."""
        free = self._copied_free(nodes, inputs[0].name)
        every = [*free, *nodes]
        read = {name for node in every for name in _read(node)}
        constants = [tensor for name, tensor in self._constants.items() if name in read]
        graph = helper.make_graph(every, self.model.graph.name, inputs, outputs, constants)
        made = helper.make_model(graph, opset_imports=self.model.opset_import, functions=self.model.functions)
        made.ir_version = self.model.ir_version
        return made

    def _free(self) -> set[int]:
        """Return the places of the nodes that are made of constants and of the number of rows alone."""
        found = set[int]()
        given = {value.name for value in self.model.graph.input} - self._constants.keys()
        for place, node in enumerate(self.nodes):
            makers = [self._makers.get(name) for name in self.reads[place]]
            constant = not self.reads[place] & given and all(each is None or each in found for each in makers)
            if constant or _counts_rows(node):
                found.add(place)
        return found

    def _copied_free(self, nodes: Sequence[NodeProto], rows: str) -> list[NodeProto]:
        """Return copies of the free nodes that these need, in their order; they count the rows of the tensor `rows`."""
        made = {name for node in nodes for name in node.output}
        needed, pending = set[int](), [name for node in nodes for name in _read(node) if name not in made]
        while pending:
            place = self._makers.get(pending.pop())
            if place is not None and place not in self.values and place not in needed:
                needed.add(place)
                pending.extend([] if _counts_rows(self.nodes[place]) else self.reads[place])
        copies = self.copied(needed, {})
        for node in copies:
            if _counts_rows(node):
                node.input[0] = rows
        return copies


def _merged(model: ModelProto) -> ModelProto:
    """Return a copy in which equal constants are one, and so are equal nodes, which compute the same."""
    merged = ModelProto()
    merged.CopyFrom(model)
    share_constants(merged)
    kept, same = list[NodeProto](), dict[str, str]()
    first: dict[tuple[object, ...], NodeProto] = {}
    outputs = {value.name for value in merged.graph.output}
    for node in merged.graph.node:
        _rename([node], same)
        settings = sorted(attribute.SerializeToString() for attribute in node.attribute)
        twin = first.setdefault((node.domain, node.op_type, *node.input, len(node.output), *settings), node)
        if twin is node or outputs & {*node.output} or any(True for _ in graphs_in(node)) or not node.input:
            kept.append(node)
        else:
            same.update(zip(node.output, twin.output, strict=True))
    ordered = onnx.GraphProto(node=kept)
    del merged.graph.node[:]
    merged.graph.node.extend(ordered.node)
    return merged


def _counts_rows(node: NodeProto) -> bool:
    """Tell whether a node gives the length of a tensor's first axis and nothing else."""
    given = {attribute.name: attribute.i for attribute in node.attribute}
    return node.op_type == "Shape" and (given.get("start", 0), given.get("end")) == (0, 1)


def _read(node: NodeProto) -> set[str]:
    """Return the names that a node reads, those of graphs in it included."""
    inner = (name for graph in graphs_in(node) for each in graph.node for name in _read(each))
    return {name for name in (*node.input, *inner) if name}


def _copy(node: NodeProto) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    return copy


def _rename(nodes: Iterable[NodeProto], names: Mapping[str, str]) -> None:
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for graph in graphs_in(node):
            _rename(graph.node, names)
