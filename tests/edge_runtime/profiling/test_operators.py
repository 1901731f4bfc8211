"""ONNX Runtime's record of calls becomes a table of operators."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.profiling.operators import read_operators


def event(name: str, operator: str, microseconds: int, **changes: Any) -> dict[str, Any]:
    args = {"op_name": operator, "provider": "CPUExecutionProvider"}
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": microseconds, "args": args} | changes


def test_the_first_call_is_left_out_and_nodes_are_counted(tmp_path: Path) -> None:
    call = [event("a", "Gemm", 300), event("b", "Gemm", 500), event("c", "Relu", 200)]
    first = [event("a", "Gemm", 90_000), event("b", "Gemm", 1), event("c", "Relu", 1)]
    others = [
        {"cat": "Session", "name": "model_run", "dur": 5},
        event("a", "Gemm", 7) | {"name": "a_fence_before"},
        "odd",
    ]
    (tmp_path / "calls.json").write_text(json.dumps([*others, *first, *call, *call]))
    found = read_operators([tmp_path / "calls.json"], 3)
    assert [(each.operator, each.provider, each.nodes) for each in found] == [
        ("Gemm", "CPUExecutionProvider", 2),
        ("Relu", "CPUExecutionProvider", 1),
    ]
    assert [(each.ms, each.share) for each in found] == [pytest.approx((0.8, 0.8)), pytest.approx((0.2, 0.2))]


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calls.json").write_text("{}")
    with pytest.raises(ValueError, match="expected a list of events"):
        read_operators([tmp_path / "calls.json"], 3)
