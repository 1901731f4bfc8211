"""`python -m tests.benchmarks.memory.whole_way HOME RECIPE`: a parent is trained, registered and answered."""

import sys
from pathlib import Path

from rich.console import Console

from flows.demo.example_networks import resnet
from flows.demo.examples import Example, run
from flows.environment import prepare
from flows.prefect_api import start_prefect


def main(home: Path, recipe: Path) -> None:
    """Go the whole way: one epoch for the parent, then what the recipe says, up to the gates and the bundle."""
    prepare(home)
    start_prefect()()
    run(Example(str(recipe), resnet, 1, 2e-3), home, Console(width=160))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
