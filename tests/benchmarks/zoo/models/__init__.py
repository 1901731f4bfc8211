"""The architectures of the zoo, small and with random weights: from timm, from transformers, and by hand.

`ENTRIES` maps the name of each to its `Entry`, which says what data it is for and builds it.
`load_libraries` loads timm and transformers ahead.
"""

from tests.benchmarks.zoo.models.catalogue import ENTRIES, load_libraries
from tests.benchmarks.zoo.models.entry import Entry

__all__ = ["ENTRIES", "Entry", "load_libraries"]
