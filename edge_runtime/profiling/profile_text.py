"""A profile as text for people: short tables, with a unit in each heading."""

from collections.abc import Iterator, Sequence

from edge_runtime.install import FailedChoice, MeasuredChoice
from edge_runtime.measurement import Figures
from edge_runtime.profiling.model_profile import ModelProfile
from edge_runtime.settings import SessionSettings

_MOST_OPERATORS = 12


def profile_lines(profile: ModelProfile) -> Iterator[str]:
    """Yield the lines of a profile."""
    yield f"{profile.model}: release {profile.release or '-'}, version {profile.version} ({profile.digest[:12]})"
    machine = profile.machine
    yield (
        f"on {machine.cores} cores with {machine.instruction_set or 'an instruction set that no profile names'}, ONNX "
        f"Runtime {machine.onnxruntime}"
    )
    yield ""
    yield from _runs(profile)
    yield ""
    yield from _figures(profile)
    yield ""
    yield from _memory(profile)
    yield ""
    yield from _operators(profile)


def _runs(profile: ModelProfile) -> Iterator[str]:
    yield f"It runs the {profile.runs.kind} graph with {_session(profile.runs.session)}."
    if profile.runs.said:
        yield f"What was chosen at the install holds no more: {profile.runs.said}"
    if not profile.runs.tried:
        yield "Nothing else was tried here."
        return
    rows = [("graph", "session", "ms/row", "ms/batch", "private MiB", "")]
    for each in profile.runs.tried:
        if isinstance(each, MeasuredChoice):
            batch = "-" if each.batch_p50_ms is None else f"{each.batch_p50_ms:.3g}"
            chosen = each.session == profile.runs.session and each.graph == profile.runs.kind
            rows.append(
                (each.graph, _session(each.session), f"{each.p50_ms:.3g}", batch, f"{each.private_mb:.1f}",
                 "runs" if chosen else "")
            )  # fmt: skip
    yield from _table(rows)
    for each in profile.runs.tried:
        if isinstance(each, FailedChoice):
            session = "" if each.session is None else f" with {_session(each.session)}"
            yield f"Left out: the {each.graph} graph{session}: {' '.join(each.reason.split())}"


def _session(session: SessionSettings) -> str:
    words = [f"{session.threads} thread{'s' if session.threads > 1 else ''}", session.execution_provider]
    if not session.prepack:
        words.append("weights as the file has them")
    if not session.arena:
        words.append("no arena")
    return ", ".join(words)


def _figures(profile: ModelProfile) -> Iterator[str]:
    figures = profile.measured.figures
    yield "Answers: as the golden vectors ask." if profile.answers is None else f"Answers are WRONG: {profile.answers}."
    yield (
        f"Files {figures.size_bytes / 1e6:.2f} MB, load {figures.load_ms:.1f} ms, first answer after "
        f"{profile.first_answer_ms:.1f} ms, peak memory {figures.peak_rss_mb:.0f} MiB."
    )
    yield from _energy(figures)
    one = profile.batches[0]
    rows = [("rows", "p50 ms", "p99 ms", "rows/s", "gain")]
    for each in profile.batches:
        gain = each.batch_size * one.latency_p50_ms / each.latency_p50_ms
        rate = f"{1000 * each.batch_size / each.latency_p50_ms:.0f}"
        rows.append(
            (str(each.batch_size), f"{each.latency_p50_ms:.3g}", f"{each.latency_p99_ms:.3g}", rate, f"{gain:.2f}x")
        )
    yield from _table(rows)


def _energy(figures: Figures) -> Iterator[str]:
    """Yield what a row takes, where this machine has a counter that tells."""
    if figures.energy_mj is not None:
        beside = "" if figures.memory_energy_mj is None else f", and {figures.memory_energy_mj:.3g} mJ in memory"
        yield f"Energy of the machine while it answers a row: {figures.energy_mj:.3g} mJ in the CPU{beside}."


def _memory(profile: ModelProfile) -> Iterator[str]:
    memory = profile.memory
    times = ""
    if memory.weights_mb > 1:  # beside what a process needs anyway, a smaller file says nothing
        times = f": {memory.over_weights:.2f} times the model's {memory.weights_mb:.0f} MiB"
    yield (
        f"Memory of {memory.processes} processes at once: {memory.pss_mb:.0f} MiB, and {memory.empty_pss_mb:.0f} MiB "
        f"without a model{times}."
    )
    rows = [("in each process", "resident MiB", "shared MiB", "its own MiB")]
    rows += [
        (kind.name, f"{kind.resident_mb:.1f}", f"{kind.shared_mb:.1f}", f"{kind.private_mb:.1f}")
        for kind in memory.kinds
    ]
    yield from _table(rows)
    added = memory.private_mb - memory.empty_private_mb
    yield f"Each further process takes {memory.private_mb:.1f} MiB, {added:.1f} of them for the model."
    if profile.weights_in_files == 0 and memory.weights_mb > 1:
        yield "The weights are inside the graph, so no process shares them."


def _operators(profile: ModelProfile) -> Iterator[str]:
    rows = [("operator", "provider", "nodes", "ms/call", "share")]
    rows += [
        (each.operator, each.provider.removesuffix("ExecutionProvider"), str(each.nodes), f"{each.ms:.3f}",
         f"{each.share:.0%}")
        for each in profile.operators[:_MOST_OPERATORS]
    ]  # fmt: skip
    yield from _table(rows)
    rest = profile.operators[_MOST_OPERATORS:]
    if rest:
        yield f"and {len(rest)} more, {sum(each.share for each in rest):.0%} of the time"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows as columns: the first two at the left, numbers at the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column == 0 or not _is_number_column(rows, column) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()


def _is_number_column(rows: Sequence[tuple[str, ...]], column: int) -> bool:
    return any(character.isdigit() for character in rows[-1][column][:1])
