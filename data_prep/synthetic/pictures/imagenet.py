"""Write pictures as ImageNet (ILSVRC-2012) is published, with the oddities of its files.

Sizes and qualities differ; some JPEGs are progressive, grey, CMYK or turned by an EXIF tag, one is tiny, and
one PNG calls itself a JPEG: the published files have all of these.
"""

import gzip
import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.io import savemat

from cld.runtime.progress import progress
from data_prep.common.parallel import ordered_map
from data_prep.common.settings import Settings
from data_prep.synthetic.pictures.drawing import draw_picture
from data_prep.synthetic.pictures.looks import Look, class_looks
from data_prep.synthetic.pictures.silhouettes import SILHOUETTES
from data_prep.synthetic.pictures.streams import Stream, balanced_labels, generator
from data_prep.synthetic.pictures.synsets import LISTED, OTHERS

TRAIN, VAL = 0, 1
SIDES = (120, 260)
"""Pixels of a picture's sides."""
EXIF_ORIENTATION, TURNED_LEFT = 0x0112, 6
"""EXIF's tag, and its value for a picture to be turned clockwise before it is shown."""


class _Picture(NamedTuple):
    """One file to be: its path in the trees, and what is in it."""

    path: str
    label: int
    split: int
    index: int
    oddity: str


@dataclass(frozen=True)
class _Job:
    look: Look
    picture: _Picture
    seed: int


