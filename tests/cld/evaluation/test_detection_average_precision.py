"""VOC's average precision against a transcription of the devkit, and both kinds against pycocotools."""

import contextlib
import io
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cld.evaluation.detection.average_precision import (
    Detections,
    Truth,
    coco_average_precision,
    voc_average_precision,
)
from cld.evaluation.detection.scoring import count

N_CLASSES = 3


def truth(*objects):
    """Objects (image, label, box, difficult)."""
    image, label, box, difficult = zip(*objects, strict=True)
    return Truth(np.array(image), np.array(label), np.array(box, np.float32), np.array(difficult, bool))


def detections(*found):
    """Detections (image, label, box, score)."""
    image, label, box, score = zip(*found, strict=True) if found else ([], [], np.zeros((0, 4)), [])
    return Detections(
        np.array(image, int), np.array(label, int), np.array(box, np.float32), np.array(score, float)
    )


def overlap(a, b):
    """Intersection over union of two boxes of whole pixels, exactly."""
    a, b = ([int(side) for side in box] for box in (a, b))
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return Fraction(both, sum(areas) - both)


def devkit(found, real, label, threshold):
    """VOCevaldet.m and its two metrics for one class, step by step; None where no object counts."""
    objects = [i for i in range(len(real.label)) if real.label[i] == label]
    n = sum(not real.difficult[i] for i in objects)
    if n == 0:
        return None
    order = sorted(
        (i for i in range(len(found.label)) if found.label[i] == label), key=lambda i: -found.score[i]
    )
    taken, right, curve = set(), 0, []  # curve: recall and precision after each detection that counts
    n_counted = 0
    for i in order:
        best, match = Fraction(-1), None
        for j in objects:
            if real.image[j] == found.image[i] and overlap(found.box[i], real.box[j]) > best:
                best, match = overlap(found.box[i], real.box[j]), j
        if best >= threshold and real.difficult[match]:
            continue
        n_counted += 1
        if best >= threshold and match not in taken:
            taken.add(match)
            right += 1
        curve.append((Fraction(right, n), Fraction(right, n_counted)))
    points = sum(max((p for r, p in curve if r >= Fraction(t, 10)), default=0) for t in range(11)) / Fraction(
        11
    )
    area, last = Fraction(0), Fraction(0)
    for recall, _ in curve:
        area += (recall - last) * max(p for r, p in curve if r >= recall)
        last = recall
    return float(points), float(area)


coordinates = st.tuples(*[st.integers(0, 5)] * 2, *[st.integers(1, 4)] * 2).map(
    lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3])
)
places = st.tuples(st.integers(0, 2), st.integers(0, 1), coordinates)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(places, st.booleans()), min_size=1, max_size=12),
    st.lists(st.tuples(places, st.sampled_from([0.1, 0.5, 0.9])), max_size=20),
    st.sampled_from([(1, 2), (3, 4), (9, 10)]),
)
def test_voc_counts_as_the_devkit(objects, found, threshold):
    real = truth(*((*place, difficult) for place, difficult in objects))
    ours = detections(*((*place, score) for place, score in found))
    points, area = voc_average_precision(ours, real, N_CLASSES, threshold[0] / threshold[1])
    for label in range(N_CLASSES):
        expected = devkit(ours, real, label, Fraction(*threshold))
        if expected is None:
            assert np.isnan(points[label]) and np.isnan(area[label])
        else:
            assert (points[label], area[label]) == pytest.approx(expected)


def pycocotools_results(real, found):
    """COCO's evaluation through its result files' format."""
    images = sorted({*real.image.tolist(), *found.image.tolist()})
    boxes = [[float(v) for v in (b[0], b[1], b[2] - b[0], b[3] - b[1])] for b in real.box]
    annotated = COCO()
    annotated.dataset = {
        "info": {},
        "images": [{"id": i} for i in images],
        "categories": [{"id": label} for label in range(N_CLASSES)],
        "annotations": [
            {"id": i + 1, "image_id": int(real.image[i]), "category_id": int(real.label[i]), "bbox": box}
            | {"area": box[2] * box[3], "iscrowd": int(real.difficult[i])}
            for i, box in enumerate(boxes)
        ],
    }
    annotated.createIndex()
    results = np.concatenate(
        [
            found.image[:, None],
            found.box[:, :2],
            found.box[:, 2:] - found.box[:, :2],
            found.score[:, None],
            found.label[:, None],
        ],
        axis=1,
    )
    return COCOeval(annotated, annotated.loadRes(results.astype(float)), "bbox")


