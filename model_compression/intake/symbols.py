"""Tells an arithmetic expression over symbolic sizes from any other Python, before sympy evaluates it."""

import ast
import re

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


def is_arithmetic(text: object) -> bool:
    """Whether the text is made of numbers, symbols such as `s0`, operators and sympy's arithmetic functions only."""
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
