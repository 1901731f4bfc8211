"""Models that are served from memory: one that gives every type of tensor back, and one with two inputs."""

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np

from edge_runtime.errors import BadRequest, ModelNotServed, ServingError
from edge_runtime.serving import (
    OUTCOMES,
    ROWS,
    SECONDS,
    HistogramCounter,
    ModelDescription,
    ModelStatistics,
    ShadowStatistics,
)
from edge_runtime.settings import DTYPES, TensorSpec

ECHO, PAIR = "echo", "pair"
DIGEST = "ab" * 32


def _description(name: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> ModelDescription:
    return ModelDescription(name, "3", "7", DIGEST, tuple(inputs), tuple(outputs), batched=False)


_ROWS_OF_2 = [TensorSpec(name, "float32", (None, 2)) for name in ("a", "b", "total", "difference")]
DESCRIBED = {
    ECHO: _description(
        ECHO,
        [TensorSpec(f"in_{dtype}", dtype, (None, None)) for dtype in sorted(DTYPES)],
        [TensorSpec(f"out_{dtype}", dtype, (None, None)) for dtype in sorted(DTYPES)],
    ),
    PAIR: _description(PAIR, _ROWS_OF_2[:2], _ROWS_OF_2[2:]),
}


class MemoryModels:
    """ServedModels for tests. `echo` takes any of its inputs; `pair` gives total = a + b and difference = a - b.

    `raises` is what the next answers raise. Where `gate` is an event, answers wait for it; `entered` is set once one
    waits, and `cancelled` counts those that were given up.
    """

    def __init__(self) -> None:
        self.ready = {ECHO: True, PAIR: True}
        self.raises: ServingError | Exception | None = None
        self.gate: asyncio.Event | None = None
        self.entered = asyncio.Event()
        self.cancelled = 0
        self.deadlines: list[float | None] = []

    def names(self) -> list[str]:
        return sorted(self.ready)

    def description(self, model: str) -> ModelDescription:
        if not self.is_ready(model):
            raise ModelNotServed(f"expected a model of {', '.join(self.ready)}, got another")
        return DESCRIBED[model]

    def is_ready(self, model: str) -> bool:
        return self.ready.get(model, False)

    async def answer(
        self,
        model: str,
        arrays: Mapping[str, np.ndarray],
        *,
        deadline_s: float | None = None,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        self.deadlines.append(deadline_s)
        if self.raises is not None:
            raise self.raises
        await self._wait()
        answers = _echo(arrays) if model == ECHO else _pair(arrays)
        if outputs is not None and not set(outputs) <= set(answers):
            raise BadRequest("expected outputs of the model, got another")
        return answers if outputs is None else {name: answers[name] for name in outputs}

    def statistics(self) -> Sequence[ModelStatistics]:
        seconds, rows = HistogramCounter(SECONDS), HistogramCounter(ROWS)
        seconds.add(0.002)
        rows.add(4)
        counts = dict.fromkeys(OUTCOMES, 0) | {"ok": 5, "shed": 2}
        times = seconds.read()
        shadow = ShadowStatistics("8", "cd" * 32, 4, 12, 11, 0.25, 1, 2, times)
        return [
            ModelStatistics(
                ECHO, "3", counts, 9, 1, rows.read(), times, times, queued=1, swaps=2, failed_swaps=1, shadow=shadow
            )
        ]

    async def _wait(self) -> None:
        if self.gate is None:
            return
        self.entered.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def _echo(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    for name, array in arrays.items():
        if name != f"in_{array.dtype.name}" or array.ndim != 2:
            raise BadRequest("expected an input of the model with its dtype, got another")
    return {name.replace("in_", "out_"): array for name, array in arrays.items()}


def _pair(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    if set(arrays) != {"a", "b"} or any(each.dtype != np.float32 or each.shape[1:] != (2,) for each in arrays.values()):
        raise BadRequest("expected the inputs a and b as float32 of (rows, 2), got others")
    if arrays["a"].shape != arrays["b"].shape:
        raise BadRequest("expected as many rows in a as in b")
    return {"total": arrays["a"] + arrays["b"], "difference": arrays["a"] - arrays["b"]}
