"""Average precision: Pascal VOC's, by both of its metrics, and COCO's.

VOC counts as the development kit does (Everingham et al. 2010, section 4.2): a class's detections are gone
through from the best to the worst score, each belongs to the object of its class and image that it overlaps
most, and is right if it overlaps it by the threshold and no earlier one did. What belongs to a difficult
object counts neither way. COCO's counting is pycocotools' own, with difficult objects as crowds, its way of
leaving objects out.
"""

import contextlib
import io
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cld.data import Objects

#: Recalls 0, 1/10, ..., 1 at which the metric of 2007 reads the precision.
N_INTERVALS = 10


@dataclass(frozen=True)
class Truth:
    """The M annotated objects of a split.

    Attributes:
        image: int64 (M,), which image.
        label: int64 (M,), 0-based.
        box: float32 (M, 4), left, top, right, bottom in pixels, right and bottom exclusive.
        difficult: bool (M,): finding it counts neither for nor against.
    """

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    difficult: np.ndarray

    @classmethod
    def of_objects(cls, objects: Objects) -> "Truth":
        """All objects of a store's split."""
        image = np.repeat(np.arange(len(objects.offsets) - 1), np.diff(objects.offsets))
        return cls(image, objects.labels, objects.boxes, objects.difficult.astype(bool))


@dataclass(frozen=True)
class Detections:
    """N detected boxes: fields of :class:`Truth`, and ``score`` float (N,). Of equals the first leads."""

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray


def voc_average_precision(
    detections: Detections, truth: Truth, n_classes: int, threshold: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision by the two metrics of Pascal VOC.

    Args:
        n_classes: C.
        threshold: least intersection over union of a right detection, itself included as in the devkit.

    Returns:
        by class, each float64 (C,) in 0..1, NaN where no object of the class counts: the metric of 2007, the
        mean at eleven recalls, and that since 2010, the area under the curve.
    """
    overlap, index = best_overlaps(detections, truth)
    points, area = np.full((2, n_classes), np.nan)
    for label in range(n_classes):
        n_objects = int(((truth.label == label) & ~truth.difficult).sum())
        if not n_objects:
            continue
        own = np.flatnonzero(detections.label == label)
        own = own[np.argsort(-detections.score[own], kind="stable")]
        is_found = overlap[own] >= threshold
        own, is_found = (values[~(is_found & truth.difficult[index[own]])] for values in (own, is_found))
        right = np.zeros(len(own), dtype=bool)
        found = np.flatnonzero(is_found)
        right[found[np.unique(index[own[found]], return_index=True)[1]]] = True
        n_right = np.cumsum(right)
        precision = n_right / np.arange(1, len(own) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]  # the best precision at no less a recall
        area[label] = envelope[right].sum() / n_objects
        # in whole numbers: 3 of 10 objects are a recall of 0.3, whatever floating point says
        places = np.searchsorted(N_INTERVALS * n_right, np.arange(N_INTERVALS + 1) * n_objects)
        points[label] = np.append(envelope, 0.0)[places].mean()
    return points, area


def best_overlaps(detections: Detections, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """The object of its class and image that each detection overlaps most; of equals the first.

    Returns:
        intersection over union, float64 (N,), and the object's row in ``truth``, int64 (N,); where the image
        has no object of the class, -1 and the last row.
    """
    n_labels = 1 + max(truth.label.max(initial=0), detections.label.max(initial=0))
    theirs, ours = (boxes.image * n_labels + boxes.label for boxes in (truth, detections))
    order = np.argsort(theirs, kind="stable")
    start, stop = (np.searchsorted(theirs[order], ours, side=side) for side in ("left", "right"))
    count = stop - start
    first = np.cumsum(count) - count  # where a detection's pairs begin
    detection = np.repeat(np.arange(len(ours)), count)
    object_ = order[np.arange(count.sum()) - np.repeat(first - start, count)]
    overlap = _overlap(detections.box[detection].astype(float), truth.box[object_].astype(float))
    best, index = np.full(len(ours), -1.0), np.full(len(ours), -1)
    if len(overlap):
        ranked = np.lexsort((np.arange(len(overlap)), -overlap, detection))
        some = count > 0
        pair = ranked[first[some]]
        best[some], index[some] = overlap[pair], object_[pair]
    return best, index


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union (P,) of pairs of boxes (P, 4)."""
    sides = (np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])).clip(0)
    intersection = sides.prod(axis=1)
    return intersection / (_area(a) + _area(b) - intersection)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def coco_average_precision(
    detections: Detections, truth: Truth, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision as pycocotools counts it: objects of any size, the best 100 detections an image.

    Returns:
        by class, each float64 (C,) in 0..1, NaN where no object of the class counts: the mean over thresholds
        0.5, 0.55, ..., 0.95, which is COCO's AP, and that at 0.75.
    """
    images = np.union1d(truth.image, detections.image)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its timings
        evaluation = COCOeval(
            _coco(truth, images, n_classes, iscrowd=truth.difficult),
            _coco(detections, images, n_classes, score=detections.score),
            "bbox",
        )
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # thresholds, recalls, classes
    precision = np.where(precision < 0, np.nan, precision).mean(axis=1)
    return precision.mean(axis=0), precision[np.isclose(evaluation.params.iouThrs, 0.75)][0]


def _coco(boxes: Truth | Detections, images: np.ndarray, n_classes: int, **facts: np.ndarray) -> COCO:
    """Boxes as pycocotools takes them, ``facts`` as further keys; numbers begin with 1, as 0 is none."""
    box = boxes.box.astype(float)
    columns = {
        "id": range(1, len(box) + 1),
        "image_id": boxes.image.tolist(),
        "category_id": (boxes.label + 1).tolist(),
        "bbox": np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1).tolist(),
        "area": _area(box).tolist(),
        "iscrowd": [0] * len(box),
    } | {name: values.tolist() for name, values in facts.items()}
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in images.tolist()],
        "categories": [{"id": label} for label in range(1, n_classes + 1)],
        "annotations": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
    }
    coco.createIndex()
    return coco
