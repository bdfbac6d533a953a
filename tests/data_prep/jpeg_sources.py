"""Images of every sort that a builder of JPEG stores meets, and a build of them; a command too, to be killed.

``python jpeg_sources.py ROOT STORE WORKERS`` builds all the files of ROOT.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from cld.data import Objects
from data_prep.common.build_record import BuildRecord, Target
from data_prep.common.jpeg_store import Encoding, SourceImage, build_jpeg_store
from data_prep.common.settings import Settings


def pixels(seed=0, width=60, height=40):
    """Smooth, coloured, and different at every corner."""
    corners = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, suffix="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    return buffer.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    return tags


def objects(boxes):
    """Of one image, each of a class of its own, all difficult."""
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    n = len(boxes)
    return Objects(boxes, np.arange(n), np.array([0, n]), np.ones(n, np.uint8), np.zeros(n, np.uint8))


def write_images(root, n, width=60, height=40):
    """``n`` plain JPEGs, of slightly different sizes."""
    root.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        (root / f"{i:04d}.JPEG").write_bytes(encoded(pixels(i, width + i % 5, height)))
    return root


def sources(root, **changes):
    """Every file of ``root``, in two classes by turns."""
    files = sorted(path for path in root.iterdir() if path.is_file())
    return [SourceImage(path.name, i % 2, path, **changes) for i, path in enumerate(files)]


def build(root, store, images=None, encoding=None, workers=1, max_bad_share=0.0):
    """Build ``images`` (by default: every file of ``root``, as split train); returns (record, StoreInfo)."""
    target = Target(store, store.with_suffix(".csv"), store.with_suffix(".md"), "toy", "demo")
    record = BuildRecord(root, target, Settings(max_bad_share=max_bad_share), "images")
    images = {"train": sources(root)} if images is None else images
    return record, build_jpeg_store(record, images, ["a", "b"], encoding or Encoding(), workers)


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]), workers=int(sys.argv[3]))
