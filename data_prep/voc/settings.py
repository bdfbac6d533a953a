"""Settings of the builder of Pascal VOC."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cld.runtime.errors import InputError
from data_prep.common.array_settings import stated_counts
from data_prep.common.jpeg_encoding import Encoding
from data_prep.common.settings import require_share
from data_prep.voc.devkit import ImageSet

WHERE = "build settings"
SPLITS = ("train", "test")


@dataclass(frozen=True)
class VocSettings:
    """Which images make up the splits, and how they are stored.

    Attributes:
        train: image sets of the training split, one after the other, each a year and a name:
            ``[2007, trainval]``.
        test: of the test split. No image may be in both.
        short_side: as of :class:`data_prep.common.jpeg_encoding.Encoding`; boxes shrink with their images.
            None: the published sizes.
        quality: as of ``Encoding``.
        upright: as of ``Encoding``; boxes turn with their images. False: the published detectors were
            trained through readers that ignore EXIF.
        expect: images by split that must be found; null or left out: any number.
        max_bad_share: share (0..1) of images with a problem, above which the build fails. 0: the published
            files have none.
    """

    train: tuple[ImageSet, ...]
    test: tuple[ImageSet, ...]
    short_side: int | None = None
    quality: int = 90
    upright: bool = False
    expect: Mapping[str, int | None] = field(default_factory=dict)
    max_bad_share: float = 0.0

    def __post_init__(self) -> None:
        for split in SPLITS:
            object.__setattr__(self, split, _image_sets(split, getattr(self, split)))
        require_share(WHERE, self, max_bad_share=(0, 1))
        stated_counts(self.expect, SPLITS)
        _ = self.encoding

    @property
    def encoding(self) -> Encoding:
        """How the images are stored."""
        return Encoding(self.short_side, self.quality, self.upright)


def _image_sets(split: str, value: object) -> tuple[ImageSet, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise InputError(f"{WHERE}: {split} is {value!r}; it must list image sets, e.g. [[2007, trainval]]")
    for entry in value:
        is_pair = isinstance(entry, list | tuple) and [type(part) for part in entry] == [int, str]
        if not is_pair or not entry[1]:
            raise InputError(
                f"{WHERE}: {split} holds {entry!r}; an image set is a year and a name, e.g. [2007, trainval]"
            )
    return tuple(ImageSet(*entry) for entry in value)
