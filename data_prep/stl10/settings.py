"""Settings of the STL-10 builder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from data_prep.common.array_settings import require_normalisation, stated_counts
from data_prep.common.settings import require_flag
from data_prep.stl10.layout import IMAGES


@dataclass(frozen=True)
class Stl10Settings:
    """What is expected of the files.

    Attributes:
        check_md5: hold each file to its published MD5, where it has one; false only for files that are not
            the published ones.
        expect: images by split; null: any number.
        mean, std: what views are normalised with, three numbers each, above 0 and at most 1; null: measured
            on ``train``. 0.5: the base methods' runs on STL-10.
    """

    check_md5: bool = True
    expect: Mapping[str, int | None] = field(
        default_factory=lambda: {"train": 5_000, "unlabelled": 100_000, "test": 8_000}
    )
    mean: Sequence[float] | None = (0.5, 0.5, 0.5)
    std: Sequence[float] | None = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        require_flag("build settings", self, "check_md5")
        stated_counts(self.expect, tuple(IMAGES))
        require_normalisation(self.mean, self.std)
