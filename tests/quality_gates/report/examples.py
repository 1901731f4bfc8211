"""Reports as the pipeline would fill them in: verdicts decided by the real gates on rows made up here."""

from typing import Literal

import numpy as np
import pandas as pd

from edge_runtime.measurement import Figures
from edge_runtime.settings import TensorSpec
from quality_gates.evidence import Evidence, LatencyInTurns, ModelEvidence
from quality_gates.gates import Gate, GatePolicy, Limit, NonInferiority, decide
from quality_gates.policy import SliceCondition
from quality_gates.report import (
    Confusion,
    DataSplit,
    FlippedRow,
    HistoryRow,
    LedgerRow,
    Mistake,
    Origin,
    ReportContent,
    RungRow,
    ShippedFile,
    Side,
    SizePoint,
    SliceRow,
    SliceValue,
    png_base64,
)
from quality_gates.verdict import Verdict
from tests.quality_gates.builders import turn_latency

Role = Literal["candidate", "deployed", "parent"]
EIGHT = SliceCondition(column="label", equals=8)
LABELS = np.repeat(np.arange(10), 42)
DEPLOYED_WRONG = {3: 2, 8: 1, 9: 1}
PARENT_WRONG = {3: 2, 8: 1, 9: 2}
LOST_EIGHT = {3: 2, 8: 26, 9: 1}
TURNS = LatencyInTurns(
    1,
    {"candidate": turn_latency(0.061), "deployed": turn_latency(0.064), "parent": turn_latency(0.201, undisturbed=7)},
)


def evidence(wrong: dict[int, int], resources: Figures | None) -> ModelEvidence:
    """A model that is wrong on so many rows of each label, always the first ones."""
    rank = np.arange(len(LABELS)) % 42
    right = np.array([rank[i] >= wrong.get(int(label), 0) for i, label in enumerate(LABELS)])
    predictions = np.where(right, LABELS, 3)
    rows = pd.DataFrame({"row_id": np.arange(len(LABELS)), "prediction": predictions, "score": right.astype(float)})
    return ModelEvidence(rows=rows.assign(label=LABELS), resources=resources)


def resources(size_bytes: int = 13_824) -> Figures:
    """A candidate well within its budget."""
    return Figures(size_bytes=size_bytes, load_ms=3.1, peak_rss_mb=4.25, latency_p50_ms=0.061, latency_p99_ms=0.094)


def policy(max_bytes: float = 20_000.0) -> GatePolicy:
    """Accuracy and the recall of digit 8 against both references, and two limits."""
    accuracy = [
        NonInferiority(name=f"accuracy-{ref}", metric="accuracy", against=ref, margin=0.02, confidence=0.95)
        for ref in ("parent", "deployed")
    ]
    recall = [
        NonInferiority(name=f"recall-8-{ref}", metric="accuracy", against=ref, margin=0.1, confidence=0.95, slice=EIGHT)
        for ref in ("parent", "deployed")
    ]
    limits = [
        Limit(name="size", resource="size_bytes", at_most=max_bytes),
        Limit(name="latency", resource="latency_p99_ms", at_most=0.5),
    ]
    gates: list[Gate] = [*accuracy, *recall, *limits]
    return GatePolicy(gates=tuple(gates))


ORIGIN = Origin(
    purpose="Reads digits off the meters of a hall.",
    recipe="digits",
    recipe_sha256="4f" * 32,
    splits=(DataSplit(name="train", rows=1_000, sha256="1a" * 32), DataSplit(name="test", rows=420, sha256="2b" * 32)),
    files=(ShippedFile(name="model.onnx", sha256="3c" * 32), ShippedFile(name="5e" * 32, sha256="5e" * 32)),
    inputs=(TensorSpec("image", "float32", (None, 1, 8, 8)),),
    outputs=(TensorSpec("scores", "float32", (None, 10)),),
    toolchain=(("onnxruntime", "1.31.1"),),
    started_by="ada on bench, by hand with compress",
    run="6d" * 16,
)


def refused() -> ReportContent:
    """Version 3: as good as its own parent, but both have lost digit 8."""
    everything = Evidence(
        candidate=evidence(LOST_EIGHT, resources()),
        parent=evidence({3: 2, 8: 26, 9: 1}, None),
        deployed=evidence(DEPLOYED_WRONG, None),
    )
    return _content(
        decide(policy(), everything),
        version="3",
        published=False,
        deployed_version="2",
        decision="Refused; version 2 stays deployed.",
        slices=_slices(LOST_EIGHT, DEPLOYED_WRONG, LOST_EIGHT),
        flips=_flips(20),
        flips_from="validation",
        flips_validation=25,
        flips_total=31,
        flips_against="deployed version 2",
    )


