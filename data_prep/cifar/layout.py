"""Which files the two publications have, and how they name what is in them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One publication.

    Attributes:
        folder: under the source's root.
        batches: file names by split, in the order of the images.
        meta: name of the file with the classes' names.
        names: key of those names in it.
        labels: key of the labels in a batch.
        n_classes: classes.
    """

    folder: str
    batches: Mapping[str, tuple[str, ...]]
    meta: str
    names: str
    labels: str
    n_classes: int


#: By the name of the source.
VARIANTS = {
    "cifar10": Variant(
        folder="cifar-10-batches-py",
        batches={"train": tuple(f"data_batch_{n}" for n in range(1, 6)), "test": ("test_batch",)},
        meta="batches.meta",
        names="label_names",
        labels="labels",
        n_classes=10,
    ),
    "cifar100": Variant(
        folder="cifar-100-python",
        batches={"train": ("train",), "test": ("test",)},
        meta="meta",
        names="fine_label_names",
        labels="fine_labels",
        n_classes=100,
    ),
}
