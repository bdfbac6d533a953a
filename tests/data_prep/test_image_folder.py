import errno
import os
from dataclasses import replace

import numpy as np
import pytest
from build_outputs import facts, manifest
from PIL import Image
from torchvision.datasets import ImageFolder

from cld.data import read_labels, read_split
from cld.runtime.errors import InputError
from data_prep.common.settings import settings_from
from data_prep.image_folder.build import build_image_folder

CLASSES = ("apple", "Pear", "fig")  # capitals sort before small letters, as in torchvision


def settings(**changes):
    return settings_from(
        "build/image_folder", {"image_size": 8, "max_bad_share": 0.0} | changes, "build settings"
    )


def picture(seed, size=(24, 30)):
    """A smooth image, so that JPEG changes it little."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 3, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def write(path, seed=0, suffix=None, **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed).save(path, **save)


def write_classes(folder, n, seed, suffix=".png", classes=CLASSES):
    for label, name in enumerate(classes):
        for k in range(n):
            write(folder / name / f"img_{k}{suffix}", seed=seed + 100 * label + k)


@pytest.fixture
def split_folder(tmp_path):
    """Six training and two test images of each class."""
    root = tmp_path / "photos"
    write_classes(root / "train", 6, seed=0)
    write_classes(root / "test", 2, seed=1000)
    return root


@pytest.fixture
def plain_folder(tmp_path):
    """Ten images of each class, not split."""
    root = tmp_path / "photos"
    write_classes(root, 10, seed=0)
    return root


def images_of(target, split) -> list[str]:
    return [row["image"] for row in manifest(target) if row["split"] == split]


@pytest.mark.parametrize("kind", ["arrays", "jpeg"])
def test_classes_labels_and_images_are_those_that_torchvision_reads(split_folder, target, kind):
    write(split_folder / "train" / "fig" / "nested" / "deeper" / "a.png", seed=5)
    (split_folder / "train" / "fig" / ".hidden.png").write_bytes(b"no image")
    (split_folder / ".cache").mkdir()
    info = build_image_folder(split_folder, settings(kind=kind), target, workers=1)
    for split in ("train", "test"):
        theirs = ImageFolder(split_folder / split)
        assert info.classes == theirs.classes == ["Pear", "apple", "fig"]
        expected = {path: label for path, label in theirs.samples if "/." not in path}
        rows = [row for row in manifest(target) if row["split"] == split]
        assert {str(split_folder / row["image"]): int(row["label"]) for row in rows} == expected
        assert read_labels(target.store, split).tolist() == [int(row["label"]) for row in rows]


@pytest.mark.parametrize(("fit", "box"), [("crop", (0, 3, 24, 27)), ("stretch", (0, 0, 24, 30))])
def test_squares_are_cut_from_the_images_in_the_manifests_order(split_folder, target, fit, box):
    build_image_folder(split_folder, settings(fit=fit), target, workers=2)
    pixels = read_split(target.store, "train").images
    assert len(pixels) == 18
    for row, stored in zip(images_of(target, "train"), pixels, strict=True):
        image = Image.open(split_folder / row).resize((8, 8), Image.Resampling.BILINEAR, box=box)
        np.testing.assert_array_equal(stored, np.asarray(image))


def test_a_large_photograph_gives_nearly_the_same_square_though_it_is_decoded_smaller(split_folder, target):
    path = split_folder / "train" / "Pear" / "img_0.jpg"
    picture(3, size=(640, 480)).save(path, quality=95)
    build_image_folder(split_folder, settings(image_size=16), target, workers=1)
    row = images_of(target, "train").index("train/Pear/img_0.jpg")
    expected = Image.open(path).resize((16, 16), Image.Resampling.BILINEAR, box=(80, 0, 560, 480))
    difference = read_split(target.store, "train").images[row].astype(int) - np.asarray(expected)
    assert np.abs(difference).mean() < 2


def test_validation_is_its_folder_or_taken_from_the_training_images_of_each_class(split_folder, target):
    info = build_image_folder(split_folder, settings(val_share=0.34), target, workers=1)
    assert info.sizes == {"train": 12, "val": 6, "test": 6}
    assert np.bincount(read_labels(target.store, "val")).tolist() == [2, 2, 2]
    assert all(image.startswith("train/") for image in images_of(target, "val"))
    with pytest.raises(InputError, match=r"split 'val' is empty: val_share 0\.05"):
        build_image_folder(split_folder, settings(val_share=0.05), target, workers=1)
    write_classes(split_folder / "val", 1, seed=2000)
    info = build_image_folder(split_folder, settings(val_share=0.5), target, workers=1)
    assert info.sizes == {"train": 18, "val": 3, "test": 6}


def test_val_without_test_tests(split_folder, target):
    (split_folder / "test").rename(split_folder / "val")
    info = build_image_folder(split_folder, settings(), target, workers=1)
    assert info.sizes == {"train": 18, "test": 6}
    assert images_of(target, "test")[0] == "val/Pear/img_0.png"
    assert facts(target)["notes"] == ["the images of folder val are split test: there is no folder test"]


def test_an_unsplit_folder_is_split_by_class_and_seed(plain_folder, target):
    choices = {}
    for seed in (0, 0, 1):
        info = build_image_folder(plain_folder, settings(test_share=0.3, split_seed=seed), target, workers=1)
        assert info.sizes == {"train": 21, "test": 9}
        assert np.bincount(read_labels(target.store, "test")).tolist() == [3, 3, 3]
        chosen = images_of(target, "test")
        assert choices.setdefault(seed, chosen) == chosen
        assert not set(chosen) & set(images_of(target, "train"))
    assert choices[0] != choices[1]
    write_classes(plain_folder, 10, seed=77, classes=("quince",))
    build_image_folder(plain_folder, settings(test_share=0.3), target, workers=1)
    assert images_of(target, "test")[:9] == choices[0]  # another class changes no class's choice


def test_a_class_may_be_called_train(tmp_path, target):
    write_classes(tmp_path / "toys", 5, seed=0, classes=("car", "train", "bus"))
    info = build_image_folder(tmp_path / "toys", settings(), target, workers=1)
    assert info.classes == ["bus", "car", "train"]


def test_the_same_image_in_two_splits_is_noted(split_folder, target):
    twin = (split_folder / "train" / "fig" / "img_2.png").read_bytes()
    (split_folder / "test" / "fig" / "twin.png").write_bytes(twin)
    (split_folder / "test" / "fig" / "triplet.png").write_bytes(twin)
    build_image_folder(split_folder, settings(), target, workers=1)
    (note,) = facts(target)["notes"]
    assert note == (
        "images of split test whose bytes are those of an image of split train (a leak): 2, the first "
        "test/fig/triplet.png = train/fig/img_2.png"
    )


def test_what_is_left_out_is_noted_and_printed(split_folder, target, capsys):
    for name in ("fig/b.gif", "apple/a.gif", "fig/README"):
        (split_folder / "train" / name).touch()
    (split_folder / "licences").mkdir()
    write(split_folder / "train" / "stray.png")
    (split_folder / "test" / "fig" / "img_0.png").write_bytes(b"no image")
    build_image_folder(split_folder, settings(max_bad_share=0.1), target, workers=1)
    assert facts(target)["notes"] == [
        "folders beside the splits were left alone: licences",
        "files in train itself, in no class, were left alone: 1",
        "left out, since no image has their suffix: 2 .gif of class 'apple', 'fig', as train/apple/a.gif",
        "left out, since no image has their suffix: 1 without suffix of class 'fig', as train/fig/README",
    ]
    printed = capsys.readouterr().err
    assert "note: photos: left out: 1 × image unreadable: test/fig/img_0.png\n" in printed
    assert all(f"note: photos: {note}\n" in printed for note in facts(target)["notes"])


def test_jpegs_as_browsers_save_them_are_images_and_thumbnails_of_systems_are_not(split_folder, target):
    write(split_folder / "train" / "fig" / "saved.jfif", format="JPEG")
    for folder in ("@eaDir", "__MACOSX", ".thumbnails"):
        write(split_folder / "train" / "fig" / folder / "thumb.jpg")
        write(split_folder / "train" / folder / "thumb.jpg")
    info = build_image_folder(split_folder, settings(), target, workers=1)
    assert info.classes == ["Pear", "apple", "fig"] and info.sizes == {"train": 19, "test": 6}
    assert "train/fig/saved.jfif" in images_of(target, "train")


def test_a_name_with_accents_is_one_class_however_it_is_written(split_folder, target):
    composed, decomposed = "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"
    write_classes(split_folder / "train", 2, seed=1, classes=[composed])
    write_classes(split_folder / "test", 1, seed=2, classes=[decomposed])
    info = build_image_folder(split_folder, settings(), target, workers=1)
    assert info.classes == ["Pear", "apple", composed, "fig"]
    assert info.sizes == {"train": 20, "test": 7}
    write_classes(split_folder / "train", 2, seed=3, classes=[decomposed])
    with pytest.raises(InputError, match=f"train: two folders are called '{composed}'"):
        build_image_folder(split_folder, settings(), target, workers=1)


def _rename(old, new):
    return lambda root: (root / old).rename(root / new)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_rename("test", "testing"), "holds testing, train, which look like splits"),
        (_rename("train", "Train"), "holds Train, test, which look like splits"),
        (_rename("train", "more"), "holds test, which look like splits"),
        (_rename("train/fig", "train/figs"), "split 'test' has images of class 'fig' and train has none"),
        (lambda root: (root / "train/quince").mkdir(), r"too few images of class 'quince' \(0\)"),
        (
            lambda root: write(root / "train/quince/a.gif"),
            r"class 'quince' \(0; left out: 1 \.gif\); .* Images end in \.bmp",
        ),
        (
            lambda root: open(bytes(root / "train/fig") + b"/\xff.png", "wb").close(),
            "is not UTF-8; rename it",
        ),
    ],
)
def test_a_folder_laid_out_otherwise_is_named(split_folder, target, spoil, message):
    spoil(split_folder)
    with pytest.raises(InputError, match=message):
        build_image_folder(split_folder, settings(), target, workers=1)
    assert not target.store.exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, r"no such folder; point data\.paths\.folder of config"),
        (["a.png", "b.png"], r"no folders of classes; data\.paths\.folder .* names a folder that holds"),
        (["train/a.png", "test/b.png"], "photos/train: no folders of classes"),
        (["cat/a.png", "cat/b.png"], r"one class only \('cat'\); classification needs two"),
        (["cat/a.png", "cat/b.png", "dog/a.png"], r"too few images of class 'dog' \(1\); each needs 2"),
    ],
)
def test_a_folder_without_two_classes_is_named(tmp_path, target, files, message):
    for seed, name in enumerate(files or ()):
        write(tmp_path / "photos" / name, seed=seed)
    with pytest.raises(InputError, match=message):
        build_image_folder(tmp_path / "photos", settings(), replace(target, dataset="folder"), workers=1)


def test_a_folder_that_cannot_be_listed_is_named(plain_folder, target, monkeypatch):
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("fig"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("data_prep.common.image_tree.os.scandir", denied)
    with pytest.raises(InputError, match=r"fig: cannot be read \(Permission denied\)"):
        build_image_folder(plain_folder, settings(), target, workers=1)


def test_images_that_do_not_fit_into_memory_are_refused_before_they_are_read(
    split_folder, target, tmp_path, monkeypatch
):
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    2000 kB\n")
    monkeypatch.setattr("data_prep.image_folder.build.MEMINFO", tmp_path / "meminfo")
    with pytest.raises(
        InputError, match=r"24 images of 300 x 300 pixels take 0\.0 GB .*; lower build\.image_size"
    ):
        build_image_folder(split_folder, settings(image_size=300), target, workers=1)
    assert build_image_folder(split_folder, settings(image_size=30), target, workers=1).image_size == 30
