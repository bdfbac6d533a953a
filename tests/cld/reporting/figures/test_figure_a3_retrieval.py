"""The gallery: which queries, which hits, which colour; of both kinds of stores."""

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from photos import photos, write_photos
from PIL import Image

from cld.data import read_info, read_labels, thumbnails
from cld.evaluation.retrieval import retrieve
from cld.methods.encoder import build_encoder
from cld.reporting.figures.figure_a3_retrieval import RIGHT, WRONG, choose_queries, draw, hits_table, main
from cld.reporting.style import plt
from cld.runtime.errors import run_command
from cld.runtime.provenance import provenance
from cld.training.checkpoint import save_checkpoint


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=40), st.data())
def test_queries_are_different_images_from_few_right_hits_to_many(images, data):
    n_right, labels = map(np.array, zip(*images, strict=True))
    n = data.draw(st.integers(1, len(images)))
    chosen = choose_queries(n_right, labels, n)
    assert len(set(chosen.tolist())) == n
    assert (np.diff(n_right[chosen]) >= 0).all()
    assert chosen.tolist() == choose_queries(n_right, labels, n).tolist()


def test_queries_stand_for_the_whole_range_and_for_many_classes():
    n_right, labels = np.repeat([0, 4, 8], 30), np.tile(np.arange(10), 9)
    chosen = choose_queries(n_right, labels, 6)
    assert n_right[chosen].tolist() == [0, 0, 4, 4, 8, 8]
    assert len(set(labels[chosen])) == 6


@pytest.fixture(scope="module", params=["arrays", "jpeg"])
def case(request, tiny_store, tiny_run, tmp_path_factory):
    """A store and two checkpoints of random networks."""
    folder = tmp_path_factory.mktemp("retrieval")
    store = tiny_store
    if request.param == "jpeg":
        store = write_photos(folder / "s.h5", {"train": photos(24), "test": photos(9, seed=1)})
    run, checkpoints = (
        tiny_run(overrides={"image_size": 16, "workers": 0}),
        [folder / "a.pt", folder / "b.pt"],
    )
    for path in checkpoints:
        content = {"config": run, "encoder": build_encoder(run).state_dict(), "provenance": provenance()}
        save_checkpoint(path, content)
    return store, checkpoints


def test_hits_lie_in_order_with_their_colour(case):
    store, checkpoints = case
    info, k = read_info(store), 8
    found = {
        name: retrieve(store, "test", "train", k, checkpoint, "cpu")
        for name, checkpoint in zip("AB", checkpoints, strict=True)
    }
    queries = np.array([3, 0])
    labels = read_labels(store, "test"), read_labels(store, "train")
    shown = hits_table(queries, found, labels, info.classes)
    figure = draw(store, info, ("test", "train"), shown, {"A": 50.0, "B": 50.0})
    (axis,) = figure.axes
    side = info.image_size or 96
    frames = [patch for patch in axis.patches if isinstance(patch, Rectangle)]
    assert len(axis.images) == len(frames) == 2 * (1 + 2 * k)
    by_place = sorted(
        zip(axis.images, frames, strict=True), key=lambda pair: (pair[1].get_y(), pair[1].get_x())
    )
    for row, query in enumerate(queries):
        shown = by_place[row * 17 : (row + 1) * 17]
        pictures = [thumbnails(store, "test", [query], side)[0]]
        colours = ["#000000"]
        for method in found.values():
            pictures += list(thumbnails(store, "train", method.rows[query], side))
            colours += [RIGHT if right else WRONG for right in method.is_right[query]]
        for (image, frame), picture, colour in zip(shown, pictures, colours, strict=True):
            assert np.array_equal(image.get_array(), picture)
            assert to_hex(frame.get_edgecolor()) == colour
            assert tuple(image.get_extent()[::3]) == (frame.get_x(), frame.get_y())
    assert "generated data" in figure.texts[0].get_text()
    plt.close(figure)


def test_the_command_draws_or_refuses_in_one_line(case, tmp_path, monkeypatch, capsys):
    store, checkpoints = case
    out = [tmp_path / "a.png", tmp_path / "a.pdf"]
    arguments = ["--store", store, "--checkpoints", *checkpoints, "--labels", "NPID", "NPID+CLD"]
    arguments += ["--device", "cpu", "--figure", *out, "--csv", tmp_path / "a.csv", "--queries"]

    def figure_a3(queries):
        monkeypatch.setattr(sys, "argv", ["figure-a3", *map(str, arguments), queries])
        run_command(main)

    figure_a3("3")
    assert Image.open(out[0]).size[0] > 1000 and out[1].stat().st_size
    shown = pd.read_csv(tmp_path / "a.csv")
    assert len(shown) == 3 * 2 * 8
    assert set(shown.groupby(["place", "method"])["rank"].apply(tuple)) == {tuple(range(1, 9))}
    labels = [read_labels(store, split) for split in ("test", "train")]
    assert (shown["is_right"] == (labels[0][shown["query"]] == labels[1][shown["hit"]])).all()
    assert (shown["is_right"] == (shown["query_class"] == shown["hit_class"])).all()
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        figure_a3("99")
    refusal = capsys.readouterr().err
    assert refusal.startswith("error: --queries 99 is outside 1..") and refusal.count("\n") == 1
