"""ImageNet (ILSVRC 2012), its part ImageNet-100, and ImageNet-LT: a store of the published JPEGs.

The source is the three archives as published (their members are read in place), or trees
``train/<synset>/*`` and ``val/<synset>/*``, also as Tiny-ImageNet is published (``train/<synset>/images/*``,
``val/images/*``). A class's label is its synset's place in the sorted list of the
synsets that are kept. The published validation images are the store's split ``test``; ImageNet-LT's lists say
themselves what is in ``val``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cld.data import StoreInfo
from cld.runtime.errors import InputError
from cld.runtime.progress import progress
from data_prep.common.build_record import BuildRecord, Target
from data_prep.common.jpeg_store import Encoding, SourceImage, build_jpeg_store
from data_prep.common.settings import Settings
from data_prep.imagenet.chosen_synsets import chosen_synsets
from data_prep.imagenet.devkit import class_names, validation_synsets
from data_prep.imagenet.long_tail_lists import listed_images, shots
from data_prep.imagenet.trees_and_archives import Listing, Place, train_folders, val_folders


def build_imagenet(root: str | Path, settings: Settings, target: Target, workers: int) -> StoreInfo:
    """Build a store from the trees or archives in ``root``.

    Raises:
        InputError: missing files, a damaged archive, missing synsets, a bad list, other counts than
            ``expect``: before anything is encoded. More unreadable images than ``max_bad_share``: after all
            were tried.
    """
    root = Path(root)
    record = BuildRecord(root, target, settings, "images", settings.expect)
    folders = train_folders(root)
    synsets, notes = chosen_synsets(folders, settings.synsets, settings.missing_synsets == "skip", str(root))
    classes = class_names(root, synsets)
    train, n_others = _train(folders, synsets)
    val, n_val_others = _val(root, synsets, settings)
    record.notes += [*notes, "labels are places in the sorted list of synsets"]
    if n_others + n_val_others:
        record.notes.append(f"files left alone, since their suffix is no image's: {n_others + n_val_others}")
    if settings.lists:
        images = listed_images(root, train, val, synsets)
        labels = {split: np.array([image.label for image in group]) for split, group in images.items()}
        record.details["Long tail"] = shots(labels, len(synsets))
    else:
        images = {"train": train, "test": val}
        record.notes.append("split test holds the published validation images")
    record.require_counts(images)
    encoding = Encoding(settings.short_side, settings.quality, settings.upright)
    return build_jpeg_store(record, images, classes, encoding, workers)


def _train(folders: Mapping[str, Listing], synsets: Sequence[str]) -> tuple[list[SourceImage], int]:
    """Training images by class and name, and the number of other files."""
    images, others = [], 0
    with progress("list train", len(synsets), "classes") as bar:
        for label, synset in enumerate(synsets):
            places, n_others = folders[synset]()
            images += [_image("train", synset, label, place) for place in places]
            others += n_others
            bar.advance()
    return images, others


def _val(root: Path, synsets: Sequence[str], settings: Settings) -> tuple[list[SourceImage], int]:
    """Validation images by class and name, and the number of other files.

    They have no label yet where they lie in one folder and ImageNet-LT's lists will say it.
    """
    label_of = {synset: label for label, synset in enumerate(synsets)}
    images, others = [], 0
    folders = val_folders(root)
    is_flat = "" in folders
    truth = validation_synsets(root) if is_flat and not settings.lists else {}
    with progress("list val", len(folders), "folders") as bar:
        for folder, list_files in folders.items():
            bar.advance()
            if not is_flat and folder not in label_of and settings.synsets is not None:
                continue
            places, n_others = list_files()
            others += n_others
            for place in places:
                synset = folder or truth.get(Path(place.name).stem, "")
                if synset not in label_of and not (is_flat and settings.lists):
                    if synset and settings.synsets is not None:
                        continue
                    if synset:
                        raise InputError(
                            f"{root}: validation image {place.name} is of {synset}, which has no training "
                            "images; fetch all training images, or choose synsets in the build settings"
                        )
                    raise InputError(
                        f"{root}: nothing says what validation image {place.name} shows; fetch it and the "
                        "development kit again"
                    )
                images.append(_image("val", synset, label_of.get(synset, -1), place))
    return sorted(images, key=lambda image: (image.label, image.name)), others


def _image(folder: str, synset: str, label: int, place: Place) -> SourceImage:
    name = f"{folder}/{synset}/{place.name}" if synset else f"{folder}/{place.name}"
    return SourceImage(name, label, place.path, place.offset, place.size)
