"""The generated files, as the publishers' own readers and independent ones see them."""

import io
import pickle
import tarfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from data_prep.synthetic.pictures.synsets import LISTED, OTHERS
from PIL import Image
from scipy.io import loadmat

from data_prep.common.settings import settings_from
from data_prep.synthetic.pictures import cifar, imagenet, stl10, voc


def settings(name, **values):
    return settings_from(f"generate/{name}", values, name)


CIFAR = settings("cifar", train=200, test=100)
STL10 = settings("stl10", train=20, unlabelled=30, test=20)
IMAGENET = settings(
    "imagenet",
    listed_synsets=4,
    other_synsets=2,
    train_per_synset=12,
    val_per_synset=3,
    lt_most=8,
    lt_least=1,
    lt_val=3,
)
VOC = settings("voc", trainval_2007=60, test_2007=10, trainval_2012=40)
SYNSETS = sorted(LISTED[:4] + OTHERS[:2])


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory):
    return tmp_path_factory.mktemp("generated")


# what torchvision does, without its checks of the published sums


@pytest.fixture(scope="module")
def cifar10(folder):
    cifar.write_cifar10(folder, CIFAR)
    return folder / "cifar-10-batches-py"


@pytest.fixture(scope="module")
def cifar100(folder):
    cifar.write_cifar100(folder, CIFAR)
    return folder / "cifar-100-python"


def unpickled(path: Path, encoding: str) -> dict:
    return pickle.loads(path.read_bytes(), encoding=encoding)


def test_cifar10_files(cifar10):
    expected = {f"data_batch_{number}" for number in range(1, 6)} | {"test_batch", "batches.meta"}
    assert {path.name for path in cifar10.iterdir()} == expected
    labels = []
    for number in range(1, 6):
        batch = unpickled(cifar10 / f"data_batch_{number}", "bytes")
        assert batch.keys() == {b"batch_label", b"labels", b"data", b"filenames"}
        assert batch[b"batch_label"] == b"training batch %d of 5" % number
        assert batch[b"data"].shape == (40, 3072)
        assert batch[b"data"].dtype == np.uint8
        assert all(isinstance(name, bytes) for name in batch[b"filenames"])
        labels += batch[b"labels"]
    assert Counter(labels) == dict.fromkeys(range(10), 20)
    assert len(unpickled(cifar10 / "test_batch", "bytes")[b"labels"]) == 100
    meta = pickle.loads((cifar10 / "batches.meta").read_bytes(), encoding="bytes")
    assert len(set(meta[b"label_names"])) == 10
    assert (meta[b"num_cases_per_batch"], meta[b"num_vis"]) == (40, 3072)


def test_cifar_strings_read_as_text_too(cifar10):
    """The published files do, and torchvision reads them so."""
    batch = unpickled(cifar10 / "data_batch_1", "latin1")
    assert batch.keys() == {"batch_label", "labels", "data", "filenames"}
    assert np.array_equal(batch["data"], unpickled(cifar10 / "data_batch_1", "bytes")[b"data"])


def test_cifar_pictures_are_planes_of_rows(cifar10):
    """Neighbouring pixels of a plane are alike along rows and columns; planes are whole."""
    images = unpickled(cifar10 / "test_batch", "bytes")[b"data"].reshape(-1, 3, 32, 32).astype(int)
    for axis in (2, 3):
        assert np.abs(np.diff(images, axis=axis)).mean() < 25
    batch = unpickled(cifar10 / "test_batch", "bytes")
    looks = cifar.class_looks(10, CIFAR.seed)
    drawn = cifar.draw_set(looks, np.array(batch[b"labels"]), 32, CIFAR.seed, cifar.TEST, 1, "again")
    assert np.array_equal(images.transpose(0, 2, 3, 1), drawn)


def test_cifar100_files(cifar100):
    assert {path.name for path in cifar100.iterdir()} == {"train", "test", "meta"}
    meta = pickle.loads((cifar100 / "meta").read_bytes(), encoding="bytes")
    fine_names, coarse_names = meta[b"fine_label_names"], meta[b"coarse_label_names"]
    assert (len(set(fine_names)), len(set(coarse_names))) == (100, 20)
    assert fine_names == sorted(fine_names)
    for name, n in (("train", 200), ("test", 100)):
        batch = unpickled(cifar100 / name, "bytes")
        keys = {b"batch_label", b"fine_labels", b"coarse_labels", b"data", b"filenames"}
        assert batch.keys() == keys
        assert batch[b"data"].shape == (n, 3072)
        assert set(batch[b"fine_labels"]) == set(range(100))
        for fine, coarse in zip(batch[b"fine_labels"], batch[b"coarse_labels"], strict=True):
            assert fine_names[fine].split(b"_")[0] == coarse_names[coarse]


