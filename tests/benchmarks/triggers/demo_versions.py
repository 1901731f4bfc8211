"""The demo's first version, registered as often as it is asked for: `python -m ... ADDRESS TIMES`."""

import sys

import numpy as np

RECIPE = MODEL = "digits"


def register(address: str, times: int) -> None:
    """Train the network once and register it so many times."""
    from flows.demo.story import VERSIONS, train
    from tasks.progress import steps
    from tasks.registry import register_upstream

    with steps("training") as progress:
        model = train(VERSIONS["1"], progress)
    for _ in range(times):
        register_upstream(address, MODEL, model, np.zeros((2, 1, 8, 8), dtype=np.float32), {"seed": 0})


if __name__ == "__main__":
    register(sys.argv[1], int(sys.argv[2]))
