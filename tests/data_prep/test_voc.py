import io
import os
import shutil

import numpy as np
import pytest
import toy_devkit
from build_outputs import facts, manifest
from jpeg_sources import exif
from PIL import Image
from torchvision.datasets import VOCDetection
from toy_devkit import thing

from cld.data import EncodedImages
from cld.runtime.errors import InputError
from data_prep.common.settings import settings_from
from data_prep.voc.build import build_voc
from data_prep.voc.devkit import CLASSES


def settings(**changes):
    defaults = {"train": [[2007, "trainval"]], "test": [[2007, "test"]]}
    return settings_from("build/voc", defaults | changes, "build settings")


@pytest.fixture(scope="module")
def _written_devkit(tmp_path_factory):
    root = tmp_path_factory.mktemp("upstream") / "voc"
    toy_devkit.write_devkit(root)
    return root


@pytest.fixture
def devkit(_written_devkit, tmp_path):
    """A fresh copy of the toy devkit's root: a test may spoil it."""
    return shutil.copytree(_written_devkit, tmp_path / "voc")


def year(root, number=2007):
    return root / "VOCdevkit" / f"VOC{number}"


def rewrite(root, image, objects, size=(50, 33)):
    """Give an image other objects."""
    path = year(root) / "Annotations" / f"{image}.xml"
    path.write_text(toy_devkit.annotation(2007, image, size, objects))


def test_images_and_objects_are_those_that_torchvision_reads(devkit, target):
    build_voc(devkit, settings(train=[[2007, "trainval"], [2012, "trainval"]]), target, workers=2)
    sets = {"train": [("2007", "trainval"), ("2012", "trainval")], "test": [("2007", "test")]}
    for split, names in sets.items():
        stored = EncodedImages(target.store, split)
        theirs = [VOCDetection(devkit, year=y, image_set=name) for y, name in names]
        samples = [
            (path, sample[1]) for part in theirs for path, sample in zip(part.images, part, strict=True)
        ]
        assert len(stored) == len(samples)
        assert (stored.labels == -1).all()
        for i, (path, sample) in enumerate(samples):
            with open(path, "rb") as file:
                assert stored[i] == file.read()
            annotated = sample["annotation"]["object"]
            corners = [[float(o["bndbox"][c]) for c in ("xmin", "ymin", "xmax", "ymax")] for o in annotated]
            objects = stored.objects.of(i)
            np.testing.assert_allclose(objects.boxes, np.array(corners) - [1, 1, 0, 0], rtol=1e-6)
            assert [CLASSES[label] for label in objects.labels] == [o["name"] for o in annotated]
            assert objects.difficult.tolist() == [int(o["difficult"]) for o in annotated]
            assert objects.truncated.tolist() == [int(o["truncated"]) for o in annotated]


def test_manifest_and_report_say_what_is_where(devkit, target):
    build_voc(devkit, settings(expect={"train": 6, "test": 3}), target, workers=1)
    rows = manifest(target)
    assert [row["split"] for row in rows] == ["train"] * 6 + ["test"] * 3
    assert rows[0]["image"] == "VOCdevkit/VOC2007/JPEGImages/000005.jpg"
    assert rows[0]["class"] == ""
    report = facts(target)
    table = {row["class"]: row for row in report["details"]["Annotated objects"]}
    assert list(table["chair"].values()) == ["chair", 2, 1, 0, 0, 0, 0]
    assert (table["car"]["train, truncated"], table["sofa"]["test, difficult"]) == (1, 1)
    assert (table["all"]["train"], table["all"]["test"]) == (9, 4)
    assert report["notes"] == []
    assert report["source"]["files"] == 2 + 2 * 9
    assert report["counts"]["unlabelled"] == {"train": 6, "test": 3}
    assert str(devkit) not in target.report.read_text()


def test_boxes_shrink_and_turn_with_their_images(devkit, target):
    toy_devkit.write_image(year(devkit), "000007", (80, 40), thing("car", 1, 1, 40, 10), exif=exif(6))
    build_voc(devkit, settings(short_side=20, upright=True), target, workers=1)
    stored = EncodedImages(target.store, "train")
    assert Image.open(io.BytesIO(stored[1])).size == (20, 40)  # 40×80 once it stands upright, halved
    np.testing.assert_allclose(stored.objects.of(1).boxes, [[15, 0, 20, 20]])
    upright = facts(target)["converted"]
    assert upright["turned upright, as EXIF says"] == 1
    build_voc(devkit, settings(), target, workers=1)
    assert Image.open(io.BytesIO(EncodedImages(target.store, "train")[1])).size == (80, 40)
    np.testing.assert_allclose(EncodedImages(target.store, "train").objects.of(1).boxes, [[0, 0, 40, 10]])


