"""The generated files, as the publishers' own readers and independent ones see them."""

import pickle
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from data_prep.common.settings import GENERATE_SCHEMAS, settings_from
from data_prep.imagenet.chosen_synsets import listed_synsets
from data_prep.synthetic.generate_command import WRITERS
from data_prep.synthetic.pictures import cifar_files, imagenet_files, stl10_files, voc_files
from data_prep.synthetic.pictures.class_looks import class_looks
from data_prep.synthetic.pictures.picture_set import draw_set

SIZES = {
    "cifar10": {"train": 200, "test": 100},
    "cifar100": {"train": 200, "test": 100},
    "stl10": {"train": 20, "unlabelled": 30, "test": 20},
    "imagenet": {
        **{"listed_synsets": 4, "other_synsets": 2, "train_per_synset": 12, "val_per_synset": 3},
        **{"lt_most": 8, "lt_least": 1, "lt_val": 3},
    },
    "voc": {"trainval_2007": 40, "test_2007": 10, "trainval_2012": 30},
}
SYNSETS = sorted((*listed_synsets("imagenet100")[:4], *imagenet_files.OTHERS[:2]))


def write(name: str, folder: Path, workers: int, **changes: object) -> Path:
    folder.mkdir()
    WRITERS[name](folder, settings_from(GENERATE_SCHEMAS[name], SIZES[name] | changes, name), workers)
    return folder


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Folders of the formats, each written by two processes when it is first asked for."""
    folder, written = tmp_path_factory.mktemp("generated"), {}

    def get(name: str) -> Path:
        if name not in written:
            written[name] = write(name, folder / name, workers=2)
        return written[name]

    return get


@pytest.mark.parametrize("name", ["stl10", "imagenet", "voc"])
def test_same_bytes_with_one_worker_and_others_with_another_seed(generated, name, tmp_path):
    def contents(root):
        files = (path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root): path.read_bytes() for path in files}

    first = contents(generated(name))
    assert contents(write(name, tmp_path / "again", workers=1)) == first
    other = contents(write(name, tmp_path / "other", workers=1, seed=1))
    pictures = [path for path in first if path.suffix in (".JPEG", ".jpg") or path.stem.endswith("_X")]
    assert len({first[path] for path in pictures}) == len(pictures) > 1
    assert not [path for path in pictures if first[path] == other.get(path)]


def unpickled(path: Path, encoding: str) -> dict:
    return pickle.loads(path.read_bytes(), encoding=encoding)


def test_cifar10_files(generated):
    folder = generated("cifar10") / "cifar-10-batches-py"
    expected = {f"data_batch_{number}" for number in range(1, 6)} | {"test_batch", "batches.meta"}
    assert {path.name for path in folder.iterdir()} == expected
    labels = []
    for number in range(1, 6):
        batch = unpickled(folder / f"data_batch_{number}", "bytes")
        assert batch.keys() == {b"batch_label", b"labels", b"data", b"filenames"}
        assert batch[b"batch_label"] == b"training batch %d of 5" % number
        assert batch[b"data"].shape == (40, 3072)
        assert batch[b"data"].dtype == np.uint8
        assert all(isinstance(name, bytes) for name in batch[b"filenames"])
        labels += batch[b"labels"]
    assert Counter(labels) == dict.fromkeys(range(10), 20)
    meta = unpickled(folder / "batches.meta", "bytes")
    assert len(set(meta[b"label_names"])) == 10
    assert (meta[b"num_cases_per_batch"], meta[b"num_vis"]) == (40, 3072)

    batch = unpickled(folder / "test_batch", "latin1")  # as torchvision reads them
    assert batch.keys() == {"batch_label", "labels", "data", "filenames"}
    images = batch["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    drawn, labels = draw_set(class_looks(10, 0), 100, 32, 0, cifar_files.TEST, 1, "again")
    assert np.array_equal(images, drawn)
    assert batch["labels"] == labels.tolist()


def test_cifar100_files(generated):
    folder = generated("cifar100") / "cifar-100-python"
    assert {path.name for path in folder.iterdir()} == {"train", "test", "meta"}
    meta = unpickled(folder / "meta", "bytes")
    fine_names, coarse_names = meta[b"fine_label_names"], meta[b"coarse_label_names"]
    assert (len(set(fine_names)), len(set(coarse_names))) == (100, 20)
    assert fine_names == sorted(fine_names)
    for name, n in (("train", 200), ("test", 100)):
        batch = unpickled(folder / name, "bytes")
        keys = {b"batch_label", b"fine_labels", b"coarse_labels", b"data", b"filenames"}
        assert batch.keys() == keys
        assert batch[b"data"].shape == (n, 3072)
        assert set(batch[b"fine_labels"]) == set(range(100))
        for fine, coarse in zip(batch[b"fine_labels"], batch[b"coarse_labels"], strict=True):
            assert fine_names[fine].split(b"_")[0] == coarse_names[coarse]


def test_stl10_files(generated):
    root = generated("stl10") / "stl10_binary"
    pictures = {
        name: np.fromfile(root / f"{name}_X.bin", np.uint8).reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
        for name in ("train", "test", "unlabeled")
    }
    assert len(pictures["unlabeled"]) == 30
    for name, split in (("train", stl10_files.TRAIN), ("test", stl10_files.TEST)):
        drawn, labels = draw_set(class_looks(10, 0), 20, 96, 0, split, 1, "again")
        assert np.array_equal(pictures[name], drawn)
        assert np.array_equal(np.fromfile(root / f"{name}_y.bin", np.uint8), labels + 1)
    folds = [list(map(int, line.split())) for line in (root / "fold_indices.txt").read_text().splitlines()]
    assert len(folds) == 10
    assert all(len(set(fold)) == 4 and set(fold) <= set(range(20)) for fold in folds)
    assert len(set((root / "class_names.txt").read_text().split())) == 10


def test_imagenet_trees(generated):
    trees = generated("imagenet")
    names = {path.name for path in trees.iterdir()}
    assert names == {"train", "val", "LOC_synset_mapping.txt", "ImageNet_LT"}
    for split, n in (("train", 12), ("val", 3)):
        assert sorted(path.name for path in (trees / split).iterdir()) == SYNSETS
        for synset in SYNSETS:
            assert len(list((trees / split / synset).iterdir())) == n
    assert all(path.name.startswith(f"{path.parent.name}_") for path in trees.glob("train/*/*.JPEG"))
    val = sorted(path.name for path in trees.glob("val/*/*.JPEG"))
    assert val == [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 19)]
    lines = (trees / "LOC_synset_mapping.txt").read_text().splitlines()
    assert [line.split(" ")[0] for line in lines] == SYNSETS
    assert all(line.split(" ")[1] for line in lines)


def test_imagenet_has_the_published_oddities(generated):
    trees = generated("imagenet")
    kinds, sizes = Counter(), set()
    for path in trees.glob("*/*/*.JPEG"):
        with Image.open(path) as image:
            image.load()
            kinds[image.format] += 1
            kinds[image.mode] += 1
            kinds["turned"] += image.getexif().get(0x0112, 1) != 1
            kinds["progressive"] += bool(image.info.get("progressive"))
            sizes.add(image.size)
    assert kinds["PNG"] == kinds["CMYK"] == 2
    assert all(kinds[kind] >= 2 for kind in ("L", "turned", "progressive"))
    assert (33, 20) in sizes
    assert len(sizes) > 60
    assert max(max(size) for size in sizes) <= 260


def test_long_tailed_lists(generated):
    trees = generated("imagenet")
    counts, chosen = {}, {}
    for name in ("train", "val", "test"):
        lines = (trees / "ImageNet_LT" / f"ImageNet_LT_{name}.txt").read_text().splitlines()
        chosen[name], labels = zip(*(line.split(" ") for line in lines), strict=True)
        counts[name] = Counter(labels)
        for path, label in zip(chosen[name], labels, strict=True):
            assert (trees / path).is_file()
            assert path.split("/")[:2] == ["val" if name == "test" else "train", SYNSETS[int(label)]]
    assert sorted(counts["train"].values()) == [1, 2, 2, 3, 5, 8]
    assert counts["val"] == counts["test"] == dict.fromkeys("012345", 3)
    assert not set(chosen["train"]) & set(chosen["val"])


def test_voc_sets(generated):
    sizes = {"VOC2007": {"train": 20, "val": 20, "trainval": 40, "test": 10}}
    sizes["VOC2012"] = {"train": 15, "val": 15, "trainval": 30}
    for year, expected in sizes.items():
        root = generated("voc") / "VOCdevkit" / year
        sets = {path.stem: path.read_text().split() for path in (root / "ImageSets/Main").iterdir()}
        assert {name: len(names) for name, names in sets.items()} == expected
        assert sorted(sets["train"] + sets["val"]) == sets["trainval"]
        names = sorted(sets["trainval"] + sets.get("test", []))
        for folder in ("JPEGImages", "Annotations"):
            assert sorted(path.stem for path in (root / folder).iterdir()) == names


def test_voc_annotations(generated):
    order = ["name", "pose", "truncated", "difficult", "bndbox"]
    order_2012 = ["name", "pose", "truncated", "occluded", "bndbox", "difficult"]
    flags, seen = Counter(), set()
    for path in sorted(generated("voc").glob("VOCdevkit/VOC*/Annotations/*.xml")):
        root = ElementTree.parse(path).getroot()
        year = root.findtext("folder")
        with Image.open(path.parents[1] / "JPEGImages" / root.findtext("filename")) as image:
            width, height = image.size
        assert (root.findtext("size/width"), root.findtext("size/height")) == (str(width), str(height))
        assert 1 <= len(root.findall("object")) <= 4
        for element in root.iter("object"):
            tags = [child.tag for child in element if child.tag != "part"]
            assert tags == (order_2012 if year == "VOC2012" else order)
            for box in element.iter("bndbox"):
                left, top, right, bottom = (int(side.text) for side in box)
                assert 1 <= left <= right <= width
                assert 1 <= top <= bottom <= height
            seen.add((year, element.findtext("name")))
            flags.update(child.tag for child in element if child.tag == "part" or child.text == "1")
    assert seen == {(year, name) for year in ("VOC2007", "VOC2012") for name in voc_files.CLASSES}
    assert all(flags[tag] >= 2 for tag in ("truncated", "difficult", "occluded", "part"))
    assert flags["difficult"] < flags["truncated"]
