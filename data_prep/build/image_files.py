"""Colour and depth images, read once: the bytes that are hashed are the bytes that are decoded."""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from cld.errors import InputError
from data_prep.build.boxes import Box


class FileDigest(NamedTuple):
    """A file that a build has read: path relative to the source's root, size in bytes, SHA-256."""

    path: str
    size: int
    sha256: str


def digest(path: Path, root: Path, content: bytes | None = None) -> FileDigest:
    """Describe a file, reading it where ``content`` does not hold its bytes already."""
    content = path.read_bytes() if content is None else content
    return FileDigest(path.relative_to(root).as_posix(), len(content), hashlib.sha256(content).hexdigest())


class EncodedImage:
    """An image whose header has been read and whose pixels have not."""

    def __init__(self, path: Path):
        """Read the file and its header.

        Raises:
            InputError: not readable, or not an image.
        """
        self.path = path
        try:
            self.content = path.read_bytes()
            self._image = Image.open(io.BytesIO(self.content))
        except _FAILURES as error:
            raise _unreadable(path, error) from error

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self._image.size

    def colour(self) -> Image.Image:
        """Decode to 8-bit RGB.

        Raises:
            InputError: the image is cut short or broken.
        """
        self._load()
        return self._image if self._image.mode == "RGB" else self._image.convert("RGB")

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
        try:
            self._image.load()
        except _FAILURES as error:
            raise _unreadable(self.path, error) from error


def resized(image: Image.Image, region: Box, side: int) -> np.ndarray:
    """A region of an RGB image, resized with antialiasing to uint8 (side, side, 3)."""
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=region))


# what Pillow raises for broken files: SyntaxError for a broken PNG chunk, ValueError for absurd headers
_FAILURES = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def _unreadable(path: Path, error: Exception) -> InputError:
    # Pillow's own words name the address of the buffer
    reason = "of no known format" if isinstance(error, UnidentifiedImageError) else error
    return InputError(f"{path}: not readable as an image ({reason}); fetch it again")
