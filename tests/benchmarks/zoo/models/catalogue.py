"""All architectures by their names."""

from importlib import import_module

from tests.benchmarks.zoo.models.entry import Entry
from tests.benchmarks.zoo.models.from_timm import TIMM, timm
from tests.benchmarks.zoo.models.from_transformers import TRANSFORMERS
from tests.benchmarks.zoo.models.images_by_hand import IMAGES
from tests.benchmarks.zoo.models.sequences_by_hand import SEQUENCES

ENTRIES: dict[str, Entry] = {entry.name: entry for entry in (*TIMM, *TRANSFORMERS, *IMAGES, *SEQUENCES)}


def load_libraries() -> None:
    """Load timm and transformers ahead of the first architecture."""
    timm()  # first, because transformers imports torchvision too
    import_module("transformers.models.bert.modeling_bert")
