"""`make bench-memory`: the peak memory of the digits recipe's path on 200,000 mapped images."""

import os
import sys
import tempfile
from pathlib import Path

import yaml
from rich.console import Console
from rich.markdown import Markdown

from deployments.device import DEVICES
from deployments.recipe import RECIPES
from tests.benchmarks.memory import many_digits
from tests.benchmarks.memory.watching import SeenMemory, watch
from tests.benchmarks.record import Figure, record

BUDGET_KB = 80  # below what the parent takes in 8 bits, so that one round prunes it
GOAL_MB = 2_000_000_000 / (1 << 20)
FEWER = 10
console = Console()


def write_recipe(folder: Path) -> Path:
    """Write the digits recipe with the many digits, one epoch a training, one round, PTQ alone and one device."""
    recipe = yaml.safe_load((RECIPES / "digits.yaml").read_text())
    recipe |= {"name": "many-digits", "model": "many-digits", "devices": ["gateway"]}
    recipe |= {"workload": f"{many_digits.__name__}:{many_digits.ManyDigits.__name__}"}
    recipe |= {"ladder": recipe["ladder"][:1]}
    recipe["prune"] |= {"max_rounds": 1, "fine_tune": recipe["prune"]["fine_tune"] | {"epochs": 1}}
    device = yaml.safe_load((DEVICES / "gateway.yaml").read_text())
    device["budgets"]["size_kb"] = BUDGET_KB
    for path, content in (("recipes/many-digits.yaml", recipe), ("devices/gateway.yaml", device)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(yaml.safe_dump(content, sort_keys=False))
    return folder / "recipes" / "many-digits.yaml"


def went(folder: Path, share: int) -> SeenMemory:
    """Go the whole way with one of so many parts of the rows, in an empty folder."""
    folder.mkdir()
    rows = folder / "rows"
    rows.mkdir()
    os.environ[many_digits.FOLDER] = str(rows)
    many_digits.write_rows({name: count // share for name, count in many_digits.COUNTS.items()})
    home, log = folder / "home", folder / "log.txt"
    command = [sys.executable, "-m", "tests.benchmarks.memory.whole_way", str(home), str(write_recipe(folder))]
    seen = watch(command, dict(os.environ), log)
    console.print(log.read_text(), markup=False, highlight=False)
    for megabytes, line in seen.steps:
        console.print(f"{megabytes:7.0f} MiB of its own: {line}", markup=False)
    return seen


def main() -> None:
    """Go the whole way with a tenth of the rows and with all, and record the peaks."""
    with tempfile.TemporaryDirectory(prefix="edgewright-memory-") as name:
        few, many = went(Path(name) / "few", FEWER), went(Path(name) / "many", 1)
    count = sum(many_digits.COUNTS.values())
    figures = [
        Figure(f"peak memory of the whole way with {count:,} images", many.peak_mb, GOAL_MB, "MiB", "at_most"),
        Figure("the part of it that no file backs", many.anonymous_mb, GOAL_MB, "MiB", "at_most"),
        Figure("the largest process that it starts", many.child_mb, GOAL_MB, "MiB", "at_most"),
        Figure(f"{FEWER} times the rows: peak beside a tenth's", many.peak_mb / few.peak_mb, 1.5, "x", "at_most"),
    ]  # fmt: skip
    lines = [
        "| rows | peak, MiB | no file backs, MiB | largest child, MiB | time, s |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {rows:,} | {seen.peak_mb:.0f} | {seen.anonymous_mb:.0f} | {seen.child_mb:.0f} | {seen.seconds:.0f} |"
            for rows, seen in ((count // FEWER, few), (count, many))
        ),
    ]
    notes = (
        "The images are scikit-learn's digits, repeated with other noise each time: 160,000 to train on, 20,000 for "
        "validation and 20,000 for the test, in `.npy` files that are mapped. A ResNet of 78,000 parameters is trained "
        "for one epoch and registered. Then one process answers it as a recipe says that is the digits recipe but for "
        "its ladder (PTQ alone), one round of pruning and one epoch a training: checks, digests, the parent's answers, "
        "distillation, PTQ, gates, record and publication. Peaks are of that process with all that it imports.\n\n"
        + "\n".join(lines)
    )
    console.print(Markdown(record("memory", "make bench-memory", figures, notes)))


if __name__ == "__main__":
    main()
