"""Settings of the CIFAR builder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cld.runtime.errors import InputError
from data_prep.cifar.layout import SPLITS, VARIANTS
from data_prep.common.array_settings import WHERE, require_normalisation, stated_counts
from data_prep.common.settings import require_flag, require_share, require_whole


@dataclass(frozen=True)
class CifarSettings:
    """Which publication, and how much of it.

    Attributes:
        variant: ``"cifar10"`` or ``"cifar100"``.
        imbalance: images of the first class over those of the last, in training. 1: every image. The
            supplement names CIFAR-10-LT and CIFAR-100-LT and states no ratio; 100 is the commonest.
        imbalance_seed: of the choice of the images that a long tail keeps.
        check_md5: hold each file to its published MD5; false only for files that are not the published ones.
        expect: images by split, before a long tail is cut; null: any number.
        mean, std: what views are normalised with, three numbers each, above 0 and at most 1; null: measured
            on the training images that the store keeps.
    """

    variant: str = "cifar10"
    imbalance: float = 1
    imbalance_seed: int = 0
    check_md5: bool = True
    expect: Mapping[str, int | None] = field(default_factory=lambda: {"train": 50_000, "test": 10_000})
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.variant not in list(VARIANTS):  # a list: what YAML gives may have no hash
            raise InputError(f"{WHERE}: variant is {self.variant!r}; it must be one of {', '.join(VARIANTS)}")
        require_share(WHERE, self, imbalance=(1, 1e6))
        require_whole(WHERE, self, imbalance_seed=(0, float("inf")))
        require_flag("build settings", self, "check_md5")
        stated_counts(self.expect, SPLITS)
        require_normalisation(self.mean, self.std)
