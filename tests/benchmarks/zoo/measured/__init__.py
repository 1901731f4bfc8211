"""The steps of one architecture of the zoo, in a process of its own.

`one_row` takes it through the pipeline's steps and through the peers, and writes a journal after each step, so that a
kill tells the step. `times` measures the files that this left, alone on the machine. `quantized_training` trains its
model.
"""

from tests.benchmarks.zoo.measured.files import FLOAT, JOURNAL, SNAPSHOT, TIMES, TRAINED

__all__ = ["FLOAT", "JOURNAL", "SNAPSHOT", "TIMES", "TRAINED"]
