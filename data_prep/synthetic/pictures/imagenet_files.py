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
from data_prep.synthetic.pictures.class_looks import Look, class_looks
from data_prep.synthetic.pictures.drawing import draw_picture
from data_prep.synthetic.pictures.random_numbers import Stream, balanced_labels, generator
from data_prep.synthetic.pictures.silhouettes import SILHOUETTES

OTHERS = ("n01440764", "n01443537", "n01484850", "n02119789")
"""Synsets of ImageNet that are not in ImageNet-100's list."""
TRAIN, VAL = 0, 1
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
    synsets = sorted(
        (*listed_synsets("imagenet100")[: settings.listed_synsets], *OTHERS[: settings.other_synsets])
    )
    looks = class_looks(len(synsets), settings.seed, -(-len(synsets) // len(SILHOUETTES)))
    train = _train_pictures(synsets, looks, settings)
    val = _val_pictures(synsets, looks, settings)
    for picture in (*train, *val):
        (root / picture.path).parent.mkdir(parents=True, exist_ok=True)
    pictures = [*train, *val]
    with progress("imagenet", len(pictures), "pictures") as bar:
        for picture, content in zip(pictures, ordered_map(_encoded, pictures, workers), strict=True):
            (root / picture.path).write_bytes(content)
            bar.advance()
    lines = [f"{synset} {look.name}\n" for synset, look in zip(synsets, looks, strict=True)]
    (root / "LOC_synset_mapping.txt").write_text("".join(lines), encoding="utf-8")
    _write_long_tail(root / "ImageNet_LT", len(synsets), train, val, settings)


def _train_pictures(synsets: list[str], looks: tuple[Look, ...], settings: Settings) -> list[_Picture]:
    """The training pictures, synset by synset; their numbers have gaps, as the published ones have."""
    rng = generator(settings.seed, Stream.FILES, TRAIN)
    oddities = _oddities(settings.train_per_synset * len(synsets), rng)
    pictures = []
    for label, synset in enumerate(synsets):
        for number in np.cumsum(rng.integers(1, 30, settings.train_per_synset)):
            numbers = (settings.seed, Stream.PICTURE, TRAIN, len(pictures))
            path = f"train/{synset}/{synset}_{number}.JPEG"
            pictures.append(_Picture(path, label, looks[label], numbers, oddities[len(pictures)]))
    return pictures


def _val_pictures(synsets: list[str], looks: tuple[Look, ...], settings: Settings) -> list[_Picture]:
    """The validation pictures, numbered through; neighbours are of different synsets."""
    n = settings.val_per_synset * len(synsets)
    oddities = _oddities(n, generator(settings.seed, Stream.FILES, VAL))
    pictures = []
    for index, label in enumerate(balanced_labels(n, len(synsets), settings.seed, VAL).tolist()):
        path = f"val/{synsets[label]}/ILSVRC2012_val_{index + 1:08d}.JPEG"
        numbers = (settings.seed, Stream.PICTURE, VAL, index)
        pictures.append(_Picture(path, label, looks[label], numbers, oddities[index]))
    return pictures


def _oddities(n: int, rng: np.random.Generator) -> list[str]:
    """What is odd about each of ``n`` files; of most, nothing."""
    kinds = ["cmyk", "png", "tiny", *["grey"] * (1 + n // 40), *["turned"] * (1 + n // 50)]
    kinds = [*kinds, *["progressive"] * (n // 10)][:n]
    oddities = [""] * n
    for index, kind in zip(rng.permutation(n), kinds, strict=False):
        oddities[index] = kind
    return oddities


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
    rng = generator(settings.seed, Stream.FILES)
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
