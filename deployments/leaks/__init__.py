"""Leaks: rows and groups that two splits share, so that a model is judged by what it was made with.

Splits come in; out go the rows that are exactly the same, found by a digest of their inputs, the rows that are nearly
the same, found by a hash of pictures and of texts, and errors with counts and examples. The cost is linear in rows.
"""

from deployments.leaks.exact_duplicates import SharedRows, check_shared_rows, rows_not_in, shared_rows
from deployments.leaks.near_duplicates import NearRows, near_rows
from deployments.leaks.shared_groups import check_groups

__all__ = [
    "NearRows",
    "SharedRows",
    "check_groups",
    "check_shared_rows",
    "near_rows",
    "rows_not_in",
    "shared_rows",
]
