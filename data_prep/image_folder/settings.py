"""Settings of the builder of one's own images."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from cld.runtime.errors import InputError
from data_prep.common.array_settings import require_normalisation
from data_prep.common.jpeg_encoding import Encoding
from data_prep.common.settings import require_share, require_whole

WHERE = "build settings"
ARRAYS, JPEG = "arrays", "jpeg"
CROP, STRETCH = "crop", "stretch"


@dataclass(frozen=True)
class FolderSettings:
    """How images become a store, and how they are split where they are not split already.

    Attributes:
        kind: ``arrays``: squares of one size, loaded whole, for small images; ``jpeg``: images of any size,
            decoded again for each view, for images of more than about 100 pixels.
        image_size: side of the squares in pixels, *arrays*.
        fit: how an image becomes a square, *arrays*. ``crop``: its middle, by its shorter side; ``stretch``:
            all of it, its proportions lost.
        short_side: as of :class:`data_prep.common.jpeg_encoding.Encoding`, *jpeg*.
        quality: as of ``Encoding``, *jpeg*.
        test_share: share (0..1) of a class's images that test, where the folder has no splits; at least one
            image.
        val_share: share (0..1) of a class's training images that validate, where the folder has no split
            ``val``; 0: there is no such split.
        split_seed: of both choices. A class's follow from the seed, its name and its images alone.
        min_class_images: fewest images of a class, all splits together. 2: one to learn, one to test.
        max_bad_share: share (0..1) of images that may be unreadable, above which the build fails.
        mean: what views are normalised with, per channel in [0, 1], *arrays*. None: measured on ``train``.
            Kind ``jpeg`` has ImageNet's.
        std: as ``mean``.
    """

    kind: str = ARRAYS
    image_size: int = 32
    fit: str = CROP
    short_side: int | None = None
    quality: int = 90
    test_share: float = 0.2
    val_share: float = 0.0
    split_seed: int = 0
    min_class_images: int = 2
    max_bad_share: float = 0.02
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def __post_init__(self) -> None:
        for name, choices in (("kind", (ARRAYS, JPEG)), ("fit", (CROP, STRETCH))):
            value = getattr(self, name)
            if value not in choices:
                raise InputError(f"{WHERE}: {name} is {value!r}; it must be {' or '.join(choices)}")
        require_whole(WHERE, self, image_size=(1, 4096), split_seed=(0, inf), min_class_images=(1, inf))
        require_share(WHERE, self, test_share=(0, 0.9), val_share=(0, 0.9), max_bad_share=(0, 1))
        require_normalisation(self.mean, self.std)
        if self.kind == JPEG and self.mean is not None:
            raise InputError(
                f"{WHERE}: mean is {self.mean!r}; kind jpeg has ImageNet's: set mean and std to null"
            )
        _ = self.encoding

    @property
    def encoding(self) -> Encoding:
        """How images are stored as JPEGs."""
        return Encoding(self.short_side, self.quality)
