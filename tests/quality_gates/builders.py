"""Evidence and policies in a few words, for the tests of the gates."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from edge_runtime.measurement import Figures, TurnLatency
from quality_gates.evidence import Evidence, ModelEvidence
from quality_gates.gates import GatePolicy, Limit, NonInferiority
from quality_gates.policy import SliceCondition

CLASSES = 10


def rows(n: int = 200, wrong: Sequence[int] = ()) -> pd.DataFrame:
    """Row i has label i % 10 and site north or south; the rows in `wrong` are answered with the next label."""
    row_id = np.arange(n)
    label = row_id % CLASSES
    score = np.ones(n, dtype=int)
    score[list(wrong)] = 0
    site = np.where(row_id % 2 == 0, "north", "south")
    prediction = np.where(score == 1, label, (label + 1) % CLASSES)
    return pd.DataFrame({"row_id": row_id, "prediction": prediction, "score": score, "label": label, "site": site})


def resources(**changes: float) -> Figures:
    figures = {"size_bytes": 50_000, "load_ms": 3.0, "peak_rss_mb": 12.0, "latency_p50_ms": 0.2, "latency_p99_ms": 0.4}
    return Figures(**(figures | changes))


def turn_latency(p50_ms: float = 0.2, **changes: float) -> TurnLatency:
    """Latency that was taken in turns on a quiet machine."""
    quiet = {
        "latency_p10_ms": 0.97 * p50_ms, "latency_p50_ms": p50_ms, "latency_p99_ms": 2 * p50_ms, "spread": 0.02,
        "switches_per_s": 3.0, "blocks": 16, "calls": 400, "undisturbed": 398, "load_ms": 3.0, "load_cpu_ms": 2.9,
    }  # fmt: skip
    return TurnLatency(**(quiet | changes))  # type: ignore[arg-type]  # the counts are whole numbers


def model(frame: pd.DataFrame | None = None, failure: str | None = None) -> ModelEvidence:
    return ModelEvidence(rows=rows() if frame is None else frame, resources=resources(), failure=failure)


def failed(reason: str = "it ran past its limit of 60 s.") -> ModelEvidence:
    return ModelEvidence(rows=None, resources=None, failure=reason)


def evidence(
    candidate: ModelEvidence | None = None,
    parent: ModelEvidence | None = None,
    deployed: ModelEvidence | None = None,
) -> Evidence:
    """Three equal and flawless models, but for those given."""
    return Evidence(candidate=candidate or model(), parent=parent or model(), deployed=deployed or model())


def against(reference: str = "parent", **changes: object) -> NonInferiority:
    settings = {"name": f"accuracy_{reference}", "metric": "accuracy", "against": reference}
    return NonInferiority.model_validate(settings | {"margin": 0.05, "confidence": 0.95} | changes)


def eights(reference: str = "deployed", **changes: object) -> NonInferiority:
    condition = SliceCondition(column="label", equals=8)
    return against(reference, **({"name": f"eights_{reference}", "margin": 0.2, "slice": condition} | changes))


def limit(resource: str = "size_bytes", at_most: float = 65_536) -> Limit:
    return Limit.model_validate({"name": resource, "resource": resource, "at_most": at_most})


def policy(*gates: NonInferiority | Limit) -> GatePolicy:
    return GatePolicy(gates=gates or (against("parent"), against("deployed"), eights(), limit()))
