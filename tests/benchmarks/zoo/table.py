"""The zoo's figures against their goals, and its table with a row for each architecture."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.markdown import Markdown

from tests.benchmarks.record import Figure, record
from tests.benchmarks.zoo.models import ENTRIES
from tests.benchmarks.zoo.running import kept_rows
from tests.benchmarks.zoo.verdicts import (
    Row,
    better_score,
    freed,
    hung_or_crashed,
    may_free,
    outcome_of,
    peer_pruned_rightly,
    pruned_rightly,
    same_score,
    shown_times,
    silently_changed,
    times_of,
)

ASKED = 0.3
FEWEST_TIMED = 30  # rows whose times compare; of fewer no goal is reached
ALIKE = 1.03  # identical files that are timed in turns differ by up to 3 %
HEAD = (
    "architecture", "from", "parameters", "went through", "channels", "heads", "layers", "freed", "removal differs",
    "parity", "score: parent, pruned, PTQ, QAT", "INT8 of FP32 bytes", "FP32 ms", "PTQ ms", "chosen", "chosen ms",
    "`quantize_static` ms, score", "torch-pruning",
)  # fmt: skip
NOTES = """Models are small, with random weights that a few short epochs on real data have settled: digits of
scikit-learn, docstrings of Python packages, movements out of the wheel of aeon, patients of scikit-learn.
`went through`: intake, one round at a ratio of 0.3 of the parameters, export with parity, and PTQ. `freed` is the
share of the parameters that the round took, of the share that it may take at most with half of each group's units left.
`removal differs` compares the pruned model with the whole one in which each number that went is zero. Which numbers are
left is read off a copy whose weights are their own places, by neither pruner's account.
torch-pruning is told the output layers and the numbers of heads, and the same check judges it. Its ratio is one of
channels, as its own users give it. `quantize_static` has ONNX Runtime's own settings for x86, per channel. Both it and
the pipeline's rungs get the file of the pruned model. Times are medians of one row on one thread, taken in turns.
`chosen` is what latency as the objective gives: PTQ, where that is not faster than float by 10 % with runs of layers in
float, and the float file where it is faster than both. Times behind a ~ were taken while the machine was too busy to
compare them, and count for no figure; nor do times that compare in fewer than 30 rows."""


def write_table() -> None:
    """Record the figures and the table of all rows that are kept."""
    rows = kept_rows()
    if not rows:
        return
    commits = Counter(row["commit"] for row in rows.values())
    notes = [NOTES.replace("\n", " "), _measured(rows, commits), _while_busy(rows), _found(rows), _ended(rows)]
    text = "\n\n".join(filter(None, notes)) + "\n\n" + "\n".join(_table(rows))
    Console().print(Markdown(record("zoo", "make bench-zoo", figures(rows), text)))


def figures(rows: Mapping[str, Row], fewest: int = FEWEST_TIMED) -> list[Figure]:
    """Return the figures of all rows against the goals; times of fewer rows than `fewest` are no figure."""
    compared = {name: row for name, row in rows.items() if {"chosen", "float", "static"} <= times_of(row).keys()}
    compared = compared if len(compared) >= fewest else {}
    return [*_coverage(rows), *_shares(rows), *_pruning(rows), *_quantizing(compared), *_latency(compared)]


def _coverage(rows: Mapping[str, Row]) -> list[Figure]:
    kinds = Counter(outcome_of(row).kind for row in rows.values())
    broken = sum(hung_or_crashed(row) for row in rows.values())
    changed = sum(silently_changed(row) for row in rows.values())
    return [
        Figure("architectures", len(rows), 60, "rows", "at_least"),
        Figure(
            "went through intake, one round, export and PTQ", 100 * kinds["through"] / len(rows), 95, "%", "at_least"
        ),
        Figure("hung or crashed", broken, 0, "rows", "at_most"),
        Figure("changed silently", changed, 0, "rows", "at_most"),
        Figure("failed otherwise than by one sentence before long work", kinds["failed"], 0, "rows", "at_most"),
    ]


def _shares(rows: Mapping[str, Row]) -> list[Figure]:
    shares = [share for row in rows.values() if (share := freed(row)) is not None and may_free(row) >= ASKED]
    off = [abs(share / ASKED - 1) for share in shares]
    within = 100 * sum(each <= 0.1 for each in off) / len(off) if off else math.nan
    middle = 100 * statistics.median(off) if off else math.nan
    return [
        Figure(
            f"share freed within 10 % of the share asked, of the {len(off)} rows that may free it",
            within,
            100,
            "%",
            "at_least",
        ),
        Figure("share freed against the share asked, median distance", middle, 10, "%", "at_most"),
    ]


def _pruning(rows: Mapping[str, Row]) -> list[Figure]:
    ours = sum(pruned_rightly(row) for row in rows.values())
    theirs = sum(peer_pruned_rightly(row) for row in rows.values())
    return [
        Figure(f"pruned rightly, where torch-pruning alone does so in {theirs}", ours, theirs + 1, "rows", "at_least")
    ]


def _quantizing(rows: Mapping[str, Row]) -> list[Figure]:
    timed = list(rows.values())
    ratios = [times_of(row)["static"] / times_of(row)["chosen"] for row in timed if same_score(row)]
    slower = _count(ratios, sum(ratio < 1 / ALIKE for ratio in ratios))
    worse = _count(timed, sum(not same_score(row) for row in timed))
    better = sum(better_score(row) for row in timed)
    alike, alone = f"at the same score, of {len(ratios)} rows", "`quantize_static` alone"
    below = f"a point or more below {alone}, above it in {better}, of {len(timed)} rows"
    return [
        Figure(f"faster than {alone} {alike}, geometric mean", _mean(ratios), 1, "x", "at_least"),
        Figure(f"slower than {alone} {alike}", slower, 0, "rows", "at_most"),
        Figure(below, worse, better, "rows", "at_most"),
    ]


def _latency(rows: Mapping[str, Row]) -> list[Figure]:
    timed = [times_of(row) for row in rows.values()]
    slower = _count(timed, sum(times["chosen"] > ALIKE * times["float"] for times in timed))
    gains = _mean([times["float"] / times["chosen"] for times in timed])
    return [
        Figure(f"chosen for latency and slower than float, of {len(timed)} rows", slower, 0, "rows", "at_most"),
        Figure("chosen for latency against float, geometric mean", gains, 1, "x", "at_least"),
    ]


def _count(of: Sequence[object], found: int) -> float:
    """Return how many were found; no number where nothing was looked at."""
    return found if of else math.nan


def _mean(ratios: Iterable[float]) -> float:
    values = list(ratios)
    return statistics.geometric_mean(values) if values else math.nan


def _measured(rows: Mapping[str, Row], commits: Mapping[str, int]) -> str:
    said = ", ".join(f"{count} rows of commit {commit}" for commit, count in commits.items())
    busy = sum("last_busy" in row["times"] and row["times"]["last_busy"] is not None for row in rows.values())
    missing = sum(not row["times"] and "export" in row["steps"] for row in rows.values())
    left = [name for name in ENTRIES if name not in rows]
    said += f"; not measured: {_counted(left)}"
    return f"Measured: {said}. Too busy to compare times: {busy} rows; times not taken: {missing} rows."


def _while_busy(rows: Mapping[str, Row]) -> str:
    """Return what the times of a busy machine say, which no figure counts."""
    timed = [
        row for row in rows.values() if not times_of(row) and {"chosen", "float", "static"} <= shown_times(row).keys()
    ]
    if not timed:
        return ""
    times = [shown_times(row) for row in timed]
    slower = sum(each["chosen"] > ALIKE * each["float"] for each in times)
    gain, ahead = (_mean(each[other] / each["chosen"] for each in times) for other in ("float", "static"))
    return (
        f"Times of a busy machine, of {len(times)} rows, by medians of the calls that kept the CPU: the chosen file is "
        f"{gain:.2f}x faster than float (geometric mean), slower than it by more than 3 % in {slower} rows, and "
        f"{ahead:.2f}x faster than that of `quantize_static` alone."
    )


def _found(rows: Mapping[str, Row]) -> str:
    nothing = [name for name, row in rows.items() if "nothing" in row["steps"].get("round", {})]
    qat = [name for name, row in rows.items() if "error" in row["steps"].get("qat", {})]
    kept = [name for name, row in rows.items() if row["steps"].get("intake", {}).get("kept")]
    tried = sum("qat" in row["steps"] for row in rows.values())
    far = [
        name for name, row in rows.items() if may_free(row) >= ASKED and abs((freed(row) or ASKED) / ASKED - 1) > 0.1
    ]
    said = [
        f"More than 10 % from the share asked, in steps of two channels: {_counted(far)}.",
        f"Nothing could be removed in {_counted(nothing)}.",
        f"Operators were kept as they are in {_counted(kept)}.",
        f"QAT, an epoch long, was tried in {tried} rows and failed in {_counted(qat)}.",
    ]
    return " ".join(said)


def _counted(names: list[str]) -> str:
    return f"{len(names)} rows ({', '.join(names)})" if names else "no row"


def _ended(rows: Mapping[str, Row]) -> str:
    lines = ["Rows that did not go through:", ""]
    for name, row in rows.items():
        outcome = outcome_of(row)
        if outcome.kind != "through":
            lines.append(f"- {name}: {outcome.in_words}: {_cell(outcome.said)[:300]}")
    return "\n".join(lines) if len(lines) > 2 else "All rows went through."


def _table(rows: Mapping[str, Row]) -> list[str]:
    lines = [HEAD, ("---",) * len(HEAD), *(_line(name, row) for name, row in rows.items())]
    return [f"| {' | '.join(line)} |" for line in lines]


def _line(name: str, row: Row) -> tuple[str, ...]:
    steps, share = row["steps"], freed(row)
    times = {role: f"{'' if times_of(row) else '~'}{value:.3g}" for role, value in shown_times(row).items()}
    found, export, ptq = (steps.get(step, {}) for step in ("found", "export", "ptq"))
    scores = [_number(steps.get("fine-tune", {}).get("parent")), _number(export.get("score")),
              _number(ptq.get("score")), _number(steps.get("qat", {}).get("score"))]  # fmt: skip
    size = ptq["bytes"] / export["bytes"] if "bytes" in ptq and "bytes" in export else None
    peer = steps.get("torch-pruning", {})
    static = f"{times.get('static', '-')}, {_number(steps.get('quantize_static', {}).get('score'))}"
    return (
        name, row["source"], f"{steps.get('settle', {}).get('parameters', 0):,}", outcome_of(row).in_words,
        *(str(found.get(kind, "-")) for kind in ("channels", "heads", "layers")),
        "nothing" if "nothing" in steps.get("round", {}) else f"{_number(share)} of {may_free(row):.2g}",
        _number(steps.get("silencing", {}).get("difference")), _number(export.get("parity")), ", ".join(scores),
        _number(size), times.get("float", "-"), times.get("ptq", "-"), row["times"].get("choice", "-"),
        times.get("chosen", "-"), static,
        "rightly" if peer_pruned_rightly(row) else _cell(peer.get("error", "-"))[:60],
    )  # fmt: skip


def _number(value: float | None, missing: str = "-") -> str:
    return missing if value is None else f"{value:.3g}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/").replace("`", "'")
