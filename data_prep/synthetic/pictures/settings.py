"""Settings of the demo's generators of upstream files, one class a format."""

from dataclasses import dataclass
from math import inf

from cld.runtime.errors import InputError
from data_prep.common.settings import require_flag, require_whole
from data_prep.synthetic.pictures.synsets import LISTED, OTHERS

SEEDS = (0, 2**32 - 1)


@dataclass(frozen=True)
class CifarSettings:
    """CIFAR-10 and CIFAR-100: pictures of 32×32 pixels.

    Attributes:
        train: training pictures, a multiple of CIFAR-10's five batches.
        test: test pictures.
        seed: all that is random follows from it.
    """

    train: int = 4000
    test: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        require_whole("cifar generator", self, train=(5, 50_000), test=(1, 10_000), seed=SEEDS)
        if self.train % 5:
            raise InputError(f"cifar generator: train is {self.train}; it must be a multiple of 5")


@dataclass(frozen=True)
class Stl10Settings:
    """STL-10: pictures of 96×96 pixels.

    Attributes:
        train: labelled training pictures, a fifth of them in each of the ten folds.
        unlabelled: pictures without labels, a third of them of classes that have none.
        test: test pictures.
        seed: all that is random follows from it.
    """

    train: int = 300
    unlabelled: int = 300
    test: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {"train": (5, 5000), "unlabelled": (1, 100_000), "test": (1, 8000), "seed": SEEDS}
        require_whole("stl10 generator", self, **limits)


@dataclass(frozen=True)
class ImagenetSettings:
    """ImageNet: JPEGs of many sizes in trees of synsets or in the published archives, ImageNet-LT's lists.

    Attributes:
        listed_synsets: synsets of ImageNet-100's list, the first ones.
        other_synsets: synsets that are not in that list.
        train_per_synset: training pictures of each synset.
        val_per_synset: validation pictures of each synset.
        lt_most: pictures of the commonest synset in ImageNet-LT's training list.
        lt_least: pictures of the rarest one; the numbers between fall off exponentially.
        lt_val: pictures of each synset in its validation list, none of them in the training list.
        archives: write the three published archives in place of the trees.
        seed: all that is random follows from it.
    """

    listed_synsets: int = 16
    other_synsets: int = 4
    train_per_synset: int = 40
    val_per_synset: int = 10
    lt_most: int = 30
    lt_least: int = 3
    lt_val: int = 5
    archives: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = {  # in this order: the later ones depend on the earlier
            "listed_synsets": (1, len(LISTED)),
            "other_synsets": (0, len(OTHERS)),
            "train_per_synset": (2, 1300),
            "val_per_synset": (1, 50),
            "lt_val": (1, self.train_per_synset - 1 if isinstance(self.train_per_synset, int) else inf),
        }
        require_whole("imagenet generator", self, **ranges)
        require_whole("imagenet generator", self, lt_most=(1, self.train_per_synset - self.lt_val))
        require_whole("imagenet generator", self, lt_least=(1, self.lt_most), seed=SEEDS)
        require_flag("imagenet generator", self, "archives")


@dataclass(frozen=True)
class VocSettings:
    """PASCAL VOC 2007 and 2012: scenes of one to four objects of about 200×150 pixels, with annotations.

    Attributes:
        trainval_2007: pictures for training of VOC2007, half of them in each of train and val.
        test_2007: test pictures of VOC2007.
        trainval_2012: pictures for training of VOC2012, half of them in each of train and val.
        seed: all that is random follows from it.
    """

    trainval_2007: int = 160
    test_2007: int = 80
    trainval_2012: int = 120
    seed: int = 0

    def __post_init__(self) -> None:
        limits = dict.fromkeys(("trainval_2007", "test_2007", "trainval_2012"), (2, 20_000))
        require_whole("voc generator", self, **limits, seed=SEEDS)
