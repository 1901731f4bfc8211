"""`make bench-family`: four tasks on one backbone beside four models compressed apart, and an update of one head.

`python -m tests.benchmarks.family NAME ...` measures some parts alone. Parents are trained once. A compression that has
ended is kept, so that what was interrupted goes on behind it; one that was interrupted begins anew, as it is timed.
"""

import sys

from tests.benchmarks.family import beside_members, new_head
from tests.benchmarks.parts import Part, measure_parts

PARTS: dict[str, Part] = {"members": beside_members.part, "update": new_head.part}

NOTES = """members: the shipped family of Fashion-MNIST, and its members as four models of their own. All five are
compressed by `edgewright compress` with the settings of the family's recipe, for its device with the smallest budget of
size; the losses of single layers, which are measured after a release, are left out. Accuracies are of the published
files on the 5,000 test rows of each task. Times are medians of a row, taken in turns, each model in a process of its
own; those of the four models are added up. Memory is private memory of a process that has loaded what a device has
installed and has answered once, less that of a process that has loaded nothing; medians of 5. The time of a compression
is that of the command, with `family compose` for the family. update: the head of one member is trained further on the
backbone's features, and registered as the next version of that member. The family is composed and compressed again, and
`python -m edge_runtime update` fetches it from a server on this machine, with its metadata, while
`python -m edge_runtime serve` answers a client that asks without a pause."""


if __name__ == "__main__":
    measure_parts("family", PARTS, NOTES, sys.argv[1:])