@pytest.mark.parametrize("seed", range(6))
def test_coco_is_pycocotools_with_difficult_objects_as_crowds(seed):
    """Shifted copies of objects, and boxes that no object is near; one class has no object that counts."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 60, (20, 2))
    boxes = np.concatenate([corners, corners + rng.integers(10, 40, (20, 2))], axis=1)
    labels, difficult = rng.integers(0, 2, 20), rng.random(20) < 0.3
    labels[0], difficult[0] = 2, True
    real = truth(*zip(rng.integers(0, 4, 20), labels, boxes, difficult, strict=True))
    shifted = boxes + rng.integers(-4, 5, (20, 4))
    found = [(real.image, labels, shifted), (rng.integers(0, 6, 20), labels, boxes)]
    image, label, box = map(np.concatenate, zip(*found, strict=True))
    ours = detections(*zip(image, label, box, rng.permutation(40) / 40, strict=True))
    with contextlib.redirect_stdout(io.StringIO()):
        reference = pycocotools_results(real, ours)
        reference.evaluate()
        reference.accumulate()
    expected = reference.eval["precision"][:, :, :2, 0, -1].mean(axis=1)
    mean, at_75 = coco_average_precision(ours, real, N_CLASSES)
    assert np.isnan(mean[2]) and np.isnan(at_75[2])
    np.testing.assert_allclose(mean[:2], expected.mean(axis=0))
    np.testing.assert_allclose(at_75[:2], expected[5])
    assert 0.1 < expected[0, 0] < 1


def detectron2(found, real, label, threshold):
    """Detectron2's ``voc_eval`` for one class: its boxes of whole pixels, both ends included, from 1 on."""
    objects = np.flatnonzero(real.label == label)
    boxes, taken, right = real.box + np.array([1, 1, 0, 0]), np.zeros(len(real.label), bool), []
    for i in sorted(np.flatnonzero(found.label == label), key=lambda i: -found.score[i]):
        box = found.box[i] + np.array([1, 1, 0, 0])
        overlaps = {}
        for j in objects[real.image[objects] == found.image[i]]:
            width, height = np.minimum(boxes[j, 2:], box[2:]) - np.maximum(boxes[j, :2], box[:2]) + 1
            both = max(width, 0) * max(height, 0)
            overlaps[j] = both / (
                np.prod(box[2:] - box[:2] + 1) + np.prod(boxes[j, 2:] - boxes[j, :2] + 1) - both
            )
        best = max(overlaps, key=overlaps.get, default=None)
        if best is not None and overlaps[best] > threshold:
            if real.difficult[best]:
                continue
            right.append(not taken[best])
            taken[best] = True
        else:
            right.append(False)
    recall = np.cumsum(right) / (~real.difficult[objects]).sum()
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return np.mean([precision[recall >= t].max(initial=0) for t in np.arange(0, 1.1, 0.1)])


@pytest.mark.parametrize("seed", range(4))
def test_ap50_and_ap_are_those_of_detectron2s_voc_evaluator(seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(range(N_CLASSES), [7, 11, 13])  # no number whose recalls meet the eleven points
    corners = rng.integers(0, 60, (31, 2))
    boxes = np.concatenate([corners, corners + rng.integers(10, 40, (31, 2))], axis=1)
    difficult = np.isin(np.arange(31), [7, 8, 9, 10])  # of 11 objects
    real = truth(*zip(rng.integers(0, 4, 31), labels, boxes, difficult, strict=True))
    image, label = np.tile(real.image, 2), np.tile(labels, 2)
    box = np.tile(boxes, (2, 1)) + rng.normal(0, 3, (62, 4))
    ours = detections(*zip(image, label, box, rng.permutation(62) / 62, strict=True))
    metrics = count(ours, real, ["a", "b", "c"])["metrics"]
    by_threshold = [
        100 * np.mean([detectron2(ours, real, c, at / 100) for c in range(N_CLASSES)])
        for at in range(50, 100, 5)
    ]
    assert metrics["ap50_07"] == pytest.approx(by_threshold[0], abs=1e-4)
    assert metrics["ap_07"] == pytest.approx(np.mean(by_threshold), abs=1e-4)
    assert 10 < metrics["ap_07"] < metrics["ap50_07"] < 95


def test_without_detections_every_precision_is_0():
    real = truth((0, 0, (0, 0, 20, 20), False))
    for average_precision in (voc_average_precision, coco_average_precision):
        assert not np.nansum(average_precision(detections(), real, N_CLASSES))


def test_three_of_ten_objects_are_a_recall_of_three_tenths():
    real = [(image, 0, (0, 0, 10 + image, 20), False) for image in range(10)]
    found = [(*thing[:3], 0.9) for thing in real[:3]]
    points, area = voc_average_precision(detections(*found), truth(*real), 1)
    assert points[0] == pytest.approx(4 / 11)  # recalls 0, 0.1, 0.2 and 0.3
    assert area[0] == pytest.approx(0.3)
