import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
import toy_imagenet
from toy_imagenet import SYNSETS

from cld.data import EncodedImages, read_info, verify
from cld.runtime.errors import InputError
from data_prep.common.build_record import Target
from data_prep.common.settings import settings_from
from data_prep.imagenet.build import build_imagenet
from data_prep.imagenet.chosen_synsets import listed_synsets

COUNTS = {"train": 20, "test": 8}


@pytest.fixture
def trees(tmp_path):
    return toy_imagenet.write_trees(tmp_path / "imagenet")


@pytest.fixture
def archives(tmp_path):
    return toy_imagenet.write_archives(tmp_path / "imagenet")


@pytest.fixture
def build(tmp_path):
    """Build a root and return the store's description; ``name`` keeps the stores of two builds apart."""

    def run(root, name="imagenet", workers=1, **settings):
        out = tmp_path / "out" / f"{name}.h5"
        target = Target(out, out.with_suffix(".csv"), out.with_suffix(".md"), name, "demo")
        return build_imagenet(
            root, settings_from("build/imagenet", {"expect": COUNTS} | settings, "build"), target, workers
        )

    run.store = tmp_path / "out" / "imagenet.h5"
    return run


def report(store):
    return json.loads(store.with_suffix(".json").read_text())


def test_a_tree_is_read_as_torchvision_reads_it(trees, build):
    from torchvision.datasets import ImageFolder

    info = build(trees)
    assert info.classes == SYNSETS
    assert info.sizes == COUNTS
    for split, folder in (("train", "train"), ("test", "val")):
        expected = ImageFolder(trees / folder)
        images = EncodedImages(build.store, split)
        assert images.labels.tolist() == expected.targets
        assert [images[i] for i in range(len(images))] == [
            Path(path).read_bytes() for path, _ in expected.samples
        ]
    assert build.store.with_suffix(".csv").read_text().splitlines()[1] == (
        "train,0,n01440764,0,train/n01440764/n01440764_0.JPEG"
    )
    assert "split test holds the published validation images" in report(build.store)["notes"]
    assert "whole (20 train, 8 test)" in verify(build.store)


def as_tree(root):
    toy_imagenet.write_trees(root)
    toy_imagenet.write_mapping(root)


def as_flat_tree_with_kit(root):
    toy_imagenet.write_trees(root, flat_val=True)
    toy_imagenet.write_kit(root)


def as_flat_tree_with_kaggles_tables(root):
    toy_imagenet.write_trees(root, flat_val=True)
    toy_imagenet.write_mapping(root)
    toy_imagenet.write_solution(root)


def as_tiny_imagenet(root):
    """A folder ``images`` in each folder, and a table of what the validation images show."""
    toy_imagenet.write_mapping(toy_imagenet.write_trees(root, flat_val=True))
    for folder in [*(root / "train").iterdir(), root / "val"]:
        files = list(folder.iterdir())
        (folder / "images").mkdir()
        for path in files:
            path.rename(folder / "images" / path.name)
        (folder / "boxes.txt").touch()
    names = (name.split("/") for name in toy_imagenet.contents() if name.startswith("val"))
    lines = (f"{file}\t{synset}\t0\t0\t62\t62\n" for _, synset, file in names)
    (root / "val" / "val_annotations.txt").write_text("".join(lines))


def as_tree_and_archive(root):
    toy_imagenet.write_archives(root)
    (root / "ILSVRC2012_img_train.tar").unlink()
    for name, data in toy_imagenet.contents().items():
        if name.startswith("train"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)


@pytest.mark.parametrize(
    "layout",
    [as_tree, as_flat_tree_with_kit, as_flat_tree_with_kaggles_tables, as_tiny_imagenet, as_tree_and_archive],
)
def test_every_layout_makes_the_same_store(tmp_path, build, layout):
    toy_imagenet.write_archives(tmp_path / "imagenet")
    from_archives = build(tmp_path / "imagenet", "imagenet", workers=2)
    layout(tmp_path / "other" / "imagenet")
    other = build(tmp_path / "other" / "imagenet", "other")
    assert other.checksum == from_archives.checksum
    assert other.sources == from_archives.sources
    assert other.classes == ["tench", "crane (n02012849)", "crane (n03126707)", "gyromitra"]
    tables = [build.store.with_name(f"{name}.csv").read_text() for name in ("imagenet", "other")]
    assert tables[0] == tables[1]


def test_the_kit_is_read_as_torchvision_reads_it(archives, build, monkeypatch):
    import torch
    from torchvision.datasets import imagenet

    monkeypatch.setattr(imagenet, "_verify_archive", lambda *args: None)
    imagenet.parse_devkit_archive(archives)
    words, truth = torch.load(archives / "meta.bin")
    build(archives)
    rows = build.store.with_suffix(".csv").read_text().splitlines()
    shown = {row.rsplit("/")[-1]: row.split("/")[1] for row in rows if row.startswith("test")}
    assert [shown[name] for name in sorted(shown)] == truth
    assert words["n01440764"][0] == read_info(build.store).classes[0]