def test_boxes_are_clipped_or_dropped_and_both_are_counted(devkit, target):
    objects = [
        thing("car", 0, -3, 60, 33),  # over three borders
        thing("cat", 51, 1, 60, 5),  # outside
        thing("dog", 20, 10, 10, 20),  # empty
        thing("cow", 50, 33, 50, 33),  # one pixel
    ]
    rewrite(devkit, "000007", "".join(objects))
    build_voc(devkit, settings(), target, workers=1)
    stored = EncodedImages(target.store, "train").objects.of(1)
    np.testing.assert_array_equal(stored.boxes, [[0, 0, 50, 33], [49, 32, 50, 33]])
    assert [CLASSES[label] for label in stored.labels] == ["car", "cow"]
    assert sorted(facts(target)["notes"]) == [
        "box clipped at its image's border: 1",
        "box dropped, since it is empty: 1",
        "box dropped, since it is outside its image: 1",
    ]


ANNOTATION, IMAGE = "Annotations/000007.xml", "JPEGImages/000007.jpg"
SPOILT = {
    "annotation missing": lambda root: (year(root) / ANNOTATION).unlink(),
    "annotation unreadable": lambda root: os.truncate(year(root) / ANNOTATION, 100),
    "image missing": lambda root: (year(root) / IMAGE).unlink(),
    "image unreadable": lambda root: os.truncate(year(root) / IMAGE, 100),
    "annotation of another image size": lambda root: rewrite(root, "000007", "", (33, 50)),
    "unknown class 'dgo' (did you mean 'dog'?)": lambda root: rewrite(
        root, "000007", thing("dgo", 1, 1, 9, 9)
    ),
}


@pytest.mark.parametrize("reason", SPOILT)
def test_bad_input_ends_the_build_unless_the_settings_allow_it(devkit, target, reason):
    SPOILT[reason](devkit)
    with pytest.raises(InputError) as caught:
        build_voc(devkit, settings(expect={"train": 6}), target, workers=1)
    assert "1 of 9 images are bad (11.1%)" in str(caught.value)
    assert reason in str(caught.value)
    assert not target.store.exists()
    assert list(facts(target)["problems"]["reasons"]) == [reason]
    info = build_voc(devkit, settings(expect={"train": 6}, max_bad_share=0.2), target, workers=1)
    assert info.sizes == {"test": 3, "train": 5}
    assert not any("000007" in row["image"] for row in manifest(target))


@pytest.mark.parametrize(
    ("file", "text", "changes", "message"),
    [
        (
            "test",
            "000001\n000005\n",
            {},
            "000005 of split 'test' is in VOC2007 trainval of split 'train' too",
        ),
        ("test", "000001\n000001\n", {}, "000001 of split 'test' is in VOC2007 test of split 'test'"),
        ("test", "\n\n", {}, r"test\.txt: names no image; fetch it again"),
        ("test", "000001\n000002 1\n", {}, r"test\.txt, line 2: '000002 1' is not the name of an image"),
        ("test", "../secret\n", {}, r"line 1: '\.\./secret' is not the name"),
        ("train", "", {"test": [[2007, "tset"]]}, r"tset\.txt: no such image set; VOC2007 has test, train,"),
        ("train", "", {"train": [[2010, "trainval"]]}, r"VOCdevkit/VOC2010: no such folder; fetch it"),
    ],
)
def test_bad_image_sets_end_the_build_before_an_image_is_decoded(
    devkit, target, file, text, changes, message
):
    (year(devkit) / f"ImageSets/Main/{file}.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        build_voc(devkit, settings(**changes), target, workers=1)
    assert not target.store.exists()


def test_a_missing_folder_says_what_to_fetch(devkit, target):
    shutil.rmtree(devkit / "VOCdevkit/VOC2007/JPEGImages")
    with pytest.raises(InputError, match=r"JPEGImages: no such folder; .*data_prep fetch.*data\.root"):
        build_voc(devkit, settings(), target, workers=1)
