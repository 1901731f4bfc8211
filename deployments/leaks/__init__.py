"""Leaks: rows and groups that two splits share, so that a model is judged by what it was made with.

Splits come in; out go the rows that are exactly the same, found by a digest of their inputs, the rows that are nearly
the same, found by a hash of pictures and of texts, and errors with counts and examples. A sketch of a split's rows is
small enough to be kept, and is compared with that of a later split. The cost is linear in rows.
"""

from deployments.leaks.exact_duplicates import (
    LEAKS,
    SharedRows,
    check_shared_rows,
    row_digests,
    rows_not_in,
    shared_rows,
)
from deployments.leaks.near_duplicates import NearRows, near_rows
from deployments.leaks.row_sketch import RowSketch, sketch_of
from deployments.leaks.shared_groups import check_groups

__all__ = [
    "LEAKS",
    "NearRows",
    "RowSketch",
    "SharedRows",
    "check_groups",
    "check_shared_rows",
    "near_rows",
    "row_digests",
    "rows_not_in",
    "shared_rows",
    "sketch_of",
]
