"""Random views, as ratios to an obvious yardstick, on one core.

``python benchmarks/bench_views.py`` takes about 30 s.
"""

import hashlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timing import medians, on_one_core, record
from torchvision import datasets, transforms
from torchvision.transforms.v2 import RandAugment

from cld.augment.randaugment import rand_augment
from cld.augment.views import Augment
from cld.data import EncodedSplit, write_encoded_store
from cld.data.epoch_sampler import EpochSampler
from cld.data.view_batches import view_batches

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
    rows = (
        (*augment_against_pil(32, 32, 256), ">= 6"),
        (*augment_against_pil(96, 96, 64), ">= 3"),
        (*augment_against_pil(256, 224, 16), ">= 2"),
        (*jpegs_against_image_folder(128, workers=2), ">= 2.5"),
        rand_augment_against_pil(32, 256),
        (*rand_augment_against_pil(224, 32), ">= 1.5"),
    )
    record("Views", "Views a second over the yardstick's: higher is better.", rows)


def augment_against_pil(stored: int, size: int, batch: int) -> tuple[str, str, float]:
    """Views a second: batched augmentation over torchvision's PIL transforms, sample by sample."""
    images = torch.randint(0, 256, (batch, stored, stored, 3), dtype=torch.uint8)
    augment, generator = Augment(AUGMENT, size, [0.5] * 3, [0.25] * 3), torch.Generator().manual_seed(0)
    pipeline = torchvision_views(size)
    pictures = [Image.fromarray(image) for image in images.numpy()]
    batched, each = medians(
        lambda: augment(images, generator), lambda: torch.stack([pipeline(picture) for picture in pictures])
    )
    return f"{size}x{size} views a second, batch of {batch}", "torchvision on PIL images", each / batched


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


def jpegs_against_image_folder(n: int, workers: int) -> tuple[str, str, float]:
    """Views a second: a store of JPEGs over a folder of the same ones, read as torchvision's examples do."""
    side, batch, rng = 224, 32, np.random.default_rng(0)
    config = {
        "train_on": ["train"],
        "views": 2,
        "image_size": side,
        "seed": 0,
        "workers": workers,
        "optimiser": {"batch_size": batch, "parts": 1},
        "augment": AUGMENT,
    }
    pipeline = torchvision_views(side)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures/class").mkdir(parents=True)
        images = []
        for i in range(n):
            small = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)  # blown up: as smooth as a photograph
            pixels = np.asarray(Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC), float)
            pixels = (pixels + rng.normal(0, 8, pixels.shape)).clip(0, 255).astype(np.uint8)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "JPEG", quality=90)
            images.append(file.getvalue())
            (folder / f"pictures/class/{i}.jpg").write_bytes(images[-1])
        (folder / "part").write_bytes(b"".join(images))
        digests = np.array([list(hashlib.sha256(image).digest()) for image in images], np.uint8)
        split = EncodedSplit([folder / "part"], np.array([*map(len, images)]), digests, np.zeros(n, np.int64))
        facts = {"dataset": "d", "preset": "demo", "classes": ["a"], "sources": {}, "config": {}}
        info = write_encoded_store(folder / "s.h5", {"train": split}, **facts)
        pictures = datasets.ImageFolder(
            folder / "pictures", lambda picture: torch.stack([pipeline(picture), pipeline(picture)])
        )

        def stream() -> None:
            sampler = EpochSampler(0, n, batch, stop=n // batch)
            with view_batches(folder / "s.h5", info, config, sampler, torch.device("cpu")) as batches:
                for [(_, draw_views)] in batches:
                    draw_views(torch.default_generator)

        def read_folder() -> None:
            for _ in torch.utils.data.DataLoader(pictures, batch, shuffle=True, num_workers=workers):
                pass

        streamed, each = medians(stream, read_folder)
    what = f"{side}x{side} views a second, of {n} JPEGs, {workers} workers"
    return what, "torchvision ImageFolder, two views", each / streamed


def rand_augment_against_pil(size: int, batch: int) -> tuple[str, str, float]:
    """Views a second: batched RandAugment over torchvision's, PIL image by PIL image."""
    images = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8)
    floats, generator = images.permute(0, 3, 1, 2).contiguous() / 255, torch.Generator().manual_seed(0)
    pictures, transform = [Image.fromarray(image) for image in images.numpy()], RandAugment(2, 9)
    batched, each = medians(
        lambda: rand_augment(floats, 2, 9, generator), lambda: [transform(picture) for picture in pictures]
    )
    return f"RandAugment, {size}x{size}, batch of {batch}", "torchvision on PIL images", each / batched


if __name__ == "__main__":
    on_one_core()
    main()