def write_imagenet(root: Path, settings: Settings, workers: int = 1) -> None:
    """Write trees or archives, and lists, into the folder ``root``.

    The trees are ``train/`` and ``val/`` with ``LOC_synset_mapping.txt``; ``archives`` asks for the three
    published ones instead. ImageNet-LT's lists are in ``ImageNet_LT/`` and name the trees' files either way.
    """
    synsets = sorted(LISTED[: settings.listed_synsets] + OTHERS[: settings.other_synsets])
    looks = class_looks(len(synsets), settings.seed, -(-len(synsets) // len(SILHOUETTES)))
    train = _train_pictures(synsets, settings)
    val = _val_pictures(synsets, settings)
    jobs = [_Job(looks[picture.label], picture, settings.seed) for picture in (*train, *val)]
    with progress("imagenet", len(jobs), "pictures") as bar:

        def drawn() -> Iterator[tuple[_Picture, bytes]]:
            for job, content in zip(jobs, ordered_map(_encoded, jobs, workers), strict=True):
                yield job.picture, content
                bar.advance()

        if settings.archives:
            _write_archives(root, synsets, drawn())
        else:
            for picture, content in drawn():
                path = root / picture.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    if settings.archives:
        truth = [picture.label for picture in val]
        _write_devkit(root, synsets, looks, truth, settings)
    else:
        lines = [f"{synset} {look.name}\n" for synset, look in zip(synsets, looks, strict=True)]
        (root / "LOC_synset_mapping.txt").write_text("".join(lines), encoding="utf-8")
    _write_long_tail(root / "ImageNet_LT", len(synsets), train, val, settings)


def _train_pictures(synsets: list[str], settings: Settings) -> list[_Picture]:
    """The training pictures, synset by synset; their numbers have gaps, as the published ones have."""
    n = settings.train_per_synset
    rng = generator(settings.seed, Stream.FILES, TRAIN)
    oddities = _oddities(n * len(synsets), rng)
    pictures = []
    for label, synset in enumerate(synsets):
        numbers = np.cumsum(rng.integers(1, 30, n))
        for k, number in enumerate(numbers):
            index = label * n + k
            path = f"train/{synset}/{synset}_{number}.JPEG"
            pictures.append(_Picture(path, label, TRAIN, index, oddities[index]))
    return pictures


def _val_pictures(synsets: list[str], settings: Settings) -> list[_Picture]:
    """The validation pictures, numbered through; neighbours are of different synsets."""
    n = settings.val_per_synset * len(synsets)
    labels = balanced_labels(n, len(synsets), settings.seed, VAL)
    oddities = _oddities(n, generator(settings.seed, Stream.FILES, VAL))
    return [
        _Picture(
            f"val/{synsets[label]}/ILSVRC2012_val_{index + 1:08d}.JPEG",
            int(label),
            VAL,
            index,
            oddities[index],
        )
        for index, label in enumerate(labels)
    ]


def _oddities(n: int, rng: np.random.Generator) -> list[str]:
    """What is odd about each of ``n`` files; of most, nothing."""
    kinds = ["cmyk", "png", "tiny", *["grey"] * (1 + n // 40), *["turned"] * (1 + n // 50)]
    kinds = [*kinds, *["progressive"] * (n // 10)][:n]
    oddities = [""] * n
    for index, kind in zip(rng.permutation(n), kinds, strict=False):
        oddities[index] = kind
    return oddities


def _encoded(job: _Job) -> bytes:
    """Draw a picture and encode it."""
    oddity = job.picture.oddity
    rng = generator(job.seed, Stream.PICTURE, job.picture.split, job.picture.index)
    width, height = (int(side) for side in rng.integers(SIDES[0], SIDES[1] + 1, 2))
    if oddity == "tiny":
        width, height = 33, 20
    image = Image.fromarray(draw_picture(job.look, width, height, rng))
    options = {"format": "JPEG", "quality": int(rng.integers(60, 96)), "progressive": oddity == "progressive"}
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
        lines = [f"{picture.path} {picture.label}\n" for picture in sorted(pictures)]
        (folder / f"ImageNet_LT_{name}.txt").write_text("".join(lines), encoding="utf-8")


def _write_archives(root: Path, synsets: list[str], drawn: Iterable[tuple[_Picture, bytes]]) -> None:
    """Write the training pictures as a tar of one tar a synset, and the validation pictures as a flat one."""
    inner: dict[str, list[tuple[str, bytes]]] = {synset: [] for synset in synsets}
    with tarfile.open(root / "ILSVRC2012_img_val.tar", "w") as val:
        for picture, content in drawn:
            _, synset, name = picture.path.split("/")
            if picture.split == VAL:
                _add(val, name, content)
            else:
                inner[synset].append((name, content))
    with tarfile.open(root / "ILSVRC2012_img_train.tar", "w") as train:
        for synset, files in inner.items():
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as archive:
                for name, content in files:
                    _add(archive, name, content)
            _add(train, f"{synset}.tar", buffer.getvalue())


def _write_devkit(
    root: Path, synsets: list[str], looks: tuple[Look, ...], truth: list[int], settings: Settings
) -> None:
    """Write the development kit: synsets in an order of its own, validation pictures by place in it."""
    order = generator(settings.seed, Stream.FILES, 2).permutation(len(synsets))
    number = {int(label): place + 1 for place, label in enumerate(order)}
    fields = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height")
    records = np.empty((len(synsets) + 1, 1), [(name, object) for name in (*fields, "num_train_images")])
    for place, label in enumerate(order):
        look = looks[label]
        gloss = f"a {look.silhouette} whose surface shows {look.surface}"
        leaf = (float(place + 1), synsets[label], look.name, gloss, 0.0, np.empty((0, 0)), 0.0)
        records[place, 0] = (*leaf, float(settings.train_per_synset))
    children = np.arange(1.0, len(synsets) + 1)
    # the published table ends with the synsets above those that have pictures
    above = (
        float(len(synsets) + 1),
        "n00001740",
        "entity",
        "whatever is drawn",
        float(len(synsets)),
        children,
    )
    records[-1, 0] = (*above, 1.0, 0.0)
    buffer = io.BytesIO()
    savemat(buffer, {"synsets": records})
    meta = b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:]  # scipy's header says when
    truth_lines = "".join(f"{number[label]}\n" for label in truth)
    # not tarfile's own "w:gz": its header would say when
    with (
        gzip.GzipFile(root / "ILSVRC2012_devkit_t12.tar.gz", "wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        _add(archive, "ILSVRC2012_devkit_t12/data/meta.mat", meta)
        _add(
            archive,
            "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
            truth_lines.encode(),
        )


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file that no clock and no user left a trace in."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
