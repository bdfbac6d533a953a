import numpy as np
import pytest
import toy_imagenet
from toy_imagenet import SYNSETS

from cld.data import EncodedImages
from cld.runtime.errors import InputError
from data_prep.common.build_record import Target
from data_prep.common.settings import settings_from
from data_prep.imagenet.build import build_imagenet
from data_prep.imagenet.long_tail_lists import shots

COUNTS = {"train": 10, "val": 4, "test": 8}


@pytest.fixture
def store(tmp_path):
    return tmp_path / "out" / "lt.h5"


def build(root, store, **settings):
    target = Target(store, store.with_suffix(".csv"), store.with_suffix(".md"), "imagenet_lt", "demo")
    return build_imagenet(
        root,
        settings_from("build/imagenet", {"lists": True, "expect": COUNTS} | settings, "build settings"),
        target,
        1,
    )


@pytest.mark.parametrize("lists", ["flat", "folders"])
@pytest.mark.parametrize("files", ["trees", "flat trees", "archives"])
def test_the_lists_choose_images_and_splits(tmp_path, store, lists, files):
    """Validation images are found whichever way lists and files name them; no kit is needed."""
    root = tmp_path / "imagenet"
    if files == "archives":
        toy_imagenet.write_archives(root)
        (root / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    else:
        toy_imagenet.write_trees(root, flat_val=files == "flat trees")
    toy_imagenet.write_lists(root, flat_val=lists == "flat")
    info = build(root, store)
    assert info.sizes == COUNTS
    assert info.classes == SYNSETS
    assert "## Long tail" in store.with_suffix(".md").read_text()
    contents = toy_imagenet.contents()
    for split in COUNTS:
        lines = (root / "ImageNet_LT" / f"ImageNet_LT_{split}.txt").read_text().split("\n")[:-1]
        images = EncodedImages(store, split)
        assert images.labels.tolist() == [int(line.split()[1]) for line in lines]
        rows = [row.split(",") for row in store.with_suffix(".csv").read_text().splitlines()]
        names = [row[4] for row in rows if row[0] == split]
        assert [name.split("/")[-1] for name in names] == [line.split()[0].split("/")[-1] for line in lines]
        assert [images[i] for i in range(len(images))] == [contents[name] for name in names]


def test_shots_are_many_medium_and_few():
    train = np.repeat(np.arange(5), [500, 101, 100, 20, 19])
    rows = shots({"train": train, "test": np.array([0, 0, 1, 2, 3, 4])}, 6)
    assert [tuple(row.values())[1:] for row in rows] == [(2, 601, 3), (2, 120, 2), (2, 19, 1)]


def edit(split, number, text):
    """Replace a line of a list; numbers count from 1, number 0 appends."""

    def spoil(root):
        path = root / "ImageNet_LT" / f"ImageNet_LT_{split}.txt"
        lines = path.read_text().splitlines()
        if number:
            lines[number - 1] = text
        else:
            lines.append(text)
        path.write_text("\n".join(lines) + "\n")

    return spoil


def remove(split):
    return lambda root: (root / "ImageNet_LT" / f"ImageNet_LT_{split}.txt").unlink()


FIRST = "train/n01440764/n01440764_0.JPEG"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove("val"), r"ImageNet_LT_val.txt: missing; get ImageNet-LT's lists"),
        (edit("train", 2, FIRST), r"_train.txt, line 2: '.*' is not 'path label'"),
        (edit("train", 2, f"{FIRST} one"), r"_train.txt, line 2: '.*' is not 'path label'"),
        (edit("train", 3, f"{FIRST} -1"), r"_train.txt, line 3: '.*' is not 'path label'"),
        (edit("val", 1, "train/n01440764/n01440764_9.JPEG 0"), r"_val.txt, line 1: there is no train/.*_9"),
        (edit("test", 8, "val/ILSVRC2012_val_00000009.JPEG 0"), r"_test.txt, line 8: there is no val/"),
        (edit("train", 0, f"{FIRST} 0"), r"line 11: .* was listed before, in ImageNet_LT_train.txt, line 1"),
        (edit("val", 1, f"{FIRST} 0"), r"_val.txt, line 1: .* was listed before, in ImageNet_LT_train.txt"),
        (edit("train", 1, f"{FIRST} 4"), r"_train.txt, line 1: label 4 is outside 0..3"),
        (edit("train", 1, f"{FIRST} 1"), r"line 1: label 1 is n02012849, but .*_0.JPEG shows n01440764"),
    ],
)
def test_bad_lists_name_the_line(tmp_path, store, spoil, message):
    root = toy_imagenet.write_trees(tmp_path / "imagenet")
    toy_imagenet.write_lists(root)
    spoil(root)
    with pytest.raises(InputError, match=message) as caught:
        build(root, store)
    assert "\n" not in str(caught.value)
    assert not store.exists()
