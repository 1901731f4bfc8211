"""The grammar of a program's JSON: entries that pass and entries that are refused."""

import json

import pytest

from model_compression.errors import IntakeError
from model_compression.intake.screening import is_arithmetic, screen


@pytest.mark.parametrize(
    "text",
    [
        "s0",
        "4*s77",
        "Symbol('s77', positive=True, integer=True)",
        "Mul(Integer(2), Symbol('s77', positive=True, integer=True))",
        "FloorDiv(s0 + 1, 2)",
        "Max(1, s0) >= 2",
        "-(s0 % 3)",
        "Pow(s0, -1)",
    ],
)
def test_arithmetic_is_let_through(text: str) -> None:
    assert is_arithmetic(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "exec(chr(112))",
        "().__class__",
        "s0.__class__",
        "Symbol.__base__",
        "Symbol('os.system')",
        "Add('exec(1)')",
        "[c for c in (1,)]",
        "lambda: 1",
        "(s0 := 3)",
        "eval",
        "Symbol('s0')('x')",
        "f'{s0}'",
        "s0 if 1 else 2",
        "s0[0]",
        "",
        "s0 +",
        7,
        None,
    ],
)
def test_any_other_python_is_not_arithmetic(text: object) -> None:
    assert not is_arithmetic(text)


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.conv2d.default",
        "torch.ops.aten.__and__.Tensor",
        "torch.ops.aten.sym_size.int",
        "torch.ops.higher_order.cond",
        "torch.ops.torchvision.nms.default",
        "torch.sym_max",
        "_operator.mul",
        "math.trunc",
    ],
)
def test_known_operators_are_let_through(target: str) -> None:
    screen({"nodes": [{"target": target}]})


@pytest.mark.parametrize(
    "target",
    [
        "torch.hub.load",
        "torch.load",
        "torch.serialization.os.system",
        "torch.ops.load_library",
        "torch.ops.aten.__init__.__func__",
        "torch.ops.aten.__class__.mro",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten",
        "torch.ops.other.run.default",
        "_operator.methodcaller",
        "_operator.attrgetter",
        "math.__loader__",
        "#extension",
        "torch.ops.aten.add.Tensor\n",
        None,
    ],
)
def test_other_callables_are_refused(target: str | None) -> None:
    with pytest.raises(IntakeError, match="expected an operator to be one of ATen's"):
        screen({"nodes": [{"target": target}]})
    with pytest.raises(IntakeError, match="expected an operator"):
        screen({"inputs": [{"arg": {"as_operator": target}}]})


@pytest.mark.parametrize("key", ["name", "as_name", "user_input_name"])
def test_names_are_identifiers(key: str) -> None:
    screen({"inputs": [{key: "p_layer_weight"}, {key: ""}, {key: None}]})
    for bad in ("a b", "x=print()", "x\n", "0x", ["x"]):
        with pytest.raises(IntakeError, match="a Python identifier"):
            screen({"inputs": [{key: bad}]})


def test_quotes_in_a_parameter_name_are_refused() -> None:
    screen({"parameter_name": "features.0.weight"})
    with pytest.raises(IntakeError, match="dotted name"):
        screen({"parameter_name": 'a.b")+print("'})


@pytest.mark.parametrize("key", ["as_int", "as_float", "min_val", "max_val"])
def test_numbers_are_numbers(key: str) -> None:
    screen([{key: 3}, {key: None}, {key: "Infinity"}])
    for bad in ("1+1", [1], {"a": 1}):
        with pytest.raises(IntakeError, match="a number"):
            screen({key: bad})


def _tree(kind: str, context: str) -> str:
    return json.dumps([1, {"type": kind, "context": context, "children_spec": []}])


def test_trees_of_containers_are_let_through() -> None:
    screen({"in_spec": _tree("builtins.dict", '["x"]'), "out_spec": _tree("builtins.dict", '["a/b"]')})


@pytest.mark.parametrize(
    ("key", "spec", "said"),
    [
        ("in_spec", _tree("collections.defaultdict", "{}"), "tensors, tuples, lists or dicts"),
        ("in_spec", _tree("transformers.Output", "null"), "tensors, tuples, lists or dicts"),
        ("out_spec", _tree("builtins.dict", '[{"__enum__": 1, "fqn": "this:x"}]'), "list of strings"),
        ("out_spec", _tree("builtins.dict", "not json"), "list of strings"),
        ("in_spec", _tree("builtins.dict", '["x=print()"]'), "Python identifier"),
        ("in_spec", "not json", "tree of containers"),
    ],
)
def test_trees_that_would_import_or_inject_are_refused(key: str, spec: str, said: str) -> None:
    with pytest.raises(IntakeError, match=said):
        screen({key: spec})


@pytest.mark.parametrize(
    ("context", "kind", "kept"),
    [
        ('["a", "b"]', "builtins.dict", '["a", "b"]'),  # as transformers writes its outputs
        ('[["a", "b"], ["c"]]', "builtins.dict", '["a", "b"]'),  # as torch writes a dataclass
        ('{"__enum__": 1}', "builtins.tuple", "null"),
        ("not json", "builtins.tuple", "null"),
    ],
)
def test_a_class_of_outputs_becomes_a_plain_container(context: str, kind: str, kept: str) -> None:
    leaf: dict[str, object] = {"type": None, "context": None, "children_spec": []}
    text = {"out_spec": json.dumps([1, {"type": "some.Output", "context": context, "children_spec": [leaf, leaf]}])}
    screen(text)
    _, tree = json.loads(text["out_spec"])
    assert (tree["type"], tree["context"], len(tree["children_spec"])) == (kind, kept, 2)


def test_program_from_an_accelerator_is_refused_with_the_remedy() -> None:
    screen({"device": {"type": "cpu", "index": None}})
    with pytest.raises(IntakeError, match=r"got one on 'cuda'.*model\.to\('cpu'\)"):
        screen({"tensor_meta": {"device": {"type": "cuda", "index": 0}}})


def test_custom_objects_are_refused() -> None:
    with pytest.raises(IntakeError, match="custom object"):
        screen({"arg": {"as_custom_obj": {"name": "thing"}}})


def test_only_the_module_path_is_left_of_a_nodes_metadata() -> None:
    node = {"target": "torch.ops.aten.relu.default", "metadata": {"stack_trace": "File x", "nn_module_stack": "a,b,c"}}
    screen({"nodes": [node]})
    assert node["metadata"] == {"nn_module_stack": "a,b,c"}
