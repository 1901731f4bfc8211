"""Libraries that the processes of the zoo have loaded before they are told their architecture."""

from tests.benchmarks.zoo.measured import one_row, quantized_training, times
from tests.benchmarks.zoo.models import load_libraries

__all__ = ["one_row", "quantized_training", "times"]

load_libraries()