def test_imagenet100_of_a_tree_that_has_few_of_its_classes(trees, build):
    listed = listed_synsets("imagenet100")  # as published
    assert len(set(listed)) == 100 and (listed[0], listed[-1]) == ("n02869837", "n02090622")
    with pytest.raises(
        InputError, match=r"no training images of 99 of the 100 synsets of imagenet100 \(n02869837, "
    ):
        build(trees, synsets="imagenet100")
    info = build(trees, synsets="imagenet100", missing_synsets="skip", expect={})
    assert info.classes == ["n13037406"]
    assert info.sizes == {"train": 5, "test": 2}
    assert "synsets of imagenet100 that are not there: 99 of 100" in report(build.store)["notes"]


def test_imagenet100_labels_follow_the_sorted_list(archives, build, monkeypatch):
    listed = ["n03126707", "n13037406", "n01440764"]
    monkeypatch.setattr("data_prep.imagenet.chosen_synsets.listed_synsets", lambda name: listed)
    info = build(archives, synsets="imagenet100", expect={"train": 15, "test": 6})
    assert info.classes == ["tench", "crane", "gyromitra"]
    assert np.bincount(EncodedImages(build.store, "test").labels).tolist() == [2, 2, 2]


def test_hidden_and_other_files_are_left_alone(trees, build):
    for name in (".DS_Store", "._n01440764_0.JPEG"):
        (trees / "train" / SYNSETS[0] / name).touch()
    (trees / "train" / SYNSETS[0] / "notes.txt").touch()
    (trees / "val" / SYNSETS[1] / "notes.txt").touch()
    (trees / "train" / "lost+found").mkdir()
    assert build(trees).sizes == COUNTS
    assert "files left alone, since their suffix is no image's: 2" in report(build.store)["notes"]


def remove(name):
    return lambda root: (root / name).unlink()


def cut(name, size):
    return lambda root: os.truncate(root / name, size if size >= 0 else (root / name).stat().st_size + size)


def write(name, text):
    return lambda root: (root / name).write_text(text)


def flip_in_kit(root):
    """Damage that decompresses: nothing but the archive's checksum, at its end, tells."""
    path = root / f"{toy_imagenet.KIT}.tar.gz"
    content = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=0))
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


MAPPING = "LOC_synset_mapping.txt"
META, TRUTH = "meta.mat", "ILSVRC2012_validation_ground_truth.txt"


def kit_with(**changes):
    """A kit some of whose files are others; None: are missing."""
    return lambda root: toy_imagenet.write_kit(root, {globals()[name]: to for name, to in changes.items()})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            remove("ILSVRC2012_img_train.tar"),
            r"imagenet: neither a folder train nor ILSVRC2012_img_train.tar",
        ),
        (remove("ILSVRC2012_img_val.tar"), r"imagenet: neither a folder val nor ILSVRC2012_img_val.tar; see"),
        (remove(f"{toy_imagenet.KIT}.tar.gz"), r"nothing says what they show; add ILSVRC2012_devkit_t12.tar"),
        (cut("ILSVRC2012_img_train.tar", 20000), r"img_train.tar: damaged or cut short"),
        (cut("ILSVRC2012_img_val.tar", 3000), r"img_val.tar: damaged or cut short"),
        (write("ILSVRC2012_img_train.tar", "<html>" * 1000), r"img_train.tar: damaged or cut short"),
        (cut(f"{toy_imagenet.KIT}.tar.gz", -100), r"devkit_t12.tar.gz: damaged or cut short"),
        (flip_in_kit, r"devkit_t12.tar.gz: damaged or cut short"),
        (kit_with(META=None), r"devkit_t12.tar.gz: holds no ILSVRC2012_devkit_t12/data/meta.mat"),
        (kit_with(TRUTH=b"1\n5\n"), r"validation_ground_truth.txt, line 2: '5' is no class of meta.mat"),
        (kit_with(TRUTH=b"1\n2\n"), r"nothing says what validation image ILSVRC2012_val_00000003.JPEG shows"),
        (kit_with(META=b"MATLAB" * 40), r"meta.mat: not readable"),
        (write(MAPPING, "n01440764 tench\nn02012849\n"), r"mapping.txt, line 2: 'n02012849' is not"),
    ],
)
def test_damaged_archives_are_named(archives, build, spoil, message):
    spoil(archives)
    with pytest.raises(InputError, match=message) as caught:
        build(archives)
    assert "\n" not in str(caught.value)
    assert not build.store.exists()


def test_damaged_trees_are_named(trees, build):
    (trees / "val" / SYNSETS[0]).rename(trees / "val" / "n09999999")
    with pytest.raises(InputError, match=r"val_00000001.JPEG is of n09999999, which has no training images"):
        build(trees)
    (trees / "train").rename(trees / "training")
    (trees / "train").mkdir()
    with pytest.raises(InputError, match=r"train: no folder is named as a synset is"):
        build(trees)
