"""A device that reports: a real key, signed reports, and files in a drop box."""

from pathlib import Path
from typing import Any

from edge_runtime.bundle import QUANTILES
from edge_runtime.reports import (
    OUTCOMES,
    DeviceKey,
    FieldReport,
    Histogram,
    ModelInField,
    ServedInField,
    ShadowStatistics,
    TensorDrift,
    signed,
)
from edge_runtime.statistics import SECONDS
from tasks.field import name_of

DIGEST = "d" * 64
PROFILE = "bench"


def histogram(*seconds: float) -> Histogram:
    """A histogram of these times."""
    counts = [0] * (len(SECONDS) + 1)
    for each in seconds:
        counts[sum(bound < each for bound in SECONDS)] += 1
    return Histogram(SECONDS, tuple(counts), sum(seconds))


def served(**changed: Any) -> ServedInField:
    """Figures of a serving process: ten requests, one of which failed, drift of one tensor, and a shadow."""
    requests = dict.fromkeys(OUTCOMES, 0) | {"ok": 8, "failed": 1, "shed": 1}
    values: dict[str, Any] = {
        "since": "2026-11-27T20:00:00Z",
        "requests": requests,
        "latency_s": histogram(*[0.004] * 8),
        "rss_bytes": 64 << 20,
        "drift": (TensorDrift("x", 20, tuple(range(len(QUANTILES) + 1)), 0.3),),
        "shadow": ShadowStatistics("2", DIGEST, 4, 8, 6, 0.5, 1, 2, histogram(0.002)),
    }
    return ServedInField(**values | changed)


def in_field(model: str, release: str = "1", **changed: Any) -> ModelInField:
    """A model that serves."""
    values: dict[str, Any] = {"digest": DIGEST, "health": "serving", "last_update": "done", "served": served()}
    return ModelInField(model, release, **values | changed)


class ReportingDevice:
    """A device with a key of its own, which puts reports into a box."""

    def __init__(self, state: Path, profile: str = PROFILE) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self.profile = profile
        self.key = DeviceKey.make(state, profile)
        self.public = self.key.public

    def report(self, number: int, *models: ModelInField, **changed: Any) -> FieldReport:
        values: dict[str, Any] = {
            "device": self.public.device, "number": number, "made_at": "2026-11-27T22:01:45Z", "profile": self.profile,
            "runtime": "0.1.0", "models": models,
        }  # fmt: skip
        return FieldReport(**values | changed)

    def envelope(self, number: int, *models: ModelInField, **changed: Any) -> bytes:
        return signed(self.report(number, *models, **changed), self.key)

    def put(self, box: Path, number: int, *models: ModelInField, **changed: Any) -> Path:
        """Put a signed report into a box; returns its file."""
        return self.put_bytes(box, number, self.envelope(number, *models, **changed))

    def put_bytes(self, box: Path, number: int, data: bytes) -> Path:
        path = self.path(box, number)
        path.write_bytes(data)
        return path

    def path(self, box: Path, number: int) -> Path:
        """The place of a report, in a folder that is made."""
        folder = box / self.public.device
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name_of(number)
