"""Operators that really ran, from ONNX Runtime's own record of calls: after its fusions, with their providers."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_KERNEL = "_kernel_time"


@dataclass(frozen=True)
class OperatorTime:
    """One type of operator on one execution provider: its nodes, the milliseconds of a call, and their share."""

    operator: str
    provider: str
    nodes: int
    ms: float
    share: float


def read_operators(paths: Sequence[Path], calls: int) -> tuple[OperatorTime, ...]:
    """Read the records of so many calls, one of each graph; the longest time comes first.

    The first call is left out, as it fills caches. Raises ValueError where it is no such record.
    """
    times = defaultdict[tuple[str, str, str], list[float]](list)
    for path in paths:
        events = json.loads(path.read_text())
        if not isinstance(events, list):
            raise ValueError(f"expected a list of events in {path}, got {type(events).__name__}")
        for event in events:
            if isinstance(event, dict) and event.get("cat") == "Node" and str(event.get("name")).endswith(_KERNEL):
                operator, provider, node = _kind(event)
                times[operator, provider, f"{path}: {node}"].append(float(event["dur"]) / 1e3)
    nodes, spent = defaultdict[tuple[str, str], int](int), defaultdict[tuple[str, str], float](float)
    for (operator, provider, _), found in times.items():
        counted = found[len(found) // calls :] or found
        nodes[operator, provider] += 1
        spent[operator, provider] += sum(counted) / max(1, calls - 1)
    whole = sum(spent.values()) or 1.0
    rows = [OperatorTime(*kind, nodes[kind], ms, ms / whole) for kind, ms in spent.items()]
    return tuple(sorted(rows, key=lambda row: (-row.ms, row.operator, row.provider)))


def _kind(event: dict[str, Any]) -> tuple[str, str, str]:
    said = event.get("args", {})
    return str(said.get("op_name")), str(said.get("provider")), str(event["name"])
