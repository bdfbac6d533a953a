import numpy as np
import pytest
from build_outputs import facts, manifest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cld.data import read_split
from cld.runtime.errors import InputError
from data_prep.common.settings import Settings, settings_from
from data_prep.kitchen.build_from_folder import build_from_folder
from data_prep.kitchen.store_build import validation_mask

CLASSES = ["red_bull", "pringles_bbq"]
TRAIN, TEST = 20, 3  # images of a class


def settings(**changes) -> Settings:
    defaults = {"image_size": 8, "classes": CLASSES, "val_share": 0.2, "val_blocks": 1}
    return settings_from("build/kitchen", defaults | changes, "build settings")


def write_image(path, seed, size=(24, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes; file names count without zero padding, the first class's under another spelling."""
    root = tmp_path / "Kitchen-HC"
    for split, n in (("train", TRAIN), ("test", TEST)):
        for label, name in enumerate(("redbull", "pringles_bbq")):
            for k in range(n):
                write_image(root / split / name / f"rgb_{k}.png", seed=1000 * label + k)
    return root


@pytest.mark.parametrize("workers", [1, 2])
def test_splits_and_crops(folder, target, workers):
    grey = folder / "train" / "redbull" / "rgb_3.png"
    Image.open(grey).convert("L").save(grey)
    (folder / "train" / "redbull" / "Thumbs.db").touch()
    info = build_from_folder(folder, settings(), workers=workers, target=target)
    assert info.sizes == {"train": 32, "val": 8, "test": 6}
    splits = {name: read_split(target.store, name) for name in info.sizes}
    rows = manifest(target)
    for row in rows:
        split, position = splits[row["split"]], int(row["row"])
        image = Image.open(folder / row["image"]).convert("RGB")
        np.testing.assert_array_equal(split.images[position], image.resize((8, 8), Image.Resampling.BILINEAR))
        assert info.classes[split.labels[position]] == row["class"]
        assert row["class"] == row["image"].split("/")[1].replace("redbull", "red_bull")
        unknown = ("scene", "frame", "left", "bottom", "truncated", "distance_m", "iou_3d")
        assert {row[name] for name in unknown} == {""}
    for name in ("redbull", "pringles_bbq"):  # a block of each class in natural order
        validates = [row["image"] for row in rows if row["split"] == "val" and f"/{name}/" in row["image"]]
        assert validates == [f"train/{name}/rgb_{k}.png" for k in (8, 9, 10, 11)]
    assert facts(target)["notes"] == [
        "left out, since no image has their suffix: 1 .db of class 'redbull', as train/redbull/Thumbs.db"
    ]


def test_a_val_folder_is_used_where_it_is_there(folder, target):
    for name in ("redbull", "pringles_bbq"):
        write_image(folder / "val" / name / "a.png", seed=0)
    info = build_from_folder(folder, settings(), workers=1, target=target)
    assert info.sizes == {"train": 40, "val": 2, "test": 6}


def test_bad_and_small_images_are_reported_counted_and_skipped(folder, target):
    write_image(folder / "train" / "redbull" / "rgb_4.png", seed=0, size=(40, 7))
    broken = folder / "train" / "redbull" / "rgb_3.png"
    broken.write_bytes(broken.read_bytes()[:-200])
    (folder / "test" / "pringles_bbq" / "rgb_0.png").write_text("no image")
    info = build_from_folder(folder, settings(max_bad_share=0.05), workers=1, target=target)
    assert sum(info.sizes.values()) == 43
    assert facts(target)["dropped"] == {"too small": 1}
    problems = facts(target)["problems"]
    assert (problems["bad"], problems["total"]) == (2, 46)
    paths = [entry["path"] for entry in problems["reasons"]["image unreadable"]]
    assert paths == ["test/pringles_bbq/rgb_0.png", "train/redbull/rgb_3.png"]
    with pytest.raises(InputError, match=r"Kitchen-HC: 2 of 46 images are bad \(4\.3%\)"):
        build_from_folder(folder, settings(), workers=1, target=target)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"classes": ["red_bull", "pringle"]},
            "class 'pringle' names nothing in Kitchen-HC; .*: pringles",
        ),
        ({"val_share": 0.01}, "split 'val' is empty: .* 'val_share'"),
        ({"max_unknown_share": 0}, r"1 of 47 images have unknown names, .*: kettle; add each"),
    ],
)
def test_bad_settings_fail_before_an_image_is_read(folder, target, no_decoding, changes, message):
    write_image(folder / "train" / "kettle" / "a.png", seed=0)
    with pytest.raises(InputError, match=message):
        build_from_folder(folder, settings(**changes), workers=1, target=target)
    assert not target.store.exists()


def test_a_missing_root_or_split_says_what_to_fetch(folder, target, tmp_path):
    (folder / "test").rename(folder / "testing")
    for root, split in ((tmp_path / "nowhere", "train"), (folder, "test")):
        message = rf"{root}: no folder '{split}'; fetch a ready-made Kitchen-HC.*data\.paths\.gmu_kitchens"
        with pytest.raises(InputError, match=message):
            build_from_folder(root, settings(), workers=1, target=target)


@given(st.integers(0, 500), st.floats(0, 0.9), st.integers(1, 6))
def test_validation_blocks_are_contiguous_and_hold_the_share(n, share, blocks):
    mask = validation_mask(n, share, blocks)
    assert mask.shape == (n,) and mask.sum() == round(n * share)
    starts = np.count_nonzero(np.diff(np.concatenate([[False], mask]).astype(int)) == 1)
    assert starts <= blocks
    assert np.flatnonzero(validation_mask(100, 0.2, 2)).tolist() == [*range(20, 30), *range(70, 80)]
