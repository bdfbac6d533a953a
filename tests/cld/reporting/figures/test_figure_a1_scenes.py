"""Figure A.1: which views and crops it picks, and that it draws from either source."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cld.data import Split, write_store
from cld.reporting.figures import figure_a1_scenes as scenes
from cld.reporting.style import caption, save
from cld.runtime.errors import InputError


def make_manifest(n_frames=9, with_scenes=True):
    rows = [
        {
            "split": "test" if scene == 3 else "train",
            "label": label,
            "scene": scene if with_scenes else np.nan,
            "frame": 10 * frame if with_scenes else np.nan,
            "image": f"{scene}_{frame}.png",
            "left": 2,
            "top": 3,
            "right": 12,
            "bottom": 9,
        }
        for scene, fullness in ((1, 1), (2, 3), (3, 3), (4, 2))
        for frame in range(n_frames)
        for label in range(fullness)
    ]
    manifest = pd.DataFrame(rows)
    return manifest.assign(row=manifest.groupby("split").cumcount())


@pytest.fixture
def source(tmp_path):
    def build(manifest):
        for image in manifest["image"].unique():
            Image.new("RGB", (20, 12), "teal").save(tmp_path / image)
        splits = {
            name: Split(np.zeros((len(rows), 8, 8, 3), np.uint8), rows["label"].to_numpy())
            for name, rows in manifest.groupby("split")
        }
        classes = ["pop_secret", "b", "c"]
        write_store(
            tmp_path / "s.h5", splits, dataset="d", preset="demo", classes=classes, sources={}, config={}
        )
        return tmp_path

    return build


def test_views_are_of_the_fullest_training_scenes_along_the_path():
    views = scenes.pick_views(make_manifest())
    assert views["scene"].tolist() == [2] * 4 + [4] * 4
    assert views["frame"].tolist() == [0, 30, 50, 80] * 2


def test_crops_follow_one_scene_in_order_of_frames():
    manifest = make_manifest()
    rows = manifest[(manifest["split"] == "train")].set_index("row").loc[scenes.pick_crops(manifest, 2)]
    assert set(rows["label"]) == {2} and rows["scene"].nunique() == 1
    assert rows["frame"].is_monotonic_increasing


@pytest.mark.parametrize("with_scenes", [True, False])
def test_both_sources_can_be_drawn(source, with_scenes):
    manifest = make_manifest(with_scenes=with_scenes)
    root = source(manifest)
    figure = scenes.draw(manifest, root, str(root / "s.h5"), caption("Figure A.1", "demo", "kitchen_hc"))
    save(figure, [root / "f.png", root / "f.pdf"])
    width, height = Image.open(root / "f.png").size
    assert width == pytest.approx(200 * 6.9, abs=1) and height > 100
    assert (root / "f.pdf").read_bytes().startswith(b"%PDF")


def test_the_csv_lists_the_views_and_crops_that_are_shown():
    manifest = make_manifest()
    shown = scenes.shown_table(manifest, 3)
    views, crops = (shown[shown["shown"] == kind] for kind in ("view", "crop"))
    assert list(views["image"]) == list(scenes.pick_views(manifest)["image"])
    for label in range(3):
        assert list(crops[crops["label"] == label]["row"]) == scenes.pick_crops(manifest, label)
    assert set(crops["split"]) == {"train"}


def test_demo_figures_say_so():
    assert caption("F", "demo", "kitchen_hc") == "F (demo: generated data, no reproduction)"
    assert "no reproduction" not in caption("F", "demo", "folder")
    assert caption("F", "paper", "kitchen_hc") == "F, paper scale"


def test_scenes_that_were_moved_away_are_named(source):
    manifest = make_manifest()
    root = source(manifest)
    (root / "2_0.png").unlink()
    with pytest.raises(InputError, match=r"2_0\.png: cannot be read"):
        scenes.draw(manifest, root, str(root / "s.h5"), "F")
