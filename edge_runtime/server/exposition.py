"""Prometheus' text format, version 0.0.4: metrics with labels and samples become lines."""

from collections.abc import Iterable, Mapping

from edge_runtime.serving import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = Mapping[str, str]


class Exposition:
    """A text that grows by metrics; each is added once, with all of its samples."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def counter(self, name: str, explanation: str, samples: Iterable[tuple[Labels, float]]) -> None:
        """Add a counter, whose name ends with _total."""
        self._add(name, "counter", explanation, samples)

    def gauge(self, name: str, explanation: str, samples: Iterable[tuple[Labels, float]]) -> None:
        """Add a value that goes up and down."""
        self._add(name, "gauge", explanation, samples)

    def histogram(self, name: str, explanation: str, samples: Iterable[tuple[Labels, Histogram]]) -> None:
        """Add a histogram with its buckets, its sum and its count."""
        self._head(name, "histogram", explanation)
        for labels, found in samples:
            for bound, count in zip((*map(_number, found.bounds), "+Inf"), found.cumulative, strict=True):
                self._sample(f"{name}_bucket", {**labels, "le": bound}, count)
            self._sample(f"{name}_sum", labels, found.sum)
            self._sample(f"{name}_count", labels, found.count)

    def text(self) -> str:
        """Return all lines."""
        return "".join(f"{line}\n" for line in self._lines)

    def _add(self, name: str, kind: str, explanation: str, samples: Iterable[tuple[Labels, float]]) -> None:
        self._head(name, kind, explanation)
        for labels, value in samples:
            self._sample(name, labels, value)

    def _head(self, name: str, kind: str, explanation: str) -> None:
        self._lines += [f"# HELP {name} {explanation}", f"# TYPE {name} {kind}"]

    def _sample(self, name: str, labels: Labels, value: float) -> None:
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        self._lines.append(f"{name}{{{pairs}}} {_number(value)}" if pairs else f"{name} {_number(value)}")


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
