"""Images as JPEGs: kept byte for byte where they can be, else decoded and encoded again."""

import io
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from cld.runtime.errors import InputError
from data_prep.common.image_files import EncodedImage

#: What libjpeg can write.
LARGEST_SIDE = 65_500


@dataclass(frozen=True)
class Encoding:
    """How a store's JPEGs are made; part of the settings of every builder of such stores."""

    short_side: int | None = None  # in pixels: longer shorter sides are shrunk to it; None: none is
    quality: int = 90  # of the JPEGs that are encoded again, 1..100
    upright: bool = True  # images are turned as EXIF says


class Jpeg(NamedTuple):
    """An image as it is stored, and what became of it; sizes are (width, height) in pixels."""

    content: bytes  # grey or RGB
    size_before: tuple[int, int]
    orientation: int  # EXIF's, where the image was turned by it; else 1
    size: tuple[int, int]
    conversions: list[str]  # in words; empty where ``content`` are the upstream bytes


def as_jpeg(image: EncodedImage, encoding: Encoding) -> Jpeg:
    """Encode an image: its own bytes where it is a grey or RGB JPEG that needs no turning and no shrinking.

    A broken file is found either way, see :meth:`EncodedImage.check`.

    Raises:
        InputError: the image is cut short or broken, has channels of 32 bits or signed ones, or is longer
            than a JPEG can be.
    """
    before, short = image.size, min(image.size)
    orientation = image.orientation if encoding.upright else 1
    shrinks = encoding.short_side is not None and short > encoding.short_side
    if image.is_plain_jpeg and orientation == 1 and not shrinks:
        image.check()
        return Jpeg(image.content, before, 1, before, [])
    # twice the side that is needed: what decoding at a reduced scale leaves is then resampled once, and well
    at_least = (2 * encoding.short_side,) * 2 if shrinks else None
    picture = image.colour(encoding.upright, keep_grey=True, at_least=at_least)
    conversions = list(image.conversions)
    if shrinks:
        width, height = before if orientation < 5 else before[::-1]
        size = tuple(max(1, round(side * encoding.short_side / short)) for side in (width, height))
        picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
        conversions.append(f"shrunk to the shorter side {encoding.short_side}")
    if not image.is_jpeg:
        conversions.append(f"{image.format} to JPEG")
    if max(picture.size) > LARGEST_SIDE:
        width, height = picture.size
        raise InputError(f"{image.path}: {width} x {height} pixels do not fit a JPEG; shrink it")
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=encoding.quality, comment=b"")
    return Jpeg(buffer.getvalue(), before, orientation, picture.size, conversions)
