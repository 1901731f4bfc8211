"""Labels beside points."""

from quality_gates.report.charts.scatter import Box, place_labels

FRAME = Box(0.0, 0.0, 400.0, 300.0)


def test_a_lone_label_stands_to_the_right() -> None:
    (label,) = place_labels(["parent"], [(100.0, 100.0)], [0], FRAME)
    assert label is not None
    assert label.anchor == "start" and label.x > 100.0


def test_a_label_at_the_right_edge_moves_to_the_left() -> None:
    (label,) = place_labels(["parent"], [(390.0, 100.0)], [0], FRAME)
    assert label is not None
    assert label.anchor == "end" and label.x < 390.0


def test_a_label_does_not_cross_an_obstacle() -> None:
    line = Box(230.0, 0.0, 232.0, 300.0)
    (label,) = place_labels(["a long label"], [(200.0, 100.0)], [0], FRAME, [line])
    assert label is not None and label.anchor == "end"
    (free,) = place_labels(["a long label"], [(200.0, 100.0)], [0], FRAME)
    assert free is not None and free.anchor == "start"


def test_what_is_more_important_is_placed_first_and_the_rest_yields() -> None:
    crowd = [(200.0, 100.0 + step) for step in range(0, 12, 2)]
    texts = [f"model {index}" for index in range(len(crowd))]
    labels = place_labels(texts, crowd, [3, 0, 1, 2, 4, 5], FRAME)
    assert labels[3] is not None
    assert None in labels


def test_boxes_that_only_touch_do_not_overlap() -> None:
    assert not Box(0, 0, 10, 10).overlaps(Box(10, 0, 20, 10))
    assert Box(0, 0, 10, 10).overlaps(Box(9, 9, 20, 20))


def test_an_essential_label_crosses_an_obstacle_but_no_other_label_or_point() -> None:
    line = Box(200.0, 0.0, 240.0, 300.0)
    text, place = ["a label that fits on the right only"], [(10.0, 100.0)]
    frame = Box(0.0, 80.0, 420.0, 120.0)
    assert place_labels(text, place, [0], frame, [line]) == [None]
    (label,) = place_labels(text, place, [0], frame, [line], essential=[0])
    assert label is not None and label.anchor == "start"
    assert place_labels([*text, "x"], [*place, (220.0, 100.0)], [0], frame, [line], essential=[0])[0] is None