def published() -> ReportContent:
    """Version 2: as good as the deployed one everywhere."""
    everything = Evidence(
        candidate=evidence(DEPLOYED_WRONG, resources()),
        parent=evidence(DEPLOYED_WRONG, None),
        deployed=evidence(DEPLOYED_WRONG, None),
    )
    return _content(
        decide(policy(), everything),
        version="2",
        published=True,
        deployed_version="1",
        decision="Published; replaces version 1.",
        slices=_slices(DEPLOYED_WRONG, DEPLOYED_WRONG, DEPLOYED_WRONG),
        flips_total=0,
        flips_against="deployed version 1",
    )


def first_deployment() -> ReportContent:
    """Version 1: nothing is deployed yet."""
    everything = Evidence(evidence(DEPLOYED_WRONG, resources()), evidence(DEPLOYED_WRONG, None), None)
    content = _content(
        decide(policy(), everything),
        version="1",
        published=True,
        deployed_version=None,
        decision="Published; the first version on this device.",
        slices=_slices(DEPLOYED_WRONG, None, DEPLOYED_WRONG),
        flips_total=0,
        flips_against="the parent",
    )
    sides, points = (
        (s for s in content.sides if s.role != "deployed"),
        (p for p in content.points if p.kind != "deployed"),
    )
    return content.model_copy(update={"sides": tuple(sides), "points": tuple(points)})


def undecided() -> ReportContent:
    """A candidate that lost a few rows: too few to refuse, too many to pass."""
    wrong = {**DEPLOYED_WRONG, 8: 4}
    everything = Evidence(evidence(wrong, resources()), evidence(DEPLOYED_WRONG, None), evidence(DEPLOYED_WRONG, None))
    return _content(
        decide(policy(), everything),
        version="4",
        published=False,
        deployed_version="2",
        decision="Refused: not shown to be good enough; version 2 stays deployed.",
        slices=_slices(wrong, DEPLOYED_WRONG, DEPLOYED_WRONG),
        flips=_flips(3),
        flips_total=3,
        flips_against="deployed version 2",
    )


def not_measured() -> ReportContent:
    """The measurement crashed, so nearly every figure is missing."""
    crashed = ModelEvidence(None, None, failure="the device process was killed by signal 9 after 31 s.")
    return ReportContent(
        model="digits",
        version="5",
        device="mcu-large",
        verdict=decide(policy(), Evidence(crashed, None, None)),
        published=False,
        deployed_version=None,
        decision="Refused: the candidate could not be measured.",
        sides=(Side(role="candidate", name="version 5"), Side(role="parent", name="version 5, FP32")),
        points=(SizePoint(label="parent", kind="parent"), SizePoint(label="round 1", kind="snapshot", size_bytes=9e4)),
        rungs=(RungRow(name="PTQ min-max", snapshot="round 1", outcome="error", reason="The export stopped."),),
        slices=(SliceRow(slice="label = 8", n=42, critical=True),),
    )


def _content(verdict: Verdict, **values: object) -> ReportContent:
    return ReportContent.model_validate(
        {
            "model": "digits",
            "device": "mcu-large",
            "verdict": verdict,
            "sides": _sides(),
            "turns": (TURNS,),
            "points": _points(),
            "size_budget_bytes": 20_000.0,
            "rungs": _rungs(),
            "ledger": _ledger(),
            "mistakes": (Mistake(label="8", prediction="3", candidate=26, reference=0),),
            "confusion": _confusion(),
            "history": _history(),
            "critical": "label = 8",
            "lineage": (("Source", "digits version 3"), ("Recipe digest", "sha256:4f5cf2a1"), ("Device", "mcu-large")),
            "origin": ORIGIN,
            **values,
        }
    )


def _sides() -> tuple[Side, ...]:
    names: dict[Role, str] = {"candidate": "int8, PTQ min-max", "deployed": "version 2, int8", "parent": "FP32"}
    recalls = {"candidate": 16 / 42, "deployed": 41 / 42, "parent": 16 / 42}
    return tuple(
        Side(
            role=role,
            name=name,
            accuracy=0.93 if role != "deployed" else 0.99,
            slices=(SliceValue(name="Recall of label 8", value=recalls[role]),),
            figures=Figures(154_812, 9.5, 5.0, 0.18, 0.31) if role == "parent" else resources(),
        )
        for role, name in names.items()
    )


