"""Rows that stay on disk: arrays that are mapped into memory, read part by part, and never as a whole.

In come arrays or a torch data set; out go arrays of the same values whose pages the system reads when they are asked
for and drops when it needs the memory, and which a model may even change without changing the file.
"""

from deployments.mapped.data_sets import rows_of_data_set
from deployments.mapped.memory_maps import changeable, parts_of

__all__ = ["changeable", "parts_of", "rows_of_data_set"]
