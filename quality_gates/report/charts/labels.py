"""Labels beside points that neither cover a point nor each other."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

# Sized for the larger lettering of a narrow screen, so that what fits there fits everywhere.
CHARACTER_WIDTH = 11.0
LINE_HEIGHT = 20.0
POINT_RADIUS = 12.0
OFFSET = 16.0


@dataclass(frozen=True)
class Box:
    """A rectangle in picture units."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share any area."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def within(self, frame: "Box") -> bool:
        """Whether this lies wholly inside of the frame."""
        across = self.left >= frame.left and self.right <= frame.right
        return across and self.top >= frame.top and self.bottom <= frame.bottom


@dataclass(frozen=True)
class Label:
    """Where a label's baseline starts, ends or centres, by its SVG text-anchor."""

    x: float
    y: float
    anchor: Literal["start", "middle", "end"]


def place_labels(
    texts: Sequence[str],
    places: Sequence[tuple[float, float]],
    order: Sequence[int],
    frame: Box,
    obstacles: Sequence[Box] = (),
    essential: Collection[int] = (),
) -> list[Label | None]:
    """Greedy placement in the given order of importance; None for a label that fits on no side of its point.

    An essential one rather crosses an obstacle than being left out.
    """
    taken = [_around(x, y) for x, y in places]
    labels: list[Label | None] = [None] * len(texts)
    for index in order:
        options = [(label, box) for label, box in _options(texts[index], *places[index]) if box.within(frame)]
        found = _free(options, [*obstacles, *taken])
        if found is None and index in essential:
            found = _free(options, taken)
        if found is not None:
            labels[index] = found[0]
            taken.append(found[1])
    return labels


def _free(options: Sequence[tuple[Label, Box]], taken: Sequence[Box]) -> tuple[Label, Box] | None:
    return next((option for option in options if not any(option[1].overlaps(other) for other in taken)), None)


def _around(x: float, y: float) -> Box:
    return Box(x - POINT_RADIUS, y - POINT_RADIUS, x + POINT_RADIUS, y + POINT_RADIUS)


def _options(text: str, x: float, y: float) -> list[tuple[Label, Box]]:
    width, half = len(text) * CHARACTER_WIDTH, LINE_HEIGHT / 2
    baseline = y + LINE_HEIGHT * 0.28
    above, below = y - OFFSET - LINE_HEIGHT, y + OFFSET
    return [
        (Label(x + OFFSET, baseline, "start"), Box(x + OFFSET, y - half, x + OFFSET + width, y + half)),
        (Label(x - OFFSET, baseline, "end"), Box(x - OFFSET - width, y - half, x - OFFSET, y + half)),
        (
            Label(x, above + LINE_HEIGHT * 0.75, "middle"),
            Box(x - width / 2, above, x + width / 2, above + LINE_HEIGHT),
        ),
        (
            Label(x, below + LINE_HEIGHT * 0.75, "middle"),
            Box(x - width / 2, below, x + width / 2, below + LINE_HEIGHT),
        ),
    ]
