from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import MeasurementFailed
from edge_runtime.measurement import MeasureRequest
from edge_runtime.settings import SessionSettings

_ROWS = np.zeros((4, 8), np.float32)


def _request(**changes: Any) -> MeasureRequest:
    arguments: dict[str, Any] = {
        "model": Path("m.onnx"),
        "inputs": {"x": _ROWS},
        "settings": SessionSettings(threads=1),
    }
    return MeasureRequest(**arguments | changes)


def test_a_request_knows_its_rows() -> None:
    assert _request(inputs={"a": _ROWS, "b": np.zeros(4)}).rows == 4


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"inputs": {}}, "same number of rows"),
        ({"inputs": {"x": _ROWS[:0]}}, "at least one"),
        ({"inputs": {"a": _ROWS, "b": _ROWS[:3]}}, "'a': 4, 'b': 3"),
        ({"inputs": {"x": np.array(1.0)}}, "same number of rows"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"latency_repeats": 0}, "latency_repeats must be at least 1"),
        ({"latency_batch_size": 0}, "latency_batch_size must be at least 1"),
        ({"latency_warmup": -1}, "latency_warmup must be"),
        ({"latency_seconds": 0}, "latency_seconds above 0"),
        ({"memory_limit_mb": 0}, "memory_limit_mb must be above 0"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(MeasurementFailed, match=sentence):
        _request(**changes)
