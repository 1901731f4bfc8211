"""The architectures of the zoo, small and with random weights: from timm, from transformers, and by hand.

`ENTRIES` maps the name of each to its `Entry`, which says what data it is for and builds it.
"""

from tests.benchmarks.zoo.models.catalogue import ENTRIES
from tests.benchmarks.zoo.models.entry import Entry

__all__ = ["ENTRIES", "Entry"]
