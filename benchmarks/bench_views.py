"""Views: from JPEGs, from arrays and RandAugment, as rates over those of torchvision on PIL images.

``python benchmarks/bench_views.py [FOLDER]`` takes a minute. FOLDER has JPEGs to measure with; default: made
ones of 470 x 390 pixels and about 100 kB. The processes of one comparison keep as many cores busy.
"""

import hashlib
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from bench_stores import photograph
from PIL import Image
from timing import Row, medians, on_one_core, record
from torchvision import datasets, transforms
from torchvision.transforms.v2 import RandAugment

from cld.augment.randaugment import rand_augment
from cld.augment.views import Augment
from cld.data import EncodedImages, EncodedSplit, StoreInfo, write_encoded_store
from cld.data.epoch_sampler import EpochSampler
from cld.data.random_crops import RandomCrops
from cld.data.view_batches import view_batches
from data_prep.common.image_files import EncodedImage
from data_prep.common.jpeg_encoding import Encoding, as_jpeg

SIDE, WORKERS, N_IMAGES = 224, 2, 128
#: The augmentation of the supplement.
AUGMENT = {
    "crop_scale": [0.2, 1.0],
    "flip_p": 0.5,
    "jitter": [0.4, 0.4, 0.4, 0.4],
    "jitter_p": 1.0,
    "grayscale_p": 0.2,
    "blur_p": 0.0,
    "blur_sigma": [0.1, 2.0],
    "solarize_p": 0.0,
    "erasing_p": 0.0,
    "randaugment": {"n_ops": 0, "magnitude": 9},
}


def main() -> None:
    """Record the rows."""
    about = "Views or images a second over the yardstick's: higher is better."
    with tempfile.TemporaryDirectory() as name:
        files = write_pictures(Path(name), Path(sys.argv[1]) if len(sys.argv) > 1 else None)
        rows = (
            crops_against_pil(files, Path(name), short_side=None),
            crops_against_pil(files, Path(name), short_side=256),
            jpegs_against_image_folder(files, Path(name)),
            augment_against_pil(32, 32, 256, target=">= 6"),
            augment_against_pil(96, 96, 64, target=">= 3"),
            augment_against_pil(256, 224, 16, target=">= 2"),
            rand_augment_against_pil(32, 256, target=""),
            rand_augment_against_pil(224, 32, target=">= 1.5"),
        )
        record("Views", about, rows)


def write_pictures(folder: Path, source: Path | None) -> list[Path]:
    """N_IMAGES JPEGs in a class of an ImageFolder."""
    (folder / "pictures/class").mkdir(parents=True)
    dice = np.random.default_rng(0)
    found = sorted(source.rglob("*.[jJ][pP]*[gG]")) if source else []
    for i in range(N_IMAGES):
        path = folder / f"pictures/class/{i:04d}.jpg"
        if found:
            path.write_bytes(found[i % len(found)].read_bytes())
        else:
            photograph(390, 470, dice).save(path, quality=95)
    return sorted((folder / "pictures/class").iterdir())


def write_store(path: Path, contents: list[bytes]) -> StoreInfo:
    """A store of JPEGs with one class."""
    part = path.with_suffix(".part")
    part.write_bytes(b"".join(contents))
    digests = np.array([list(hashlib.sha256(content).digest()) for content in contents], np.uint8)
    lengths, labels = np.array([*map(len, contents)]), np.zeros(len(contents), np.int64)
    facts = {"dataset": "d", "preset": "demo", "classes": ["a"], "sources": {}, "config": {}}
    return write_encoded_store(path, {"train": EncodedSplit([part], lengths, digests, labels)}, **facts)


def crops_against_pil(files: list[Path], folder: Path, short_side: int | None) -> Row:
    """What decoding workers do: decode once, cut two crops; each of WORKERS processes with all images."""
    contents = [path.read_bytes() for path in files]
    if short_side:
        contents = [as_jpeg(EncodedImage(path), Encoding(short_side)).content for path in files]
        files = [folder / f"{path.stem}.small.jpg" for path in files]
        for path, content in zip(files, contents, strict=True):
            path.write_bytes(content)
    store = folder / f"crops{short_side}.h5"
    write_store(store, contents)
    cutter = RandomCrops([EncodedImages(store, "train")], 2, (0.2, 1.0), SIDE, seed=0)
    with ProcessPoolExecutor(WORKERS) as pool:
        cutting, each = medians(
            lambda: list(pool.map(partial(cut_all, cutter), range(WORKERS))),
            lambda: list(pool.map(partial(cut_by_pil, files), range(WORKERS))),
        )
    what = f"{SIDE} px, JPEGs" + (f" shrunk to {short_side}" if short_side else "") + ", workers' part"
    note = f"{len(files) / cutting:.0f} images/s a core against {len(files) / each:.0f}, {WORKERS} busy"
    return Row(
        what, "PIL decode, two RandomResizedCrops", each / cutting, "" if short_side else ">= 2.2", note
    )


