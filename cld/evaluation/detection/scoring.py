"""The protocol: fine-tune a run's network as a detector, and score and show what it detects."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torchvision.models.detection import FasterRCNN

from cld.data import read_info
from cld.data.epoch_sampler import rank_slice
from cld.evaluation.detection.average_precision import (
    Detections,
    Truth,
    coco_average_precision,
    voc_average_precision,
)
from cld.evaluation.detection.data import AnnotatedImages
from cld.evaluation.detection.model import build_detector, require_stages
from cld.evaluation.detection.pictures import save_pictures
from cld.evaluation.detection.training import fine_tune
from cld.evaluation.protocol_names import partial_path
from cld.evaluation.scored_run import load_scored_run
from cld.runtime.distributed import all_gather_objects, rank
from cld.runtime.errors import InputError
from cld.runtime.progress import progress
from cld.training.resumable import Resumable
from cld.training.run_id import run_id

#: Images that are decoded or under way before they are needed.
AHEAD = 8


def score_detection(
    store: str, settings: Mapping, checkpoint: str, device_name: str | None = None, *, score: str | Path
) -> dict | None:
    """Average precision of Faster R-CNN, fine-tuned from a run's backbone (supplement, section 2, item 4).

    Beside the score's file ``x.json`` lie ``x.partial.pt``, from which a stopped fine-tuning resumes, and at
    the end the pictures ``x.png``. Every process that torchrun has started calls this, and the first one
    writes.

    Args:
        store: a store with objects: splits ``train``, to learn from, and ``split``, to be scored.
        score: the score's file, which the caller writes; it then removes the partial checkpoint.

    Returns:
        The score; in all processes but the first, None.
    """
    info = read_info(store)
    train, test = (AnnotatedImages(store, split, info) for split in ("train", settings["split"]))
    settings = {**settings, "schedule": _schedule(settings, info.dataset)}
    run = load_scored_run(store, checkpoint, device_name)
    backbone, config = run.encoder.backbone, run.config
    require_stages(backbone, checkpoint)

    torch.manual_seed(config["seed"])
    detector = build_detector(backbone, len(info.classes), settings, info.mean, info.std, run.device)
    resumable = Resumable(partial_path(score), run.subject(settings), config["checkpoint_every_s"])
    fine_tune(detector, train, settings, config, resumable)
    detections = detect(detector, test, settings, config["workers"], run.device)
    if rank():
        return None

    save_pictures(Path(score).with_suffix(".png"), test, detections, info, run_id(config))
    return run.score(settings, **count(detections, test.truth, info.classes))


def _schedule(settings: Mapping, dataset: str) -> Mapping:
    schedules = settings["schedule"]
    if dataset not in schedules:
        raise InputError(
            f"config/evaluation.yaml: detection.schedule has no key '{dataset}', only "
            f"{', '.join(schedules)}; add one with iterations and steps, or name another store"
        )
    return schedules[dataset]


@torch.inference_mode()
def detect(
    detector: FasterRCNN, images: AnnotatedImages, settings: Mapping, workers: int | str, device: torch.device
) -> Detections:
    """What a detector finds on every image of a split, one at a time: no image depends on its neighbours.

    Each process looks at its share of the images, and has what all found.
    """
    detector.eval().transform.min_size = (settings["scales"]["test"],)
    rows, found = range(len(images))[rank_slice(len(images))], []
    with (
        images.decoded(rows, workers, AHEAD, device) as pixels,
        progress("detect", len(rows), "images", shown=rank() == 0) as bar,
    ):
        for image in pixels:
            (one,) = detector([image])
            found.append({name: values.cpu().numpy() for name, values in one.items()})
            bar.advance()
    found = list(chain.from_iterable(all_gather_objects(found)))
    return Detections(
        np.repeat(np.arange(len(found)), [len(one["scores"]) for one in found]),
        np.concatenate([one["labels"] for one in found]) - 1,
        np.concatenate([one["boxes"] for one in found]),
        np.concatenate([one["scores"] for one in found]),
    )


def count(detections: Detections, truth: Truth, classes: Sequence[str]) -> dict:
    """The ``metrics`` of a score, in percent, and the ``details`` that explain them.

    ``ap50_07`` and ``ap50`` are VOC's, of 2007 (11 points) and since 2010 (area); ``ap`` and ``ap75`` COCO's.
    ``ap_07`` is the mean of 2007's metric over COCO's thresholds. ``ap50_07`` and ``ap_07`` are what
    Detectron2's Pascal VOC evaluator calls AP50 and AP on VOC 2007, and so what MoCo's numbers are.
    """
    n_classes = len(classes)
    ap, ap75 = coco_average_precision(detections, truth, n_classes)
    voc = [voc_average_precision(detections, truth, n_classes, at / 100) for at in range(50, 100, 5)]
    points, area = voc[0]
    by_class = {
        "ap50_07": points,
        "ap50": area,
        "ap": ap,
        "ap75": ap75,
        "ap_07": np.mean([points for points, _ in voc], axis=0),
    }
    counted = ~np.isnan(area)
    n_objects = np.bincount(truth.label[~truth.difficult], minlength=n_classes)
    by_name = {
        name: {"n_objects": int(n_objects[label])}
        | {metric: 100 * float(values[label]) for metric, values in by_class.items() if counted[label]}
        for label, name in enumerate(classes)
    }
    return {
        "metrics": {name: 100 * float(values[counted].mean()) for name, values in by_class.items()},
        "details": {
            "n_objects": int(n_objects.sum()),
            "n_difficult": int(truth.difficult.sum()),
            "n_detections": len(detections.score),
            "classes": by_name,
        },
    }
