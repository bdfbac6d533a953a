"""Building and reading stores, as ratios to an obvious yardstick.

``python benchmarks/bench_stores.py`` takes about a minute. Rates are compared, so more is better. Nothing
comes from a cold disk.
"""

import os
import random
import shutil
import tempfile
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timing import Row, medians, record
from torchvision.datasets import ImageFolder
from torchvision.io import ImageReadMode, decode_jpeg

from cld.data import EncodedImages, Split, StoreInfo, read_split, write_store
from data_prep.common.build_record import BuildRecord, Target
from data_prep.common.jpeg_store import Encoding, SourceImage, build_jpeg_store
from data_prep.common.parallel import ordered_map
from data_prep.common.settings import Settings

WORKERS = 2
N_IMAGES, N_PICTURES = 3072, 64  # files, and how many of them differ


def main() -> None:
    """Record the rows."""
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as silence:
        files = write_photographs(Path(folder) / "photographs" / "class")
        with redirect_stderr(silence):
            rows = (
                build_against_decoding(files, Path(folder), short_side=None),
                build_against_decoding(files[: N_IMAGES // 6], Path(folder), short_side=256),
                reading_against_image_folder(files, Path(folder)),
                loading_against_reading_bytes(Path(folder)),
            )
            record("Stores", "Images or bytes a second over the yardstick's: higher is better.", rows)


def write_photographs(
    folder: Path, n: int = N_IMAGES, height: int = 375, width: int = 500, quality: int = 92
) -> list[Path]:
    """JPEGs with as much detail as photographs have: by default about 60 kB each."""
    folder.mkdir(parents=True)
    dice, paths = np.random.default_rng(0), [folder / f"{i:04d}.jpg" for i in range(n)]
    for path in paths[:N_PICTURES]:
        photograph(height, width, dice).save(path, quality=quality)
    for i, path in enumerate(paths[N_PICTURES:]):
        shutil.copyfile(paths[i % N_PICTURES], path)
    return paths


def photograph(height: int, width: int, dice: np.random.Generator) -> Image.Image:
    """A picture with as much detail as photographs have."""
    picture = np.zeros((height, width, 3))
    for cells in (3, 8, 20, 60, 180, 375):  # the finer the fainter, as in photographs
        noise = Image.fromarray(dice.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        noise = noise.resize((width, height), Image.Resampling.BICUBIC)
        picture += np.asarray(noise, dtype=float) / cells**0.35
    picture = 255 * (picture - picture.min()) / np.ptp(picture)
    return Image.fromarray(picture.astype(np.uint8))


def build_against_decoding(files: list[Path], folder: Path, short_side: int | None) -> Row:
    """Images a second: building a store, over decoding the same files with as many processes."""
    store = folder / "built" / "store.h5"

    def build() -> None:
        shutil.rmtree(store.parent, ignore_errors=True)
        build_store(files, store, short_side)

    building, decoding = medians(build, lambda: list(ordered_map(decode, files, WORKERS)))
    what = "store of JPEGs built" + (f", shrunk to {short_side}" if short_side else ", bytes kept")
    target = "" if short_side else ">= 0.95"
    rate = f"{len(files) / building:.0f} images/s against {len(files) / decoding:.0f}"
    return Row(what, f"PIL decodes the files, {WORKERS} processes", decoding / building, target, rate)


def build_store(files: list[Path], store: Path, short_side: int | None = None) -> StoreInfo:
    """Build a store of ``files`` as its only split."""
    target = Target(store, store.with_suffix(".csv"), store.with_suffix(".md"), "bench", "demo")
    build = BuildRecord(files[0].parent, target, Settings(max_bad_share=0), "images")
    images = {"train": [SourceImage(file.name, 0, file) for file in files]}
    return build_jpeg_store(build, images, ["any"], Encoding(short_side), WORKERS)


def decode(path: Path) -> tuple[int, int]:
    """Decode a file's pixels and throw them away."""
    with Image.open(path) as image:
        image.load()
        return image.size


def reading_against_image_folder(files: list[Path], folder: Path) -> Row:
    """Images a second in random order, one process: a store, over torchvision's ImageFolder."""
    build_store(files, folder / "read" / "store.h5")
    images = EncodedImages(folder / "read" / "store.h5", "train")
    tree = ImageFolder(folder / "photographs")
    order = random.Random(0).sample(range(len(files)), 200)

    def from_store() -> None:
        for i in order:
            decode_jpeg(torch.frombuffer(bytearray(images[i]), dtype=torch.uint8), mode=ImageReadMode.RGB)

    def from_tree() -> None:
        for i in order:
            tree[i]

    store, files_read = medians(from_store, from_tree)
    rate = f"{len(order) / store:.0f} images/s against {len(order) / files_read:.0f}"
    return Row("store of JPEGs read in random order", "ImageFolder, PIL", files_read / store, ">= 1", rate)


def loading_against_reading_bytes(folder: Path) -> Row:
    """Bytes a second: a store of small images loaded whole, over reading its file's bytes."""
    store = folder / "small.h5"
    images = np.random.default_rng(0).integers(0, 256, (20_000, 32, 32, 3), dtype=np.uint8)
    facts = {"dataset": "bench", "preset": "demo", "classes": ["any"], "sources": {}, "config": {}}
    write_store(store, {"train": Split(images, np.zeros(len(images), dtype=np.int64))}, **facts)
    loading, reading = medians(lambda: read_split(store, "train"), store.read_bytes)
    rate = f"{images.nbytes / loading / 1e6:.0f} MB/s against {images.nbytes / reading / 1e6:.0f}"
    return Row("store of small images loaded whole", "its file's bytes read", reading / loading, "", rate)


if __name__ == "__main__":
    main()