def test_stl10_files(folder):
    stl10.write_stl10(folder, STL10)
    root = folder / "stl10_binary"
    pictures = {
        name: np.fromfile(root / f"{name}_X.bin", np.uint8).reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
        for name in ("train", "test", "unlabeled")
    }
    assert {name: len(images) for name, images in pictures.items()} == {
        "train": 20,
        "test": 20,
        "unlabeled": 30,
    }
    for name, split in (("train", stl10.TRAIN), ("test", stl10.TEST)):
        labels = np.fromfile(root / f"{name}_y.bin", np.uint8)
        assert Counter(labels.tolist()) == dict.fromkeys(range(1, 11), 2)
        looks = stl10.class_looks(10, STL10.seed)
        drawn = stl10.draw_set(looks, labels.astype(int) - 1, 96, STL10.seed, split, 1, "again")
        assert np.array_equal(pictures[name], drawn)
    folds = [list(map(int, line.split())) for line in (root / "fold_indices.txt").read_text().splitlines()]
    assert len(folds) == 10
    assert all(len(set(fold)) == 4 and set(fold) <= set(range(20)) for fold in folds)
    assert len(set((root / "class_names.txt").read_text().split())) == 10


@pytest.fixture(scope="module")
def trees(folder):
    root = folder / "imagenet"
    root.mkdir()
    imagenet.write_imagenet(root, IMAGENET)
    return root


@pytest.fixture(scope="module")
def archives(folder):
    root = folder / "archives"
    root.mkdir()
    imagenet.write_imagenet(root, settings("imagenet", **vars(IMAGENET) | {"archives": True}))
    return root


def test_imagenet_trees(trees):
    assert {path.name for path in trees.iterdir()} == {
        "train",
        "val",
        "LOC_synset_mapping.txt",
        "ImageNet_LT",
    }
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


def test_imagenet_has_the_published_oddities(trees):
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


def long_tail(root: Path, name: str) -> list[tuple[str, int]]:
    lines = (root / "ImageNet_LT" / f"ImageNet_LT_{name}.txt").read_text().splitlines()
    return [(path, int(label)) for path, label in (line.split(" ") for line in lines)]


def test_long_tailed_lists(trees):
    train, val, test = (long_tail(trees, name) for name in ("train", "val", "test"))
    for path, label in (*train, *val, *test):
        assert (trees / path).is_file()
        assert path.split("/")[1] == SYNSETS[label]
    assert sorted(Counter(label for _, label in train).values()) == [1, 2, 2, 3, 5, 8]
    assert Counter(label for _, label in val) == dict.fromkeys(range(6), 3)
    assert Counter(label for _, label in test) == dict.fromkeys(range(6), 3)
    assert not set(train) & set(val)
    assert all(path.startswith("train/") for path, _ in (*train, *val))
    assert all(path.startswith("val/") for path, _ in test)


