"""Boxes in pixel coordinates: 0-based edges, right and bottom exclusive, so width = right − left."""

from typing import NamedTuple


class Box(NamedTuple):
    """Edges of a box; a whole pixel column c spans c to c + 1."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        """Area in square pixels; 0 where an edge has passed its opposite."""
        return max(self.width, 0.0) * max(self.height, 0.0)


def from_voc(xmin: float, ymin: float, xmax: float, ymax: float) -> Box:
    """Box of 1-based inclusive coordinates (Pascal VOC, MATLAB)."""
    return Box(xmin - 1, ymin - 1, xmax, ymax)


def clip(box: Box, width: int, height: int) -> Box:
    """The part of ``box`` inside a frame; its area is 0 where there is none."""
    return Box(max(box.left, 0.0), max(box.top, 0.0), min(box.right, width), min(box.bottom, height))


def iou(a: Box, b: Box) -> float:
    """Intersection over union, in 0..1."""
    overlap = Box(max(a.left, b.left), max(a.top, b.top), min(a.right, b.right), min(a.bottom, b.bottom)).area
    union = a.area + b.area - overlap
    return overlap / union if union > 0 else 0.0


def crop_region(box: Box, width: int, height: int, context: float, fit: str) -> Box:
    """The region of the frame that becomes a crop: inside the frame, and holding the box's part there.

    Args:
        box: the annotated box; it must overlap the frame of ``width`` × ``height`` pixels.
        context: margin added on each side, as a share of the box's side.
        fit: ``"stretch"`` takes the box as it is; ``"square"`` widens its shorter side to the longer one, so
            that resizing keeps the proportions; at the frame's border the square moves inwards, and it is cut
            only where the frame is smaller than the square.
    """
    box = clip(box, width, height)
    margin_x, margin_y = box.width * context, box.height * context
    left, right = box.left - margin_x, box.right + margin_x
    top, bottom = box.top - margin_y, box.bottom + margin_y
    if fit == "square":
        side = max(right - left, bottom - top)
        left, right = _widen(left, right, side, width)
        top, bottom = _widen(top, bottom, side, height)
    return clip(Box(left, top, right, bottom), width, height)


def _widen(low: float, high: float, side: float, limit: int) -> tuple[float, float]:
    """Widen an interval to ``side`` about its middle, then move it into 0..limit as far as it fits."""
    spare = (side - (high - low)) / 2
    low, high = low - spare, high + spare
    shift = max(-low, 0.0) if low < 0 else min(limit - high, 0.0)
    return low + shift, high + shift
