"""TODO."""

from quality_gates.report.charts.bars import LimitPicture, limit_picture, limit_value
from quality_gates.report.charts.intervals import (
    IntervalAxis,
    IntervalPicture,
    interval_axis,
    interval_picture,
    is_drawable,
)
from quality_gates.report.charts.scatter import frontier_picture
from quality_gates.report.charts.timeline import history_pictures

__all__ = [
    "IntervalAxis",
    "IntervalPicture",
    "LimitPicture",
    "frontier_picture",
    "history_pictures",
    "interval_axis",
    "interval_picture",
    "is_drawable",
    "limit_picture",
    "limit_value",
]
