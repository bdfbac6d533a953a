"""Cards: what they say of a store is what the store holds."""

import hashlib
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from results_tree import score

from cld.data import EncodedSplit, Objects, Split, read_info, write_encoded_store, write_store
from cld.reporting.figures import store_card as card
from cld.reporting.style import save

FACTS = {"preset": "demo", "sources": {"root": "files", "sha256": "0" * 64}, "config": {"expect": None}}


@pytest.fixture
def small(tmp_path):
    """Three classes, the last only in training; some images without a label."""
    rng = np.random.default_rng(0)

    def split(labels):
        return Split(rng.integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8), np.array(labels))

    path = tmp_path / "cifar10.h5"
    splits = {"train": split([0] * 20 + [1, 2]), "unlabelled": split([-1] * 5), "test": split([0, 1, 1])}
    write_store(path, splits, dataset="cifar10", classes=["a_b", "c", "d|e"], **FACTS)
    return path


@pytest.fixture
def scenes(tmp_path):
    """20 images with an object each but for the first, which has none."""
    content = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(content, "JPEG")
    (tmp_path / "part").write_bytes(content.getvalue() * 20)
    objects = Objects(
        np.tile(np.float32([[2, 3, 20, 25]]), (19, 1)),
        np.arange(19) % 2,
        np.concatenate([[0], np.arange(20)]),
        np.zeros(19, np.uint8),
        np.zeros(19, np.uint8),
    )
    digest = hashlib.sha256(content.getvalue()).digest()
    digests = np.tile(np.frombuffer(digest, np.uint8), (20, 1))
    split = EncodedSplit(
        [tmp_path / "part"], np.full(20, len(content.getvalue())), digests, np.full(20, -1), objects
    )
    path = tmp_path / "voc07.h5"
    write_encoded_store(
        path, {"train": split, "test": split}, dataset="voc07", classes=["cat", "dog"], **FACTS
    )
    return path


def card_text(path):
    info = read_info(path)
    return card.text(path, info, card.read_labels(path, info), "card.png", None)


def drawn(path):
    info = read_info(path)
    return card.draw(path, info, card.read_labels(path, info), "title")


def test_counts_are_the_stores(small):
    text = card_text(small)
    assert "| a b" not in text and "| a_b | 20 | 0 | 1 |" in text
    assert "| d\\|e | 1 | 0 | 0 |" in text
    assert "| (no label) | 0 | 5 | 0 |" in text
    assert "| all | 22 | 5 | 3 |" in text
    assert read_info(small).checksum in text and "0" * 64 in text and "| expect | null |" in text
    assert "Generated images" in text and "raw pixels" not in text


def test_objects_are_counted_where_images_have_no_class(scenes):
    text = card_text(scenes)
    assert "Objects by class and split" in text and "(no label)" not in text
    assert "| cat | 10 | 10 |" in text and "| all | 19 | 19 |" in text


def test_one_owns_images_are_not_called_generated(small, tmp_path):
    path = tmp_path / "folder.h5"
    splits = {"train": Split(np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1]))}
    write_store(path, splits, dataset="folder", classes=["a", "b"], **FACTS)
    assert "Generated" not in card_text(path)


@pytest.mark.parametrize("kind", ["small", "scenes"])
def test_pictures_are_drawn(kind, request, tmp_path):
    path = request.getfixturevalue(kind)
    save(drawn(path), [tmp_path / "card.png"])
    width, height = Image.open(tmp_path / "card.png").size
    assert width == pytest.approx(200 * 6.9, abs=1) and height > 400


LONG = "nature valley soft baked oatmeal squares cinnamon brown sugar"


@pytest.mark.parametrize("n", [3, 11, 40])
def test_no_name_of_a_class_is_cut(n, tmp_path):
    path = tmp_path / "folder.h5"
    names = [f"{LONG} {i}" for i in range(n)]
    splits = {"train": Split(np.zeros((n, 8, 8, 3), np.uint8), np.arange(n))}
    write_store(path, splits, dataset="folder", classes=names, **FACTS)
    figure = drawn(path)
    (axis,) = figure.subfigs[1].axes
    figure.draw_without_rendering()
    labels = axis.get_xticklabels()
    assert [" ".join(label.get_text().split()) for label in labels] == names
    for label in labels:
        box = label.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.y1 < axis.bbox.y0
    assert axis.bbox.height > 0.2 * figure.subfigs[1].bbox.height


def test_the_command_shows_the_score_on_raw_pixels(small, tmp_path, monkeypatch):
    found = {"metrics": {"top1": 12.345, "top5": 99.0}, "settings": {"side": 32, "k": 20}}
    (tmp_path / "score.json").write_text(json.dumps(score(12.0, None, None, "pixel_knn") | found))
    outputs = ["--card", tmp_path / "c.md", "--figure", tmp_path / "c.png"]
    arguments = ["card", "--store", small, "--pixel-knn", tmp_path / "score.json", *outputs]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    card.main()
    assert "kNN on raw pixels (32×32, k 20): top-1 12.3 %" in (tmp_path / "c.md").read_text()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_a_home_that_cannot_be_written_is_none_of_a_commands_business(small, tmp_path):
    call = [sys.executable, "-m", "cld", "card", "--store", small, "--card", "c.md", "--figure", "c.png"]
    environ = {key: value for key, value in os.environ.items() if key != "MPLCONFIGDIR"} | {
        "HOME": "/proc/none"
    }
    done = subprocess.run(call, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "c.png").exists()
