"""Write pictures as ImageNet (ILSVRC-2012) is published, with the oddities of its files.

Sizes and qualities differ; some JPEGs are progressive, grey, CMYK or turned by an EXIF tag, one is tiny, and
one PNG calls itself a JPEG: the published files have all of these.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cld.runtime.progress import progress
from data_prep.common.parallel import ordered_map
from data_prep.common.settings import Settings
from data_prep.imagenet.chosen_synsets import listed_synsets
from data_prep.synthetic.pictures.class_looks import OUTLINES, Look, class_looks
from data_prep.synthetic.pictures.drawing import draw_picture
from data_prep.synthetic.pictures.random_numbers import Stream, balanced_labels, generator

OTHERS = ("n01440764", "n01443537", "n01484850", "n02119789")
"""Synsets of ImageNet that are not in ImageNet-100's list."""
TRAIN, VAL, LONG_TAIL, NUMBERS = range(4)
SIDES = (120, 260)
"""Pixels of a picture's sides."""
EXIF_ORIENTATION, TURNED_LEFT = 0x0112, 6
"""EXIF's tag, and its value for a picture to be turned clockwise before it is shown."""


@dataclass(frozen=True)
class _Picture:
    """One file: its path in the trees, its class and look, its random numbers and what is odd about it."""

    path: str
    label: int
    look: Look
    numbers: tuple[int, Stream, int, int]
    oddity: str


def write_imagenet(root: Path, settings: Settings, workers: int = 1) -> None:
    """Write ``train/``, ``val/``, ``LOC_synset_mapping.txt`` and ImageNet-LT's lists into ``root``."""
    listed = listed_synsets("imagenet100")[: settings.listed_synsets]
    synsets = sorted((*listed, *OTHERS[: settings.other_synsets]))
    looks = class_looks(len(synsets), settings.seed, -(-len(synsets) // len(OUTLINES)))
    # a synset's training pictures stand together and their numbers have gaps, as the published ones do
    shape = len(synsets), settings.train_per_synset
    gaps = generator(settings.seed, Stream.FILES, NUMBERS).integers(1, 30, shape)
    train_names = [
        f"train/{synset}/{synset}_{number}.JPEG"
        for synset, numbers in zip(synsets, gaps.cumsum(axis=1), strict=True)
        for number in numbers
    ]
    train_labels = np.arange(len(synsets)).repeat(settings.train_per_synset)
    n_val = settings.val_per_synset * len(synsets)
    val_labels = balanced_labels(n_val, len(synsets), settings.seed, VAL)
    val_names = [f"val/{synsets[k]}/ILSVRC2012_val_{i + 1:08d}.JPEG" for i, k in enumerate(val_labels)]
    train = _pictures(train_names, train_labels, looks, settings.seed, TRAIN)
    val = _pictures(val_names, val_labels, looks, settings.seed, VAL)
    pictures = [*train, *val]
    with progress("imagenet", len(pictures), "pictures") as bar:
        for picture, content in zip(pictures, ordered_map(_encoded, pictures, workers), strict=True):
            path = root / picture.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            bar.advance()
    lines = [f"{synset} {look.name}\n" for synset, look in zip(synsets, looks, strict=True)]
    (root / "LOC_synset_mapping.txt").write_text("".join(lines), encoding="utf-8")
    _write_long_tail(root / "ImageNet_LT", len(synsets), train, val, settings)


def _pictures(
    paths: list[str], labels: np.ndarray, looks: tuple[Look, ...], seed: int, split: int
) -> list[_Picture]:
    """The pictures of a split. Of most, nothing is odd."""
    n = len(paths)
    kinds = ["cmyk", "png", "tiny", *["grey"] * (1 + n // 40), *["turned"] * (1 + n // 50)]
    kinds += ["progressive"] * (n // 10)
    order = generator(seed, Stream.FILES, split).permutation(n).tolist()
    oddities = dict(zip(order, kinds, strict=False))
    return [
        _Picture(path, label, looks[label], (seed, Stream.PICTURE, split, i), oddities.get(i, ""))
        for i, (path, label) in enumerate(zip(paths, labels.tolist(), strict=True))
    ]


def _encoded(picture: _Picture) -> bytes:
    """Draw a picture and encode it."""
    oddity = picture.oddity
    rng = generator(*picture.numbers)
    width, height = (int(side) for side in rng.integers(SIDES[0], SIDES[1] + 1, 2))
    if oddity == "tiny":
        width, height = 33, 20
    image = Image.fromarray(draw_picture(picture.look, width, height, rng))
    options: dict[str, Any] = {"format": "JPEG", "quality": int(rng.integers(60, 96))}
    options["progressive"] = oddity == "progressive"
    if oddity == "png":
        options = {"format": "PNG"}
    elif oddity == "cmyk":
        image = image.convert("CMYK")
    elif oddity == "grey":
        image = image.convert("L")
    elif oddity == "turned":
        image = image.transpose(Image.Transpose.ROTATE_90)
        options["exif"] = Image.Exif()
        options["exif"][EXIF_ORIENTATION] = TURNED_LEFT
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


def _write_long_tail(
    folder: Path, n_synsets: int, train: list[_Picture], val: list[_Picture], settings: Settings
) -> None:
    """Write ImageNet-LT's lists; which synsets are rare is drawn."""
    folder.mkdir()
    rng = generator(settings.seed, Stream.FILES, LONG_TAIL)
    falling = np.geomspace(settings.lt_most, settings.lt_least, n_synsets).round().astype(int)
    lists: dict[str, list[_Picture]] = {"train": [], "val": [], "test": val}
    n = settings.train_per_synset
    for label, count in enumerate(rng.permutation(falling)):
        chosen = [train[label * n + k] for k in rng.permutation(n)]
        lists["train"] += chosen[:count]
        lists["val"] += chosen[count : count + settings.lt_val]
    for name, pictures in lists.items():
        lines = sorted(f"{picture.path} {picture.label}\n" for picture in pictures)
        (folder / f"ImageNet_LT_{name}.txt").write_text("".join(lines), encoding="utf-8")
