"""`make bench-runtime`: batches and hot swaps, beside calls of the session itself.

`python -m tests.benchmarks.runtime NAME ...` measures some parts alone.
"""

import sys

from tests.benchmarks.parts import Part, measure_parts, without_table
from tests.benchmarks.runtime import batching, swapping

PARTS: dict[str, Part] = {
    "batching": batching.gaining,
    "one_by_one": batching.one_by_one,
    "swapping": without_table(swapping.figures),
}

NOTES = """batching, one_by_one: 12 products of 2048 x 2048 (201 MB) and 6 convolutions, one thread. Requests
of one row come at random times, and their times count from when each was to be sent. A load of 1x is what the session
answers one by one. swapping: a model of 6 MB in a process of its own. The same load without swaps and with one every
half second, then 1,000 swaps with a request to each version."""


if __name__ == "__main__":
    measure_parts("runtime", PARTS, NOTES, sys.argv[1:])
