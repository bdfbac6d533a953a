"""Settings of the ImageNet builder: the section ``build`` of its datasets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cld.runtime.errors import InputError
from data_prep.common.array_settings import WHERE, stated_counts
from data_prep.common.encoded_build import Encoding
from data_prep.common.settings import require_flag, require_share
from data_prep.imagenet.chosen_synsets import LISTS

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ImageNetSettings:
    """Which of ImageNet's images a store holds, and how.

    Attributes:
        synsets: a list of synsets to keep (``imagenet100``); None: all that have training images.
        missing_synsets: what to do where a synset of the list has no training images: refuse or skip.
        lists: take the images, their labels and their splits from ImageNet-LT's lists.
        short_side: images whose shorter side is longer, in pixels, are shrunk to it; None: none is.
        quality: of the JPEGs that are encoded again, 1..100.
        upright: turn images as EXIF says. The published results were trained through loaders that do not.
        expect: images by split; None: any number.
        max_bad_share: of the images, 0..1, that may be unreadable and are then left out.
    """

    synsets: str | None = None
    missing_synsets: str = "refuse"
    lists: bool = False
    short_side: int | None = None
    quality: int = 90
    upright: bool = False
    expect: Mapping[str, int | None] = field(default_factory=lambda: {"train": 1_281_167, "test": 50_000})
    max_bad_share: float = 0.0

    def __post_init__(self):
        """Check ranges.

        Raises:
            InputError: names the setting and its value.
        """
        if self.synsets is not None and self.synsets not in LISTS:
            raise InputError(
                f"{WHERE}: synsets is {self.synsets!r}; it must be {' or '.join(LISTS)}, or null"
            )
        if self.missing_synsets not in ("refuse", "skip"):
            raise InputError(
                f"{WHERE}: missing_synsets is {self.missing_synsets!r}; it must be refuse or skip"
            )
        require_flag("build settings", self, "lists")
        if self.lists and self.synsets is not None:
            raise InputError(
                f"{WHERE}: synsets is {self.synsets!r} and lists is true; lists are of all synsets: set "
                f"synsets "
                "to null"
            )
        require_share(WHERE, self, max_bad_share=(0, 1))
        stated_counts(self.expect, SPLITS)
        _ = self.encoding

    @property
    def encoding(self) -> Encoding:
        """How images are stored."""
        return Encoding(self.short_side, self.quality, self.upright)
