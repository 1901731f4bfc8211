"""Rows that stay on disk: arrays that are mapped into memory, read part by part, and never as a whole.

In come arrays or a torch data set; out go arrays of the same values whose pages the system reads when they are asked
for and drops when it needs the memory, and which a model may even change without changing the file. What a model
answers to all rows goes to such a file part by part, and is scored part by part.
"""

from deployments.mapped.data_sets import rows_of_data_set
from deployments.mapped.memory_maps import changeable, parts_of
from deployments.mapped.part_outputs import MOST_BYTES, answered_at_once, outputs_in_parts, write_outputs

__all__ = [
    "MOST_BYTES",
    "answered_at_once",
    "changeable",
    "outputs_in_parts",
    "parts_of",
    "rows_of_data_set",
    "write_outputs",
]
