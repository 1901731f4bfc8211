"""Shadows: a bundle beside the one that serves, asked for a share of its requests; nobody gets its answers.

A `ModelShadow` belongs to one model of a process. It follows what the device's store names, or what a program asked
for, loads it where memory allows, and compares. No request fails by it or waits for it: it runs in a thread of the
lowest priority, and begins while the version that serves has nothing to do.
"""

from edge_runtime.serving.shadows.model_shadow import MOST_FAILURES, ModelShadow
from edge_runtime.serving.shadows.row_comparison import RowComparison, compare_rows

__all__ = ["MOST_FAILURES", "ModelShadow", "RowComparison", "compare_rows"]
