"""JPEGs to small squares of pixels, by worker processes that decode ahead of time.

A job is whatever a worker needs to know. Its result depends neither on which worker does it nor on how many
workers there are.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.io import ImageReadMode, decode_jpeg

from cld.data import EncodedImages
from cld.runtime.worker_pool import call, worker_count, worker_pool

Job = TypeVar("Job")


def cut(
    images: EncodedImages, row: int, regions_of: Callable[[int, int], np.ndarray], side: int
) -> np.ndarray:
    """Decode one JPEG, once, and resize regions of it bilinearly, with antialiasing.

    The JPEG is decoded at 1/2, 1/4 or 1/8 of its size if every region still has ``side`` pixels each way.

    Args:
        images: a split.
        row: which of its images.
        regions_of: from the image's height and width to its regions (R, 4): top, left, height, width in
            pixels. Integers: cut out, then resized, as torchvision's crops are. Floats: the resizing looks a
            little beyond a region's edges, as in a crop of a resized image; by PIL, which is slower.
        side: height and width of the result.

    Returns:
        uint8 (R, side, side, 3).

    Raises:
        InputError: the JPEG cannot be decoded.
    """
    with images.opened(row) as (image, content):
        width, height = image.size
        regions = regions_of(height, width)
        reduction = max((s for s in (1, 2, 4, 8) if regions[:, 2:].min() >= s * side), default=1)
        if reduction > 1 and (drafted := image.draft("RGB", (width // reduction, height // reduction))):
            # the last pixels of a reduced image may be covered only in part: draft returns the covered box
            regions = regions * (drafted[1][2] / width)
        elif regions.dtype.kind == "i":
            pixels = _pixels(image, content)
            parts = [pixels[None, :, top : top + h, left : left + w] for top, left, h, w in regions.tolist()]
            return np.concatenate([_resized(part, side) for part in parts])
        image = image.convert("RGB")
        boxes = [(left, top, left + w, top + h) for top, left, h, w in regions.tolist()]
        return np.stack([image.resize((side, side), Image.Resampling.BILINEAR, box) for box in boxes])


def _pixels(image: Image.Image, content: bytes) -> Tensor:
    """An image's pixels, uint8 (3, H, W): the same by either decoder, but PIL is slower and reads more."""
    if image.mode in ("L", "RGB"):  # of four colours each makes its own RGB
        with suppress(RuntimeError):  # PIL reads it or says what is wrong
            return decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.RGB)
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def _resized(part: Tensor, side: int) -> np.ndarray:
    part = part.contiguous(memory_format=torch.channels_last)  # fast for these alone
    return F.interpolate(part, (side, side), mode="bilinear", antialias=True).permute(0, 2, 3, 1).numpy()


@contextmanager
def decoded(
    decode: Callable[[Job], np.ndarray],
    jobs: Iterable[Job],
    workers: int | str,
    ahead: int,
    device: torch.device,
) -> Iterator[Iterator[Tensor]]:
    """Run jobs ahead of time; gives an iterator over their pixels, in the order of the jobs.

    Worker processes end with the block.

    Args:
        decode: what a worker does with a job; raises InputError if it cannot be done.
        jobs: may be endless; ``ahead`` of them are taken from it early.
        workers: processes, or ``auto``, see :func:`cld.runtime.worker_pool.worker_count`; 0: this process
            decodes, when it is asked.
        ahead: how many jobs are under way, or done and not yet asked for.
        device: of the pixels. A GPU copies them while it computes.

    Raises:
        InputError: from the block, that of ``decode``, or a worker died.
    """
    workers = worker_count(workers)
    if not workers:
        yield (torch.from_numpy(decode(job)).to(device) for job in jobs)
        return
    jobs = iter(jobs)
    with worker_pool(workers, partial(_decoded_by_worker, decode)) as pool:
        # not by Executor.map, which takes all jobs at once
        results = deque(pool.submit(call, job) for job in islice(jobs, max(ahead, workers)))

        def in_order() -> Iterator[Tensor]:
            while results:
                pixels = torch.from_numpy(results.popleft().result())
                results.extend(pool.submit(call, job) for job in islice(jobs, 1))
                pixels = pixels.pin_memory() if device.type == "cuda" else pixels
                yield pixels.to(device, non_blocking=True)

        yield in_order()


def _decoded_by_worker(decode: Callable[[Job], np.ndarray], job: Job) -> np.ndarray:
    """A job's pixels. An array comes back through a pipe; PyTorch's tensors would need room in /dev/shm."""
    torch.set_num_threads(1)  # a fork cannot use its parent's threads
    return decode(job)
