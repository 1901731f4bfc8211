"""A metric as users write one."""

import pandas as pd


def share_of_wrong_rows(rows: pd.DataFrame) -> float:
    """Lower is better."""
    return float((rows["score"] == 0).mean())
