"""`make bench-runtime`: batches, hot swaps and HTTP, beside calls of the session itself and beside other servers.

`python -m tests.benchmarks.runtime NAME ...` measures some parts alone. `http` and `peers` need Debian's package wrk.
"""

import sys

from tests.benchmarks.parts import Part, measure_parts, without_table
from tests.benchmarks.runtime import batching, http_peers, http_serving, swapping

PARTS: dict[str, Part] = {
    "batching": batching.gaining,
    "one_by_one": batching.one_by_one,
    "swapping": without_table(swapping.figures),
    "http": without_table(http_serving.figures),
    "peers": http_peers.part,
}

NOTES = """batching, one_by_one: 12 products of 2048 x 2048 (201 MB) and 6 convolutions, one thread. Requests
of one row come at random times, and their times count from when each was to be sent. A load of 1x is what the session
answers one by one. swapping: a model of 6 MB in a process of its own. The same load without swaps and with one every
half second, then 1,000 swaps with a request to each version. http: `python -m edge_runtime serve` and wrk on this
machine, one row a request, for 8 s; a tiny model, and one of 201 MB that gains by batches. peers: the same with JSON,
for 6 s each; MLServer 1.7.1 and LitServe 0.2.19 batch up to 32 rows for 5 ms. Memory is the proportional set size of
all processes of a server after the load."""


if __name__ == "__main__":
    measure_parts("runtime", PARTS, NOTES, sys.argv[1:])
