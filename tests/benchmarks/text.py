"""`make bench-text`: MiniLM on Reuters R8 through the pipeline, beside ONNX Runtime's dynamic quantization alone."""

from collections.abc import Mapping
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic
from rich.markdown import Markdown

from deployments.recipe import read_recipe
from flows.demo.examples import examples, registered
from tasks.workspace import Workspace
from tests.benchmarks.frontier.figures import Seen, seen
from tests.benchmarks.frontier.ours import run
from tests.benchmarks.record import Figure, record
from tests.benchmarks.trajectory.cache import CACHE, console

ALONE = "ONNX Runtime, dynamic INT8 alone"
HEAD = ("file", "test accuracy", "size", "p50", "memory")


def main() -> None:
    """Measure and record the table."""
    example = examples()["r8"]
    recipe = read_recipe(Path(example.recipe))
    workspace = Workspace.at(CACHE / "r8")
    ours = run(recipe, registered(example, workspace, console), workspace)
    alone = CACHE / "dynamic-alone.onnx"
    quantize_dynamic(ours.baseline.onnx, alone, per_channel=True, weight_type=QuantType.QInt8)
    files = {"parent": ours.baseline.onnx, "ours": ours.climb.chosen.file.path, ALONE: alone}
    device = recipe.devices[0].model_copy(update={"max_batch": 1})
    measured = seen(files, device, ours.job.workload, ours.job.splits["test"])
    lines = [f"| {' | '.join(row)} |" for row in [HEAD, ("---",) * len(HEAD), *_rows(measured)]]
    notes = [
        *lines,
        "",
        *ours.climb.why[:1],
        "One thread, one row of 64 tokens at a time, the best of three medians taken in turn; memory is above a bare",
        "runtime's. Chosen on validation, measured on test.",
    ]
    console.print(Markdown(record("text", "make bench-text", _figures(measured), "\n".join(notes))))


def _figures(measured: Mapping[str, Seen]) -> list[Figure]:
    whole, ours, alone = measured["parent"], measured["ours"], measured[ALONE]
    title = "MiniLM on R8"
    return [
        Figure(f"{title}: accuracy lost on test", 100 * (whole.accuracy - ours.accuracy), 1, "points", "at_most"),
        Figure(f"{title}: smaller than FP32", whole.size_bytes / ours.size_bytes, 10, "x", "at_least"),
        Figure(f"{title}: faster than FP32", whole.latency_p50_ms / ours.latency_p50_ms, 6, "x", "at_least"),
        Figure(f"{title}: peak memory above a bare runtime's", ours.memory_mb / whole.memory_mb, 0.5, "x", "at_most"),
        Figure(f"{title}: smaller than {ALONE}", alone.size_bytes / ours.size_bytes, 1, "x", "at_least"),
        Figure(f"{title}: faster than {ALONE}", alone.latency_p50_ms / ours.latency_p50_ms, 1, "x", "at_least"),
    ]


def _rows(measured: Mapping[str, Seen]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            f"{each.accuracy:.4f}",
            f"{each.size_bytes / 1e6:.2f} MB",
            f"{each.latency_p50_ms:.2f} ms",
            f"{each.memory_mb:.1f} MiB",
        )
        for name, each in measured.items()
    ]


if __name__ == "__main__":
    main()