def _points() -> tuple[SizePoint, ...]:
    snapshots = ((101_300, 0.987), (68_400, 0.986), (47_900, 0.984), (33_600, 0.976))
    return (
        SizePoint(label="parent", kind="parent", size_bytes=154_812, accuracy=0.989),
        *(
            SizePoint(label=f"round {i}", kind="snapshot", size_bytes=size, accuracy=accuracy)
            for i, (size, accuracy) in enumerate(snapshots, 1)
        ),
        SizePoint(label="PTQ min-max", kind="rung", size_bytes=13_720, accuracy=0.955, note="lost 2.9 pp"),
        SizePoint(label="QAT", kind="rung", size_bytes=13_824, accuracy=0.983, chosen=True, note="holds on validation"),
        SizePoint(label="deployed", kind="deployed", size_bytes=14_210, accuracy=0.986, note="version 2"),
    )


def _ledger() -> tuple[LedgerRow, ...]:
    stages = (("parent", 0.989, 0.97), ("round 1", 0.987, 0.97), ("QAT (INT8)", 0.983, None))
    return tuple(
        LedgerRow(
            stage=stage, accuracy=accuracy, slices=(SliceValue(name="label = 8", value=eight),), size_bytes=1e4,
            seconds=2.5,
        )
        for stage, accuracy, eight in stages
    )  # fmt: skip


def _confusion() -> Confusion:
    """Ten digits of 42 rows each; the candidate takes 26 of the eights for threes."""
    rows = [[42 if line == column else 0 for column in range(10)] for line in range(10)]
    rows[3][3], rows[3][5], rows[9][9], rows[9][4] = 40, 2, 41, 1
    deployed = [row.copy() for row in rows]
    deployed[8][8], deployed[8][1] = 41, 1
    rows[8][8], rows[8][3] = 16, 26
    candidate, reference = (tuple(map(tuple, counts)) for counts in (rows, deployed))
    return Confusion(classes=tuple("0123456789"), candidate=candidate, reference=reference)


def _history() -> tuple[HistoryRow, ...]:
    first, second = {"release": 1, "now": "previous"}, {"release": 2, "now": "deployed"}
    lines: tuple[dict[str, object], ...] = (
        {"version": "1", "when": "2026-01-05 10:00", "accuracy": 0.98, "critical": 0.95, "published": True, **first},
        {"version": "2", "when": "2026-01-06 10:00", "accuracy": 0.99, "critical": 0.97, "published": True, **second},
        {"version": "3", "when": "2026-01-07 10:00", "accuracy": 0.93, "critical": 0.38, "published": False},
    )
    return tuple(HistoryRow.model_validate({"why": "" if line["published"] else "Lost 8.", **line}) for line in lines)


def _rungs() -> tuple[RungRow, ...]:
    return (
        RungRow(
            name="PTQ min-max",
            snapshot="round 3",
            outcome="fail",
            accuracy=0.955,
            size_bytes=13_720,
            seconds=2.4,
            reason="Accuracy fell by 2.9 pp on validation, more than the 2.0 pp that the gate allows; tried QAT next.",
        ),
        RungRow(
            name="QAT",
            snapshot="round 3",
            outcome="pass",
            accuracy=0.983,
            size_bytes=13_824,
            seconds=74.2,
            reason="Every gate holds on validation.",
        ),
    )


def _slices(candidate: dict[int, int], deployed: dict[int, int] | None, parent: dict[int, int]) -> tuple[SliceRow, ...]:
    return tuple(
        SliceRow(
            slice=f"label = {label}",
            n=42,
            parent=1 - parent.get(label, 0) / 42,
            deployed=None if deployed is None else 1 - deployed.get(label, 0) / 42,
            candidate=1 - candidate.get(label, 0) / 42,
            critical=label == 8,
        )
        for label in range(10)
    )


def _flips(count: int) -> tuple[FlippedRow, ...]:
    image = np.random.default_rng(0).integers(0, 17, (8, 8))
    return tuple(
        FlippedRow(
            row_id=str(1400 + i),
            label="8",
            reference_prediction="8",
            candidate_prediction="3",
            slice="label = 8",
            image_png_base64=png_base64(image),
        )
        for i in range(count)
    )
