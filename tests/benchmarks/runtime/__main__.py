"""`make bench-runtime`: weights that processes share, loading, importing, batches, hot swaps, heads and HTTP.

`python -m tests.benchmarks.runtime NAME ...` measures some parts alone. `sharing` needs root for its memory limit;
`http` and `peers` need Debian's package wrk.
"""

import sys

from tests.benchmarks.parts import Part, measure_parts, without_table
from tests.benchmarks.runtime import (
    batching,
    heads,
    http_peers,
    http_serving,
    importing,
    loading,
    sharing,
    swapping,
)

PARTS: dict[str, Part] = {
    "sharing": without_table(sharing.figures),
    "loading": without_table(loading.figures),
    "importing": without_table(importing.figures),
    "batching": batching.gaining,
    "one_by_one": batching.one_by_one,
    "swapping": without_table(swapping.figures),
    "heads": without_table(heads.figures),
    "http": without_table(http_serving.figures),
    "peers": http_peers.part,
}

NOTES = """sharing: 4 processes of an installed model, beside 4 of plain ONNX Runtime with that file and one thread. The
PSS of 4 processes that have imported the same and loaded nothing is taken off. Under the memory limit, a control group
holds the 4 processes, which start one after the other and answer once. loading: from the call that loads to the first
answer, each in a fresh process whose imports are done, in turns, medians. importing: CPU time of the imports, in turns,
medians. batching, one_by_one: 12 products of 2048 x 2048 (201 MB) and 6 convolutions, one thread. Requests
of one row come at random times, and their times count from when each was to be sent. A load of 1x is what the session
answers one by one. swapping: a model of 6 MB in a process of its own. The same load without swaps and with one every
half second, then 1,000 swaps with a request to each version. heads: 10 convolutions of 256 channels with four heads of
two layers, and four models of the same graphs, installed on one device. Times are of all four answers to one row, in
turns in one process, medians. Memory is of a process that has answered once, less that of one which has loaded nothing.
The update is fetched by the real agent from a server on this machine, with its metadata.
http: `python -m edge_runtime serve` and wrk on this
machine, one row a request, for 8 s; a tiny model, and one of 201 MB that gains by batches. peers: the same with JSON,
for 6 s each; MLServer 1.7.1 and LitServe 0.2.19 batch up to 32 rows for 5 ms. Memory is the proportional set size of
all processes of a server after the load."""


if __name__ == "__main__":
    measure_parts("runtime", PARTS, NOTES, sys.argv[1:])
