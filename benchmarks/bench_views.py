"""Views: from JPEGs, from arrays and RandAugment, as rates over those of torchvision on PIL images.

``python benchmarks/bench_views.py [FOLDER]`` takes a minute. FOLDER has JPEGs to measure with; default: made
ones of 470 x 390 pixels and about 100 kB. The processes of one comparison keep as many cores busy.
"""

import io
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch
from bench_stores import build_store, write_photographs
from PIL import Image
from timing import Row, medians, on_one_core, record
from torch.nn import functional as F
from torchvision import datasets, transforms
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import RandAugment

from cld.augment.randaugment import OPERATIONS, rand_augment
from cld.augment.views import Augment
from cld.data import EncodedImages
from cld.data.epoch_sampler import EpochSampler
from cld.data.random_crops import RandomCrops
from cld.data.view_batches import view_batches

SIDE, WORKERS = 224, 2
N_IMAGES, N_CUT = 512, 128  # with few images the start of the workers would weigh
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
            *crops_against_pil(files[:N_CUT], Path(name), short_side=None),
            *crops_against_pil(files[:N_CUT], Path(name), short_side=256),
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
    if source is None:
        return write_photographs(folder / "pictures/class", N_IMAGES, 390, 470, quality=95)
    (folder / "pictures/class").mkdir(parents=True)
    found = sorted(source.rglob("*.[jJ][pP]*[gG]"))
    copies = ((found[i % len(found)], folder / f"pictures/class/{i:04d}.jpg") for i in range(N_IMAGES))
    return [Path(shutil.copyfile(*each)) for each in copies]


def crops_against_pil(files: list[Path], folder: Path, short_side: int | None) -> Iterator[Row]:
    """What decoding workers do: decode once, cut two crops; each of WORKERS processes with all images.

    Its floor is to decode the bytes and to resize two crops of the middle size, and nothing else.
    """
    store = folder / f"crops{short_side}.h5"
    build_store(files, store, short_side)
    images = EncodedImages(store, "train")
    contents = [images[i] for i in range(len(files))]
    cutter = RandomCrops([images], 2, (0.2, 1.0), SIDE, seed=0)
    with ProcessPoolExecutor(WORKERS) as pool:
        cutting, bare, each = medians(
            *(
                partial(lambda work: list(pool.map(work, range(WORKERS))), partial(work, given))
                for work, given in ((cut_all, cutter), (cut_barely, contents), (cut_by_pil, contents))
            )
        )
    what = f"{SIDE} px, JPEGs" + (f" shrunk to {short_side}" if short_side else "") + ", workers' part"
    yardstick, target = "PIL decode, two RandomResizedCrops", "" if short_side else ">= 2.2"
    note = f"{len(files) / cutting:.0f} images/s a core against {len(files) / each:.0f}, {WORKERS} busy"
    yield Row(what, yardstick, each / cutting, target, note)
    yield Row(
        "of it: decode_jpeg and two resizes alone", yardstick, each / bare, "", "the most there is to win"
    )


def cut_all(cutter: RandomCrops, step: int) -> None:
    """Cut two crops of each image, as a worker does: 16 images at a time."""
    torch.set_num_threads(1)
    for place in range(0, N_CUT, 16):
        cutter((step, place, list(range(place, min(place + 16, N_CUT)))))


def cut_barely(contents: list[bytes], _: int) -> None:
    """Decode and resize twice the 0.6 of each image's area that a crop has on average."""
    torch.set_num_threads(1)
    for content in contents:
        image = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.RGB)
        part = image[None, :, : int(0.6**0.5 * image.shape[1]), : int(0.6**0.5 * image.shape[2])]
        part = part.contiguous(memory_format=torch.channels_last)
        for _ in range(2):
            F.interpolate(part, (SIDE, SIDE), mode="bilinear", antialias=True)


def cut_by_pil(contents: list[bytes], _: int) -> None:
    """Decode and crop twice, by PIL."""
    crop = transforms.RandomResizedCrop(SIDE, scale=(0.2, 1.0))
    for content in contents:
        image = Image.open(io.BytesIO(content)).convert("RGB")
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
    info = build_store(files, store)
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
    ours, theirs = cpu_seconds(stream), cpu_seconds(read_folder)
    main_process = cpu_seconds(stream, of_workers=False)
    note = (
        f"{theirs / ours:.2f} by CPU time; the main process alone, which makes views of crops, takes "
        f"{main_process / streamed:.0%} of the time"
    )
    what = f"{SIDE} px, {n} JPEGs, {WORKERS} workers, whole views"
    return Row(what, "torchvision ImageFolder, two views", each / streamed, ">= 2.5", note)


def cpu_seconds(call: Callable[[], None], of_workers: bool = True) -> float:
    """CPU time of a call, with that of the processes that it starts."""

    def so_far() -> float:
        of = (resource.RUSAGE_SELF, *([resource.RUSAGE_CHILDREN] if of_workers else []))
        return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, of))

    before = so_far()
    call()
    return so_far() - before


def rand_augment_against_pil(size: int, batch: int, target: str) -> Row:
    """Batched RandAugment over torchvision's, PIL image by PIL image."""
    images = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8)
    floats, generator = images.permute(0, 3, 1, 2).contiguous() / 255, torch.Generator().manual_seed(0)
    pictures, transform = [Image.fromarray(image) for image in images.numpy()], RandAugment(2, 9)
    image = floats[:1]
    batched, each, alone = medians(
        lambda: rand_augment(floats, 2, 9, generator),
        lambda: [transform(picture) for picture in pictures],
        lambda: [change(image.clone(), 0.3) for change in OPERATIONS.values() for _ in range(batch)],
    )
    in_cache = each / (2 * alone / len(OPERATIONS))
    note = f"{in_cache:.2f} where the same image stays in the cache: floats are four times PIL's bytes"
    what = f"RandAugment, {size} px, batch of {batch}"
    return Row(what, "torchvision on PIL images", each / batched, target, note if target else "")


if __name__ == "__main__":
    on_one_core()
    main()
