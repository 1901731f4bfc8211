"""All architectures by their names."""

from tests.benchmarks.zoo.models.entry import Entry
from tests.benchmarks.zoo.models.from_timm import TIMM
from tests.benchmarks.zoo.models.from_transformers import TRANSFORMERS
from tests.benchmarks.zoo.models.images_by_hand import IMAGES
from tests.benchmarks.zoo.models.sequences_by_hand import SEQUENCES

ENTRIES: dict[str, Entry] = {entry.name: entry for entry in (*TIMM, *TRANSFORMERS, *IMAGES, *SEQUENCES)}