def cut_all(cutter: RandomCrops, step: int) -> None:
    """Cut two crops of each image, as a worker does: 16 images at a time."""
    torch.set_num_threads(1)
    for place in range(0, N_IMAGES, 16):
        cutter((step, place, list(range(place, min(place + 16, N_IMAGES)))))


def cut_by_pil(files: list[Path], step: int) -> None:
    """Decode and crop twice, by PIL."""
    crop = transforms.RandomResizedCrop(SIDE, scale=(0.2, 1.0))
    for path in files:
        image = Image.open(path).convert("RGB")
        crop(image), crop(image)


def augment_against_pil(stored: int, size: int, batch: int, target: str) -> Row:
    """Batched augmentation over torchvision's PIL transforms, sample by sample."""
    images = torch.randint(0, 256, (batch, stored, stored, 3), dtype=torch.uint8)
    augment, generator = Augment(AUGMENT, size, [0.5] * 3, [0.25] * 3), torch.Generator().manual_seed(0)
    pipeline = torchvision_views(size)
    pictures = [Image.fromarray(image) for image in images.numpy()]
    batched, each = medians(
        lambda: augment(images, generator), lambda: torch.stack([pipeline(picture) for picture in pictures])
    )
    return Row(f"{size} px, batch of {batch}", "torchvision on PIL images", each / batched, target)


def torchvision_views(size: int) -> Callable[..., object]:
    """AUGMENT as torchvision's transforms of a PIL image."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size, scale=(0.2, 1.0)),
            transforms.ColorJitter(0.4, 0.4, 0.4, 0.4),
            transforms.RandomGrayscale(0.2),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )


def jpegs_against_image_folder(files: list[Path], folder: Path) -> Row:
    """Two views: a store of JPEGs over a folder of the same ones, read as torchvision's examples do."""
    n, batch = len(files), 32
    config = {
        "train_on": ["train"],
        "views": 2,
        "image_size": SIDE,
        "seed": 0,
        "workers": WORKERS,
        "optimiser": {"batch_size": batch, "parts": 1},
        "augment": AUGMENT,
    }
    pipeline, store = torchvision_views(SIDE), folder / "views.h5"
    info = write_store(store, [path.read_bytes() for path in files])
    pictures = datasets.ImageFolder(
        folder / "pictures", lambda picture: torch.stack([pipeline(picture), pipeline(picture)])
    )

    def stream() -> None:
        sampler = EpochSampler(0, n, batch, stop=n // batch)
        with view_batches(store, info, config, sampler, torch.device("cpu")) as batches:
            for [(_, draw_views)] in batches:
                draw_views(torch.default_generator)

    def read_folder() -> None:
        for _ in torch.utils.data.DataLoader(pictures, batch, shuffle=True, num_workers=WORKERS):
            pass

    streamed, each = medians(stream, read_folder)
    what = f"{SIDE} px, {n} JPEGs, {WORKERS} workers, whole views"
    return Row(what, "torchvision ImageFolder, two views", each / streamed, ">= 2.5")


def rand_augment_against_pil(size: int, batch: int, target: str) -> Row:
    """Batched RandAugment over torchvision's, PIL image by PIL image."""
    images = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8)
    floats, generator = images.permute(0, 3, 1, 2).contiguous() / 255, torch.Generator().manual_seed(0)
    pictures, transform = [Image.fromarray(image) for image in images.numpy()], RandAugment(2, 9)
    batched, each = medians(
        lambda: rand_augment(floats, 2, 9, generator), lambda: [transform(picture) for picture in pictures]
    )
    return Row(
        f"RandAugment, {size} px, batch of {batch}", "torchvision on PIL images", each / batched, target
    )


if __name__ == "__main__":
    on_one_core()
    main()
