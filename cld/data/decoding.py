"""JPEGs to small squares of pixels, by processes that work ahead of whoever needs the pixels.

A job is whatever a process needs to know; what comes of it depends neither on which process does it nor on
on how many there are.
"""

import io
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cld.data import EncodedImages, StoreInfo
from cld.runtime.errors import InputError
from cld.runtime.signals import STOPPING

#: Side of what a network sees of images that have sizes of their own.
JPEG_SIDE = 224

Job = TypeVar("Job")


def view_side(image_size: int | str, info: StoreInfo) -> int:
    """Side of the views in pixels; ``auto``: the images' own, or JPEG_SIDE where they have many."""
    return (info.image_size or JPEG_SIDE) if image_size == "auto" else image_size


def cut(
    images: EncodedImages, row: int, regions_of: Callable[[int, int], np.ndarray], side: int
) -> np.ndarray:
    """Decode one JPEG, once, and resize regions of it bilinearly, with antialiasing.

    It is decoded at 1/2, 1/4 or 1/8 of its size where every region still has ``side`` pixels each way.

    Args:
        images: a split.
        row: which of its images.
        regions_of: from the image's height and width to its regions (R, 4): top, left, height, width in
            pixels, fractions too.
        side: height and width of the result.

    Returns:
        uint8 (R, side, side, 3).

    Raises:
        InputError: the JPEG cannot be decoded.
    """
    try:
        image = Image.open(io.BytesIO(images[row]))
        width, height = image.size
        regions = regions_of(height, width)
        reduction = max((s for s in (1, 2, 4, 8) if regions[:, 2:].min() >= s * side), default=1)
        if reduction > 1 and (drafted := image.draft("RGB", (width // reduction, height // reduction))):
            # a reduced image may end in pixels that are only partly covered: the draft says where
            regions = regions * (drafted[1][2] / width)
        image = image.convert("RGB")
        return np.stack(
            [
                np.asarray(
                    image.resize((side, side), Image.Resampling.BILINEAR, (left, top, left + w, top + h))
                )
                for top, left, h, w in regions.tolist()
            ]
        )
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{images.path}: image {row} cannot be decoded ({error}); build it again") from error


class _Decoder(Dataset):
    def __init__(self, decode: Callable[[Job], np.ndarray]):
        self.decode = decode

    def __getitem__(self, job: Job) -> Tensor | InputError:
        try:
            return torch.from_numpy(self.decode(job))
        except InputError as error:
            return error  # what is raised here reaches the other side with a traceback in its message


@contextmanager
def decoded(
    decode: Callable[[Job], np.ndarray], jobs: Iterable[Job], workers: int, ahead: int, pin: bool
) -> Iterator[Iterator[Tensor]]:
    """Have jobs done ahead of time; gives an iterator over their pixels, in the jobs' order.

    Args:
        decode: what a process does with a job; raises InputError where it cannot be done.
        jobs: may be endless; about ``ahead`` of them are taken from it early.
        workers: processes; 0: this one decodes, when it is asked.
        ahead: how many jobs are under way or done and not yet asked for.
        pin: whether the pixels come in memory from which a GPU copies while it computes.

    Raises:
        InputError: from the iterator, that of ``decode``; from the block, a process died.
    """
    loader = DataLoader(
        _Decoder(decode),
        batch_size=None,
        sampler=jobs,
        num_workers=workers,
        pin_memory=pin,
        prefetch_factor=max(2, -(-ahead // workers)) if workers else None,
        worker_init_fn=_leave_signals_to_parent,
    )
    batches = iter(loader)
    try:
        yield map(_pixels, batches)
    except RuntimeError as error:
        # PyTorch notices a death through a signal: this may come from any line of the block
        if not str(error).startswith("DataLoader worker"):
            raise
        reason = str(error).splitlines()[0].rstrip(". ")
        raise InputError(
            f"a decoding process died ({reason}), most likely for want of memory; run with fewer than "
            f"{workers} workers, or with 0"
        ) from None
    finally:
        if workers:
            # by itself it would wait for the garbage collector, from which a traceback can keep it
            batches._shutdown_workers()


def _leave_signals_to_parent(_: int) -> None:
    """Schedulers and terminals signal a whole group, and the parent still needs pixels for its last step."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _pixels(result: Tensor | InputError) -> Tensor:
    if isinstance(result, InputError):
        raise result
    return result
