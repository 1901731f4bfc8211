"""`make bench-runtime`: serving over HTTP beside direct calls, and beside MLServer and LitServe.

`python -m tests.benchmarks.runtime NAME ...` measures some parts alone. `http` and `peers` need Debian's package wrk.
"""

import sys

from tests.benchmarks.parts import Part, measure_parts, without_table
from tests.benchmarks.runtime import http_peers, http_serving

PARTS: dict[str, Part] = {
    "http": without_table(http_serving.figures),
    "peers": http_peers.part,
}

NOTES = """http: `python -m edge_runtime serve` and wrk on this machine, one row a request, for 8 s; a tiny model,
and one of 17 MB that gains by batches. peers: the same with JSON, for 6 s each; MLServer 1.7.1 and LitServe 0.2.19
batch up to 32 rows for 5 ms. Memory is the proportional set size of all processes of a server after the load."""


if __name__ == "__main__":
    measure_parts("runtime", PARTS, NOTES, sys.argv[1:])
