"""Colour and depth images, read once: the bytes that are hashed are the bytes that are decoded."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from cld.runtime.errors import InputError
from data_prep.common.boxes import Box

#: Bytes of a scan that are decoded where the rest is only looked through.
SAMPLE_BYTES = 4096
_END = b"\xff\xd9"
#: What ends a scan of a JPEG: a marker other than those that restart its decoder, and no 255 of pixels.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class EncodedImage:
    """An image, ``content``, whose header has been read and whose pixels have not.

    ``conversions`` says in words what decoding changed.
    """

    def __init__(self, path: Path, content: bytes | None = None):
        """Read the header, and the file where ``content`` does not hold its bytes already.

        Raises:
            InputError: not readable, or not an image.
        """
        self.path = path
        self.conversions: list[str] = []
        with self._decoding():
            self.content = path.read_bytes() if content is None else content
            self._image = Image.open(io.BytesIO(self.content))
        mode = self._image.mode
        self._is_16_bit_grey = mode.startswith("I;16") or (mode == "I" and self.format == "PPM")
        self._is_16_bit_colour = mode.startswith("RGB") and ";16" in str(self._image.tile)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self._image.size

    @property
    def format(self) -> str:
        """The format's name, as Pillow has it: "PNG"; of the content, whatever the file is called."""
        return self._image.format

    @property
    def is_jpeg(self) -> bool:
        """Whether a reader of JPEGs reads it (an MPO is a JPEG with further pictures behind it)."""
        return self.format in ("JPEG", "MPO")

    @property
    def is_plain_jpeg(self) -> bool:
        """Whether it is a grey or RGB JPEG, which every reader of JPEGs shows alike."""
        return self.is_jpeg and self._image.mode in ("L", "RGB")

    def check(self) -> None:
        """Find out whether a JPEG can be decoded, without decoding it whole where that tells no more.

        To a decoder wrong bits of pixels are no error, but a head that it cannot use and a missing end are.
        So of a JPEG of one scan that runs to its end marker only the head and a few rows are decoded. Others
        are decoded as fast as can be: all bits are read, but pixels come grey and an eighth as large.

        Raises:
            InputError: the image is cut short or broken.
        """
        content = self.content
        scan = _start_of_scan(content)
        if scan and (marker := _MARKER.search(content, scan)) and marker[0] == _END:
            content = content[: min(scan + SAMPLE_BYTES, marker.start())] + _END
        with self._decoding():
            image = Image.open(io.BytesIO(content))
            image.draft("L", tuple(max(1, side // 8) for side in self.size))
            image.load()

    def colour(
        self, upright: bool = True, *, keep_grey: bool = False, at_least: tuple[int, int] | None = None
    ) -> Image.Image:
        """Decode to 8-bit RGB, turned upright where EXIF says that the camera was not.

        Args:
            keep_grey: grey images stay grey (mode "L").
            at_least: (width, height) in pixels: a JPEG may be decoded at a reduced scale, with no side
                shorter than these; faster than decoding it whole.

        Raises:
            InputError: the image is cut short or broken, has channels of 32 bits, signed ones, or colours of
                16 bits of which 12 or fewer are used.
        """
        orientation, size = self.orientation if upright else 1, self.size
        if at_least is not None:
            self._image.draft(self._image.mode, at_least)
        self._load()
        image = self._image
        if image.size != size:
            self.conversions.append("decoded at a reduced scale")
        if self._is_16_bit_grey:
            values = np.asarray(image)
            bits = _bits_used(values)
            self.conversions.append(
                "16 bits to 8" if bits == 16 else f"16 bits, of which {bits} are used, to 8"
            )
            image = Image.fromarray((values >> (bits - 8)).astype(np.uint8))
        elif self._is_16_bit_colour:  # Pillow keeps the upper 8
            if max(high for _, high in image.getextrema()[:3]) < 1 << 4:
                raise InputError(
                    f"{self.path}: its colours have 16 bits, of which 12 or fewer are used: nearly black; "
                    "save it with 8 bits, or with values up to 65,535"
                )
            self.conversions.append("16 bits to 8")
        elif image.mode in ("I", "F"):
            raise InputError(
                f"{self.path}: its channels are signed or have 32 bits; save it with 8 or 16 bits"
            )
        if orientation != 1:
            self.conversions.append("turned upright, as EXIF says")
            image = image.transpose(_TURNS[orientation])
        if image.mode != "RGB" and not (keep_grey and image.mode == "L"):
            self.conversions.append(f"{_MODES.get(image.mode, image.mode)} to RGB")
            with self._decoding():
                image = image.convert("RGB")
        return image

    @property
    def orientation(self) -> int:
        """EXIF's orientation, 1..8. 1 = upright; also where it is broken, and of TIFFs: Pillow turns them."""
        if self.format == "TIFF":
            return 1
        try:
            with self._decoding():
                orientation = self._image.getexif().get(ExifTags.Base.Orientation, 1)
        except InputError:
            return 1
        return orientation if orientation in _TURNS else 1

    def depth(self) -> np.ndarray:
        """Decode a 16-bit single-channel image to uint16 (H, W).

        Raises:
            InputError: the image is cut short or broken, or has not one channel of 16 bits.
        """
        self._load()
        if self._image.mode != "I;16":
            raise InputError(
                f"{self.path}: a depth image has one channel of 16 bits, this one is {self._image.mode}"
            )
        return np.asarray(self._image)

    def _load(self) -> None:
        with self._decoding():
            self._image.load()

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        """Turn whatever Pillow makes of a broken file into one line; its warnings name no file."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except Image.DecompressionBombError as error:
            raise InputError(f"{self.path}: too many pixels ({error}); shrink it") from error
        except Exception as error:
            # Pillow's own words name the address of the buffer
            reason = "of no known format" if isinstance(error, UnidentifiedImageError) else error
            raise InputError(f"{self.path}: not readable as an image ({reason}); fetch it again") from error


def _start_of_scan(content: bytes) -> int:
    """Where a JPEG's first scan begins; 0 where its head is none that can be followed to there."""
    at = 2
    while content[at : at + 1] == b"\xff":
        length = 2 + int.from_bytes(content[at + 2 : at + 4])
        if content[at + 1 : at + 2] == b"\xda":
            return at + length
        at += length
    return 0


def _bits_used(values: np.ndarray) -> int:
    """How many bits a camera or scanner had whose values lie in 16: 8, 10, 12, 14 or 16."""
    return next(bits for bits in (8, 10, 12, 14, 16) if values.max(initial=0) < 1 << bits)


def resized(image: Image.Image, region: Box, side: int) -> np.ndarray:
    """A region of an RGB image, resized with antialiasing to uint8 (side, side, 3)."""
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=region))


_MODES = {
    "L": "grey",
    "1": "black and white",
    "P": "palette",
    "RGBA": "transparency",
    "LA": "transparency",
    "PA": "transparency",
}

#: What undoes each of EXIF's orientations.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
