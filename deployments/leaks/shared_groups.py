"""Groups that two splits share: rows of one machine or one person on both sides of a decision."""

from collections.abc import Hashable, Mapping
from itertools import combinations

import pandas as pd

from deployments.errors import ConfigurationError
from deployments.leaks.exact_duplicates import MADE_OF, listed
from deployments.rows import SPLITS, Split, SplitName
from quality_gates.evidence import group_name

SHOWN = 2  # groups of two splits


def check_groups(splits: Mapping[SplitName, Split], group: str | None) -> None:
    """Check that every row names its group and that no two splits share one; calibration may share those of train.

    `group` is the slice column that every split has, None where rows belong to no group. Groups are told apart by their
    text, without the space around it.

    Raises:
        ConfigurationError: a row without a group, or groups in two splits, with counts and examples.
    """
    if group is None:
        return
    values = {name: _named(name, splits[name].slices[group], group) for name in SPLITS if name in splits}
    found = [said for pair in combinations(values, 2) if pair != MADE_OF and (said := _shared(values, *pair))]
    if found:
        raise ConfigurationError(
            f"expected every {group}, which is the workload's `group`, in one split alone, got {listed(found)}; "
            "divide the rows by their groups in Workload.split"
        )


def _named(split: SplitName, column: pd.Series, group: str) -> pd.Series:
    """Return the names of a split's groups. Raises ConfigurationError for a row without one, or with a list for one."""
    if missing := int(column.isna().sum()):
        raise ConfigurationError(
            f"split `{split}`: expected a {group} of every row, which is the workload's `group`, got none in "
            f"{missing:,} of {len(column):,} rows; name it, or give such a row a group of its own"
        )
    for row, value in enumerate(column):
        if not isinstance(value, Hashable) or isinstance(value, tuple | frozenset):
            raise ConfigurationError(
                f"split `{split}`: expected a text or a number as the {group} of every row, which is the workload's "
                f"`group`, got a {type(value).__name__} in row {row}; give each row the name of its group"
            )
    return column.map(group_name)


def _shared(values: Mapping[SplitName, pd.Series], first: SplitName, second: SplitName) -> str:
    ours, theirs = values[first], values[second]
    both = sorted(set(ours) & set(theirs))
    if not both:
        return ""
    shown = ", ".join(_where(value, values, first, second) for value in both[:SHOWN])
    rows = int(theirs.isin(both).sum())
    return f"{len(both):,} in {first} and {second}, with {rows:,} of {len(theirs):,} {second} rows ({shown})"


def _where(value: str, values: Mapping[SplitName, pd.Series], first: SplitName, second: SplitName) -> str:
    places = [int((values[name] == value).to_numpy().argmax()) for name in (first, second)]
    return f"{value}: {first} row {places[0]}, {second} row {places[1]}"