def members(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def test_archives_hold_the_trees_files(archives, trees):
    inner = members((archives / "ILSVRC2012_img_train.tar").read_bytes())
    assert sorted(inner) == [f"{synset}.tar" for synset in SYNSETS]
    for name, content in inner.items():
        expected = {path.name: path.read_bytes() for path in (trees / "train" / name[:9]).iterdir()}
        assert members(content) == expected
    val = members((archives / "ILSVRC2012_img_val.tar").read_bytes())
    assert val == {path.name: path.read_bytes() for path in trees.glob("val/*/*")}
    assert not (archives / "train").exists()
    for name in ("train", "val", "test"):
        assert long_tail(archives, name) == long_tail(trees, name)


def test_devkit_reads_as_the_published_one(archives, trees):
    kit = members((archives / "ILSVRC2012_devkit_t12.tar.gz").read_bytes())
    data = "ILSVRC2012_devkit_t12/data"
    assert set(kit) == {f"{data}/meta.mat", f"{data}/ILSVRC2012_validation_ground_truth.txt"}
    synsets = loadmat(io.BytesIO(kit[f"{data}/meta.mat"]), squeeze_me=True)["synsets"]
    leaves = [entry for entry in synsets if entry["num_children"] == 0]
    assert len(leaves) < len(synsets)
    names = {entry["WNID"]: entry["words"] for entry in leaves}
    mapping = (line.split(" ", 1) for line in (trees / "LOC_synset_mapping.txt").read_text().splitlines())
    assert names == dict(mapping)
    by_number = {int(entry["ILSVRC2012_ID"]): entry["WNID"] for entry in leaves}
    assert sorted(by_number) == list(range(1, 7))
    truth = kit[f"{data}/ILSVRC2012_validation_ground_truth.txt"].decode().split()
    for number, identifier in enumerate(truth, start=1):
        assert (trees / "val" / by_number[int(identifier)] / f"ILSVRC2012_val_{number:08d}.JPEG").is_file()


def test_torchvision_reads_the_devkit(archives, monkeypatch, tmp_path):
    torch, reader = pytest.importorskip("torch"), pytest.importorskip("torchvision.datasets.imagenet")
    monkeypatch.setattr(reader, "_verify_archive", lambda root, file, md5: None)
    (tmp_path / "ILSVRC2012_devkit_t12.tar.gz").symlink_to(archives / "ILSVRC2012_devkit_t12.tar.gz")
    reader.parse_devkit_archive(tmp_path)
    classes, val = torch.load(tmp_path / reader.META_FILE, weights_only=True)
    assert sorted(classes) == SYNSETS
    assert Counter(val) == dict.fromkeys(SYNSETS, 3)


@pytest.fixture(scope="module")
def devkit(folder):
    voc.write_voc(folder, VOC)
    return folder / "VOCdevkit"


def names_in(root: Path, set_name: str) -> list[str]:
    return (root / "ImageSets" / "Main" / f"{set_name}.txt").read_text().split()


def test_voc_sets(devkit):
    for year, n, sets in (
        (2007, 60, {"train", "val", "trainval", "test"}),
        (2012, 40, {"train", "val", "trainval"}),
    ):
        root = devkit / f"VOC{year}"
        files = {path.stem for path in (root / "ImageSets" / "Main").iterdir()}
        assert files == sets | {f"{name}_{part}" for name in voc.CLASSES for part in sets}
        parts = {name: names_in(root, name) for name in sets}
        assert len(parts["trainval"]) == n
        assert sorted(parts["train"] + parts["val"]) == parts["trainval"]
        assert len(parts["train"]) == n // 2
        known = set(parts["trainval"]) | set(parts.get("test", []))
        assert {path.stem for path in (root / "JPEGImages").iterdir()} == known
        assert {path.stem for path in (root / "Annotations").iterdir()} == known
    assert len(names_in(devkit / "VOC2007", "test")) == 10
    assert not set(names_in(devkit / "VOC2007", "test")) & set(names_in(devkit / "VOC2007", "trainval"))


def test_voc_annotations(devkit):
    flags, seen = Counter(), set()
    for path in sorted(devkit.glob("VOC*/Annotations/*.xml")):
        root = ElementTree.parse(path).getroot()
        year = root.findtext("folder")
        with Image.open(path.parents[1] / "JPEGImages" / root.findtext("filename")) as image:
            width, height = image.size
        assert (root.findtext("size/width"), root.findtext("size/height")) == (str(width), str(height))
        assert 1 <= len(root.findall("object")) <= 4
        for element in root.iter("object"):
            order = ["name", "pose", "truncated", "difficult", "bndbox"]
            if year == "VOC2012":
                order = ["name", "pose", "truncated", "occluded", "bndbox", "difficult"]
            assert [child.tag for child in element if child.tag != "part"] == order
            for box in element.iter("bndbox"):
                left, top, right, bottom = (
                    int(box.findtext(tag)) for tag in ("xmin", "ymin", "xmax", "ymax")
                )
                assert 1 <= left <= right <= width
                assert 1 <= top <= bottom <= height
            seen.add((year, element.findtext("name")))
            for tag in ("truncated", "difficult", "occluded"):
                flags[tag] += element.findtext(tag) == "1"
            flags["part"] += element.find("part") is not None
    assert seen == {(year, name) for year in ("VOC2007", "VOC2012") for name in voc.CLASSES}
    assert all(flags[tag] >= 2 for tag in ("truncated", "difficult", "occluded", "part"))
    assert flags["difficult"] < flags["truncated"]


def test_voc_class_lists_agree_with_the_annotations(devkit):
    for year in (2007, 2012):
        root = devkit / f"VOC{year}"
        for name in voc.CLASSES:
            lines = (root / "ImageSets" / "Main" / f"{name}_trainval.txt").read_text().splitlines()
            assert [line.split()[0] for line in lines] == names_in(root, "trainval")
            for line in lines:
                stem, presence = line.split()
                found = ElementTree.parse(root / "Annotations" / f"{stem}.xml").iter("object")
                difficult = [e.findtext("difficult") == "1" for e in found if e.findtext("name") == name]
                assert int(presence) == (-1 if not difficult else 0 if all(difficult) else 1)
