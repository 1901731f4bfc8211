"""Pictures of the report: the coordinates of what the templates draw, and thumbnails of image rows.

Facts of the report come in (`report.content`, `report.quantities`, and nothing else of the report); what goes out are
frozen records of coordinates and labels, so that the templates compute nothing.
"""

from quality_gates.report.charts.gate_pictures import (
    IntervalAxis,
    IntervalPicture,
    LimitPicture,
    interval_axis,
    interval_picture,
    is_drawable,
    limit_picture,
    limit_value,
)
from quality_gates.report.charts.heat_map import confusion_picture
from quality_gates.report.charts.scatter import frontier_picture
from quality_gates.report.charts.thumbnails import ThumbnailError, png_base64
from quality_gates.report.charts.timeline import history_pictures

__all__ = [
    "IntervalAxis",
    "IntervalPicture",
    "LimitPicture",
    "ThumbnailError",
    "confusion_picture",
    "frontier_picture",
    "history_pictures",
    "interval_axis",
    "interval_picture",
    "is_drawable",
    "limit_picture",
    "limit_value",
    "png_base64",
]
