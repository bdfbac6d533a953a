"""What labels a protocol refuses: one line, before the checkpoint is even looked at."""

import sys

import pytest
from classifier_stores import write_labelled

from cld.config import load_protocol
from cld.data.labels import complete_labels, neighbour_labels
from cld.evaluation.protocol_names import RESUMABLE, STORE_PROTOCOLS
from cld.evaluation.protocols import PROTOCOLS
from cld.runtime.errors import InputError
from cld.training import train_command


def store_of(path, **labels):
    return str(write_labelled(path, classes="abcdef", **labels))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, -1, -1], "2 of 3 images of split 'test' have no label"),
        ([2, 2, 2], "all 3 images of split 'test' are of one class, so any answer is right"),
        ([0, 5, 5], "split 'test' has no image of class 'b', 'c', 'd' and 1 more, so a classifier can"),
    ],
)
def test_labels_that_make_no_classifier(tmp_path, labels, message):
    store = store_of(tmp_path / "s.h5", test=labels, train=[0, 1, 2, 3, 4, 5])
    assert complete_labels(store, "train").tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(InputError, match=message) as told:
        complete_labels(store, "test")
    assert store in str(told.value) and "\n" not in str(told.value)
    with pytest.raises(InputError, match="no split 'val'; it has test, train"):
        complete_labels(store, "val")


@pytest.mark.parametrize(
    ("asked", "train", "test", "message"),
    [
        (("test", "train"), [0, 1], [0, 1, 2], "class 'c' is in split 'test' and not in 'train'"),
        (("test", "train"), [0, 5], [1, 2, 3, 4, 5], "class 'b', 'c', 'd' and 1 more is in split"),
        (("test", "test"), [0], [0, 0, 1], "split 'test' has one image of class 'b'"),
    ],
)
def test_classes_without_neighbours_are_named(tmp_path, asked, train, test, message):
    store = store_of(tmp_path / "s.h5", train=train, test=test)
    with pytest.raises(InputError, match=message) as told:
        neighbour_labels(store, *asked)
    assert "\n" not in str(told.value)


def test_classes_that_are_not_asked_for_need_no_neighbours(tmp_path):
    store = store_of(tmp_path / "s.h5", train=[0, 1, 2], test=[0, 1])
    labels, train_labels = neighbour_labels(store, "test", "train")
    assert (labels.tolist(), train_labels.tolist()) == ([0, 1], [0, 1, 2])


def score_by(protocol, store, **changes):
    """A protocol's score of a run that is not there."""
    subject = {} if protocol in STORE_PROTOCOLS else {"checkpoint": "none.pt", "device_name": "cpu"}
    if protocol in RESUMABLE:
        subject["score"] = "none.json"
    return PROTOCOLS[protocol](store, {**load_protocol("demo", protocol), **changes}, **subject)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS.keys() - {"unsupervised", "detection"}))
def test_protocols_refuse_before_they_read_the_checkpoint(tmp_path, protocol):
    store = store_of(tmp_path / "s.h5", train=[0, 1, 2, 3, 4, 5] * 20, test=[0, -1])
    with pytest.raises(InputError, match="1 of 2 images of split 'test' have no label"):
        score_by(protocol, store)


@pytest.mark.parametrize(
    ("protocol", "change", "message"),
    [
        ("knn", {"k": 7}, "knn.k 7 is outside 1..6, the neighbours in split 'train'"),
        ("knn", {"k": 0}, "knn.k 0 is outside 1..6"),
        ("pixel_knn", {"k": 0}, "pixel_knn.k 0 is outside 1.."),
        ("retrieval", {"k": 4}, "retrieval.k 4 is outside 1..3, the neighbours in split 'test'"),
        ("retrieval", {"from": "val"}, "no split 'val'; it has test, train"),
        ("nmi", {"groups": 5}, "nmi.groups 5 is outside 1..4, the images of split 'test'"),
        ("unsupervised", {"split": "val"}, "no split 'val'; it has train, test"),
    ],
)
def test_settings_that_do_not_fit_the_store(tmp_path, protocol, change, message):
    store = store_of(tmp_path / "s.h5", train=[0, 1] * 3, test=[0, 1] * 2)
    with pytest.raises(InputError, match=message):
        score_by(protocol, store, **change)


def test_a_small_store_has_a_score_on_raw_pixels_with_all_its_neighbours(tmp_path, capsys):
    store = store_of(tmp_path / "s.h5", train=[0, 1], test=[0, 1])
    found = score_by("pixel_knn", store, k=20)
    assert found["details"]["k"] == 2 and found["settings"]["k"] == 20
    assert capsys.readouterr().out == f"{store}: pixel_knn.k 20: all 2 neighbours vote, there are no more\n"


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("knn", "knn.k 20 is outside 1..6, the neighbours in split 'train'"),
        ("linear", "has no image of class"),
        ("linear_published", "has no image of class"),
        ("semisup_10", "has no image of class"),
        ("retrieval", "retrieval.k 8 is outside 1..3, the neighbours in split 'test'"),
    ],
)
def test_a_store_that_a_protocol_cannot_score_is_refused_before_the_training(
    tmp_path, monkeypatch, protocol, message
):
    store = store_of(tmp_path / "s.h5", train=[0, 1, 2] * 2, test=[0, 1] * 2)
    arguments = ["--preset", "demo", "--dataset", "cifar10", "--method", "npid", "--device", "cpu"]
    arguments += [
        "--store",
        store,
        "--run-dir",
        tmp_path / "run",
        "--scored-by",
        f"detection_voc07,{protocol}",
    ]
    monkeypatch.setattr(sys, "argv", ["cld train", *map(str, arguments)])
    with pytest.raises(InputError, match=message):
        train_command.main()
    assert not (tmp_path / "run").exists()
