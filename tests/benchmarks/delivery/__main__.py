"""`make bench-delivery`: updates over a network, the time of an install, deltas of a retrained model, and power cuts.

`python -m tests.benchmarks.delivery NAME ...` measures some parts alone. `cuts` needs root and Debian packages.
"""

import sys

from tests.benchmarks.delivery import install_time, network, power_cuts, retrained
from tests.benchmarks.parts import Part, measure_parts, without_table

PARTS: dict[str, Part] = {
    "network": without_table(network.figures),
    "install": without_table(install_time.figures),
    "retrained": retrained.measured,
    "cuts": power_cuts.part,
}

NOTES = """network: `python -m edge_runtime update` and a server on this machine, a bundle of 100 MB; it is killed at
ten random bytes, and private memory is the highest of the agent's own process. install: 7 installs and 7 copies of the
same 100 MB in turns, medians. retrained: the demo's digit classifier, trained further and published for one device;
the table has the share of the bundle's bytes that a device fetches which has the release before. cuts: each is a copy
of the disk at one instant, mounted again; see tests/power_cuts."""


if __name__ == "__main__":
    measure_parts("delivery", PARTS, NOTES, sys.argv[1:])
