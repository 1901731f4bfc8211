"""Groups that two splits share: rows of one machine or one person on both sides of a decision."""

from collections.abc import Mapping
from itertools import combinations

import pandas as pd

from deployments.errors import ConfigurationError
from deployments.leaks.exact_duplicates import EXAMPLES, MADE_OF
from deployments.rows import SPLITS, Split, SplitName


def check_groups(splits: Mapping[SplitName, Split], group: str | None) -> None:
    """Check that every row names its group and that no two splits share one; calibration may share those of train.

    `group` is the slice column that every split has, None where rows belong to no group.

    Raises:
        ConfigurationError: a row without a group, or groups in two splits, with counts and examples.
    """
    if group is None:
        return
    values = {name: splits[name].slices[group] for name in SPLITS if name in splits}
    for name, column in values.items():
        if missing := int(column.isna().sum()):
            raise ConfigurationError(
                f"split `{name}`: expected a {group} of every row, which is the workload's `group`, got none in "
                f"{missing:,} of {len(column):,} rows; name it, or give such a row a group of its own"
            )
    found = [said for pair in combinations(values, 2) if pair != MADE_OF and (said := _shared(values, *pair))]
    if found:
        raise ConfigurationError(
            f"expected every {group}, which is the workload's `group`, in one split alone, got {'; '.join(found)}; "
            "divide the rows by their groups in Workload.split"
        )


def _shared(values: Mapping[SplitName, pd.Series], first: SplitName, second: SplitName) -> str:
    ours, theirs = values[first], values[second]
    both = sorted(set(ours) & set(theirs), key=str)
    if not both:
        return ""
    shown = ", ".join(_where(value, values, first, second) for value in both[:EXAMPLES])
    rows = int(theirs.isin(both).sum())
    return f"{len(both):,} in {first} and {second}, with {rows:,} of {len(theirs):,} {second} rows ({shown})"


def _where(value: object, values: Mapping[SplitName, pd.Series], first: SplitName, second: SplitName) -> str:
    places = [int((values[name] == value).to_numpy().argmax()) for name in (first, second)]
    return f"{value}: {first} row {places[0]}, {second} row {places[1]}"
