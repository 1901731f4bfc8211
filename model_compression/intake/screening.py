"""Screening of a program's text before torch reads it.

torch.export turns parts of an archive's JSON into running code: symbolic sizes go through `eval` (sympy), names go into
generated Python source, operators are looked up by attribute path, tree specs import modules by name, and guards are
compiled. Everything outside a narrow grammar is refused here, so that loading a program runs no code of its author's.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from model_compression.errors import IntakeError

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_DOTTED_NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|torchvision)\.(?!__)\w+\.[A-Za-z]\w*"
    r"|torch\.ops\.aten\.__(i?and|i?or|i?xor|lshift|rshift)__\.[A-Za-z]\w*"
    r"|torch\.ops\.higher_order\.[A-Za-z]\w*"
    r"|torch\.sym_(not|int|float|ite|max|min|sqrt)"
    r"|_operator\.(eq|ne|le|ge|lt|gt|neg|pos|mul|add|sub|floordiv|mod|pow|truediv|and_|or_|lshift|rshift|getitem)"
    r"|math\.(trunc|ceil|floor)",
    re.ASCII,
)
_OPENS_FILES = "torch.ops.aten.from_file."
_CONTAINERS = {
    "builtins.tuple",
    "builtins.list",
    "builtins.dict",
    "collections.OrderedDict",
    "torch.Size",
    "torch.fx.immutable_collections.immutable_list",
    "torch.fx.immutable_collections.immutable_dict",
}
_MAPS = {
    "as_string_to_argument",
    "custom_obj_values",
    "metadata",
    "opset_version",
    "range_constraints",
    "sym_bool_values",
    "sym_float_values",
    "sym_int_values",
    "tensor_values",
    "treespec_namedtuple_fields",
}
"""Fields whose keys are the program's own names, not field names."""
_SYMBOL = re.compile(r"[a-z]+\d+", re.ASCII)
_QUOTED = re.compile(r"[A-Za-z]\w*|[\d.]+", re.ASCII)
_FUNCTIONS = frozenset({
    "Abs", "Add", "And", "CeilDiv", "CeilToInt", "CleanDiv", "Eq", "Equality", "Float", "FloatPow", "FloatTrueDiv",
    "FloorDiv", "FloorToInt", "Ge", "GreaterThan", "Gt", "Identity", "IntTrueDiv", "Integer",
    "IsNonOverlappingAndDenseIndicator", "LShift", "Le", "LessThan", "Lt", "Max", "Min", "Mod", "ModularIndexing",
    "Mul", "Ne", "Not", "Or", "Pow", "PowByNatural", "PythonMod", "RShift", "Rational", "RoundDecimal", "RoundToInt",
    "StrictGreaterThan", "StrictLessThan", "Symbol", "ToFloat", "TruncToFloat", "TruncToInt", "Unequality", "Where",
    "ceiling", "floor",
})  # fmt: skip
_STRUCTURE = (
    ast.Expression, ast.Call, ast.keyword, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip


def screen(text: Any) -> None:
    """Check parsed JSON of a `pt2` archive, in place: of the nodes' metadata only the module path stays.

    Of a class that the outputs come in, such as a dataclass, its fields stay, as a dict or a tuple. Raises IntakeError
    that names the first entry outside the grammar.
    """
    for holder, key, value in _entries(text):
        if key == "metadata" and isinstance(value, dict) and "target" in holder:
            holder[key] = {name: path for name, path in value.items() if name == "nn_module_stack"}
        elif key == "out_spec":
            holder[key] = _plain_tree(key, value)
        elif (check := _CHECKS.get(key)) is not None:
            check(key, value)


def _entries(tree: Any) -> Iterator[tuple[dict[str, Any], str, Any]]:
    pending = [("", tree)]
    while pending:
        field, value = pending.pop()
        if isinstance(value, dict):
            for key, child in list(value.items()):
                if field not in _MAPS:
                    yield value, key, child
                pending.append(("" if field in _MAPS else key, child))
        elif isinstance(value, list):
            pending.extend(("", child) for child in value)


def _refuse(what: str, value: object, expected: str) -> IntakeError:
    return IntakeError(
        f"expected {what} to be {expected}, got {str(value)[:80]!r}: the archive is damaged or was tampered with; "
        "register the model again from its source"
    )


def _check_name(key: str, value: Any) -> None:
    # an argument without a name has an empty name, a missing argument has null
    if value and not (isinstance(value, str) and _IDENTIFIER.fullmatch(value)):
        raise _refuse(f"the name of a value ('{key}')", value, "a Python identifier")


def _check_names(key: str, value: Any) -> None:
    for name in value or ():
        _check_name(key, name)


def _check_dotted_name(key: str, value: Any) -> None:
    if not (isinstance(value, str) and _DOTTED_NAME.fullmatch(value)):
        raise _refuse(f"'{key}'", value, "a dotted name")


def _check_operator(_key: str, value: Any) -> None:
    if not (isinstance(value, str) and _OPERATOR.fullmatch(value)) or value.startswith(_OPENS_FILES):
        raise _refuse("an operator", value, "one of ATen's or torchvision's")


def _check_number(key: str, value: Any) -> None:
    if not (value is None or isinstance(value, (int, float)) or value in ("Infinity", "-Infinity", "NaN")):
        raise _refuse(f"'{key}'", value, "a number")


def _check_expression(_key: str, value: Any) -> None:
    if not is_arithmetic(value):
        raise _refuse("a symbolic size", value, "an arithmetic expression")


def _check_tree(key: str, value: Any) -> None:
    for entry in _containers(key, value):
        if entry.get("type") is not None and entry["type"] not in _CONTAINERS:
            raise IntakeError(
                f"expected the inputs to be tensors, tuples, lists or dicts, got {str(entry['type'])[:80]!r}; "
                "let forward() take those, and register the model again"
            )
        if entry.get("context") is not None:
            _check_keys(key, entry["context"])


def _plain_tree(key: str, value: Any) -> str:
    """Return a tree of plain containers: a class that torch would import is replaced by a dict of its fields."""
    protocol, tree = _parsed(key, value)
    for entry in _containers(key, [protocol, tree]):
        if entry.get("type") is not None and entry["type"] not in _CONTAINERS:
            fields = _fields(entry)
            entry["type"] = "builtins.dict" if fields else "builtins.tuple"
            entry["context"] = json.dumps(fields) if fields else "null"
        if entry.get("context") is not None:
            _check_keys(key, entry["context"])
    return json.dumps([protocol, tree])


def _fields(entry: dict[str, Any]) -> list[str]:
    """Return the names of a class's fields, in the order of its children; none where it does not tell them."""
    try:
        context = json.loads(entry.get("context") or "null")
    except (TypeError, ValueError):
        return []
    if isinstance(context, list) and context and isinstance(context[0], list):
        context = context[0]  # of a dataclass: the fields that hold something, then the others
    children = entry.get("children_spec")
    is_named = isinstance(context, list) and all(isinstance(name, str) for name in context)
    return context if is_named and isinstance(children, list) and len(context) == len(children) else []


def _containers(key: str, value: Any) -> list[dict[str, Any]]:
    _, tree = _parsed(key, value)
    return list({id(holder): holder for holder, name, _ in _entries(tree) if name == "type"}.values())


def _parsed(key: str, value: Any) -> Any:
    try:
        protocol, tree = value if isinstance(value, list) else json.loads(value)
    except (TypeError, ValueError) as error:
        raise _refuse(f"'{key}'", value, "a tree of containers") from error
    return protocol, tree


def _check_keys(key: str, context: Any) -> None:
    try:
        keys = json.loads(context)
    except (TypeError, ValueError) as error:
        raise _refuse(f"the keys in '{key}'", context, "a list of strings") from error
    is_list = isinstance(keys, list) and all(isinstance(name, str) for name in keys)
    if keys is not None and not is_list:
        raise _refuse(f"the keys in '{key}'", context, "a list of strings")
    if key == "in_spec":
        _check_names(key, keys)


def _check_device(_key: str, value: Any) -> None:
    kind = value.get("type") if isinstance(value, dict) else value
    if kind not in (None, "cpu"):
        raise IntakeError(
            f"expected a program exported on the CPU, got one on {str(kind)[:40]!r}; "
            "register the model with `model.to('cpu')` and an input_example on the CPU"
        )


def _refuse_object(_key: str, value: Any) -> None:
    raise IntakeError(
        f"expected a program of tensors, got a custom object ({str(value)[:80]!r}), which is stored as a pickle; "
        "register a model without torchbind or opaque objects"
    )


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "name": _check_name,
    "as_name": _check_name,
    "user_input_name": _check_name,
    "forward_arg_names": _check_names,
    "parameter_name": _check_dotted_name,
    "buffer_name": _check_dotted_name,
    "tensor_constant_name": _check_dotted_name,
    "target": _check_operator,
    "as_operator": _check_operator,
    "as_int": _check_number,
    "as_float": _check_number,
    "min_val": _check_number,
    "max_val": _check_number,
    "expr_str": _check_expression,
    "in_spec": _check_tree,
    "device": _check_device,
    "as_device": _check_device,
    "as_custom_obj": _refuse_object,
    "custom_obj": _refuse_object,
}


def is_arithmetic(text: object) -> bool:
    """Tell whether a text is an arithmetic expression over symbolic sizes, before sympy evaluates it.

    It may consist of numbers, symbols such as `s0`, operators and sympy's arithmetic functions.
    """
    if not isinstance(text, str):
        return False
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        return False
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return all(_allowed(node, node in called) for node in ast.walk(tree))


def _allowed(node: ast.AST, called: bool) -> bool:
    if isinstance(node, ast.Name):
        return node.id in _FUNCTIONS if called else bool(_SYMBOL.fullmatch(node.id))
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return bool(_QUOTED.fullmatch(node.value))
        return isinstance(node.value, (bool, int, float))
    return isinstance(node, _STRUCTURE) and not called
