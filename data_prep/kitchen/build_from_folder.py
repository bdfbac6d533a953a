"""Kitchen-HC from a ready-made ImageFolder: ``train/<class>/*``, ``test/<class>/*``, perhaps ``val/…``.

Without ``val`` the validation split is taken from ``train``: contiguous blocks of each class's files, in the
natural order of their names, since neighbours in that order are views of the same object.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from cld.data import StoreInfo
from cld.runtime.errors import InputError
from data_prep.common.boxes import Box
from data_prep.common.build_record import BuildRecord, Target, problem
from data_prep.common.image_files import EncodedImage, resized
from data_prep.common.image_tree import class_folders, image_paths, left_out
from data_prep.common.settings import Settings
from data_prep.common.source_files import digest, is_folder
from data_prep.kitchen.gmu.reader import CONFIG_KEY
from data_prep.kitchen.store_build import Crops, Instance, StoreBuild, validation_mask

EXPECTED = "train/<class>/* and test/<class>/* (and val/<class>/*, if there)"


def build_from_folder(root: str | Path, settings: Settings, target: Target, workers: int) -> StoreInfo:
    """Build a store from the ImageFolder under ``root``; arguments and outputs as ``build_from_scenes``.

    Raises:
        InputError: a missing root or split folder, a class without a folder, too many images under unknown
            names, an empty split: at once. More bad images than ``max_bad_share``: after all were tried.
    """
    root = Path(root)
    given = _given_splits(root)
    build = StoreBuild(BuildRecord(root, target, settings, "images"), "val" in given)
    jobs = _jobs(build, given)
    build.record.total = sum(map(len, jobs.values()))
    return build.write("images", partial(crop_image, root=root, settings=settings), jobs, workers)


def crop_image(job: tuple[Path, int], root: Path, settings: Settings) -> Crops:
    """Resize one image, given with its label; one that cannot be read is reported, never raised."""
    (path, label), crops = job, Crops()
    name = path.relative_to(root).as_posix()
    try:
        encoded = EncodedImage(path)
        image = encoded.colour()
    except InputError as error:
        crops.problems.append(problem(name, path, root, "image unreadable", str(error)))
        return crops
    crops.files.append(digest(path, root, encoded.content))
    if min(image.size) < settings.min_side_px:
        crops.dropped["too small"] += 1
        return crops
    crops.images.append(resized(image, Box(0, 0, *image.size), settings.image_size))
    crops.instances.append(Instance(name, label))
    return crops


def _given_splits(root: Path) -> list[str]:
    given = [split for split in ("train", "val", "test") if is_folder(root / split)]
    for split in ("train", "test"):
        if split not in given:
            raise InputError(
                f"{root}: no folder '{split}'; fetch a ready-made Kitchen-HC, and point {CONFIG_KEY} at the "
                f"folder that holds {EXPECTED}"
            )
    return given


def _jobs(build: StoreBuild, given: list[str]) -> dict[str, list[tuple[Path, int]]]:
    """The images of kept classes, each with its label, by split."""
    root, settings = build.record.root, build.settings
    jobs, left = {split: [] for split in build.splits}, defaultdict(list)
    for folder_split in given:
        for folder in class_folders(root / folder_split):
            files, others = image_paths(folder)
            left[folder.name] += others
            label = build.names.label(folder.name, len(files))
            if label is None:
                continue
            validates: Iterable[bool] = [False] * len(files)
            if folder_split == "train" and "val" not in given:
                validates = validation_mask(len(files), settings.val_share, settings.val_blocks)
            for path, v in zip(files, validates, strict=True):
                jobs["val" if v else folder_split].append((path, label))
    build.names.check(root.name, "images")
    for note in left_out(root, left):
        build.record.warn(note)
    return jobs
