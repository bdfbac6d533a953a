"""Semi-supervised classification: subsets, trials, and a choice that never looks at the test split."""

import json
import sys

import numpy as np
import pytest
from classifier_stores import write_checkpoint, write_colours, write_labelled, write_plain_photos
from hypothesis import given, settings
from hypothesis import strategies as st

from cld.config import load_protocol
from cld.data import read_info, read_labels
from cld.evaluation.semisup import semisup_command as command
from cld.evaluation.semisup.subset import draw_subset, read_subset
from cld.evaluation.semisup.trial import run_trial, weights_path
from cld.evaluation.semisup.trial_selection import score_winner, winner
from cld.runtime.errors import InputError
from cld.runtime.files import write_json
from cld.training.checkpoint import load_checkpoint

SETTINGS = load_protocol("paper", "semisup") | {
    "lr": [0.01, 0.1],
    "head_multiplier": [1, 10],
    "batch_size": 4,
    "epochs": 4,
    "milestones": [2, 3],
    "held_out_share": 0.5,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_colours(tmp_path_factory.mktemp("semisup") / "s.h5", (30, 30, 30), (10, 10, 10), noise=20)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, tiny_run):
    return write_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint.pt", tiny_run(seed=3))


@pytest.fixture(scope="module")
def subset(tmp_path_factory, store):
    path = tmp_path_factory.mktemp("subset") / "subset.json"
    write_json(path, draw_subset(store, 0.3, 0.5, seed=0))
    return path


@pytest.fixture(scope="module")
def grid(tmp_path_factory, store, checkpoint, subset):
    """The reports of a whole grid."""
    folder, paths = tmp_path_factory.mktemp("grid"), []
    for lr in SETTINGS["lr"]:
        for multiplier in SETTINGS["head_multiplier"]:
            paths.append(folder / f"{lr}-{multiplier}.json")
            run_trial(checkpoint, store, subset, SETTINGS, lr, multiplier, paths[-1], "cpu")
    return paths


@settings(max_examples=10)
@given(
    counts=st.lists(st.integers(2, 40), min_size=3, max_size=3),
    share=st.sampled_from([0.001, 0.01, 0.1, 0.5]),
    held_out=st.sampled_from([0.01, 0.2]),
    seed=st.integers(0, 5),
)
def test_subsets_are_balanced_disjoint_and_lack_no_class(tmp_path_factory, counts, share, held_out, seed):
    store = write_colours(tmp_path_factory.mktemp("subset") / "s.h5", tuple(counts), (1, 1, 1))
    labels, drawn = read_labels(store, "train"), draw_subset(store, share, held_out, seed)
    assert not set(drawn["train"]) & set(drawn["held_out"])
    assert len(set(drawn["train"])) == len(drawn["train"]) and drawn["train"] == sorted(drawn["train"])
    quota = max(1, round(share * sum(counts) / 3))
    learnt, held = (np.bincount(labels[rows], minlength=3) for rows in (drawn["train"], drawn["held_out"]))
    assert learnt.tolist() == [min(quota, count - 1) for count in counts]
    assert (held >= 1).all() and (held <= max(1, round(held_out * sum(counts) / 3))).all()
    assert draw_subset(store, share, held_out, seed) == drawn


def test_a_subset_is_stored_as_a_list_and_belongs_to_its_store(tmp_path, store):
    drawn = draw_subset(store, 0.1, 0.2, 0)
    write_json(tmp_path / "s.json", drawn)
    assert json.loads((tmp_path / "s.json").read_text())["train"] == drawn["train"]
    assert read_subset(tmp_path / "s.json", store) == drawn
    other = write_colours(tmp_path / "other.h5", (5, 5, 5), (1, 1, 1))
    with pytest.raises(InputError, match=r"s\.json: is of another store"):
        read_subset(tmp_path / "s.json", other)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "cld-subset", "share": 1}'])
def test_a_file_that_is_no_subset_is_one_line(tmp_path, store, content):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(
        InputError,
        match=r"s\.json: (cannot be read|holds no JSON|key '.*' is missing).*; draw it again by",
    ) as told:
        read_subset(tmp_path / "s.json", store)
    assert "\n" not in str(told.value)


def test_one_image_of_each_class_makes_no_subset(tmp_path):
    store = write_labelled(tmp_path / "s.h5", train=[0, 1, 2])
    with pytest.raises(InputError, match="one image of each class, so none is left"):
        draw_subset(store, 0.1, 0.1, 0)


def test_all_layers_are_trained_and_the_head_at_its_own_rate(tmp_path, store, checkpoint, subset):
    before = load_checkpoint(checkpoint)["encoder"]

    def changed(lr, multiplier):
        run_trial(checkpoint, store, subset, SETTINGS, lr, multiplier, tmp_path / "t.json", "cpu")
        after = load_checkpoint(weights_path(tmp_path / "t.json"))["network"]
        return {
            name: (value - before[f"backbone.{name.removeprefix('0.')}"]).abs().max() > 1e-9
            for name, value in after.items()
            if name.startswith("0.") and name.endswith(("weight", "bias"))
        }, after["1.weight"]

    backbone, head = changed(0.01, 1)
    assert all(backbone.values())
    backbone, faster = changed(1e-20, 1e19)
    assert not any(backbone.values())
    assert faster.std() > 2 * head.std()


def test_the_winner_alone_is_tested_and_the_grid_is_kept(grid, store):
    reports = [json.loads(path.read_text()) for path in grid]
    score = score_winner(grid, store, SETTINGS, "cpu")
    details = score["details"]
    assert details["winner"]["held_out"]["top1"] == max(report["held_out"]["top1"] for report in reports)
    assert [(point["lr"], point["head_multiplier"]) for point in details["grid"]] == [
        (0.01, 1),
        (0.01, 10),
        (0.1, 1),
        (0.1, 10),
    ]
    assert details["n"] == 30 and score["metrics"]["top1"] > 60 and score["seed"] == 3
    # reports know nothing of the test split
    assert all(set(report["held_out"]) == {"top1", "top5", "loss"} for report in reports)


def reported(top1, loss=1.0, diverged=False):
    held_out = None if diverged else {"top1": top1, "top5": 100.0, "loss": loss}
    return {"run": "run", "diverged": diverged, "held_out": held_out}


def test_ties_go_to_the_lower_loss_and_diverged_trials_never_win():
    assert winner([reported(50), reported(70, 0.9), reported(70, 0.8), reported(0, diverged=True)]) == 2
    assert winner([reported(0, diverged=True), reported(1)]) == 1
    with pytest.raises(InputError, match="all 2 trials of run diverged; add a lower rate to"):
        winner([reported(0, diverged=True)] * 2)


def test_a_trial_that_diverges_is_reported(tmp_path, store, checkpoint, subset):
    trial = run_trial(checkpoint, store, subset, SETTINGS, 1e30, 1e6, tmp_path / "t.json", "cpu")
    assert trial["diverged"] and trial["held_out"] is None
    json.loads((tmp_path / "t.json").read_text(), parse_constant=pytest.fail)


def test_trials_that_are_no_whole_grid(tmp_path, grid, store, checkpoint, subset):
    with pytest.raises(InputError, match=r"\(lr 0\.1 x10 missing, repeated or not asked for\)"):
        score_winner(grid[:-1], store, SETTINGS, "cpu")
    with pytest.raises(InputError, match=r"lr 0\.01 x1 missing"):
        score_winner([*grid, grid[0]], store, SETTINGS, "cpu")
    with pytest.raises(InputError, match=r"another grid \(another settings\)"):
        score_winner(grid, store, {**SETTINGS, "epochs": 9}, "cpu")
    stranger = tmp_path / "t.json"
    stranger.write_text(json.dumps(json.loads(grid[-1].read_text()) | {"run": "other"}))
    with pytest.raises(InputError, match=r"t\.json: belongs to another grid \(another run\)"):
        score_winner([*grid[:-1], stranger], store, SETTINGS, "cpu")
    other = write_colours(tmp_path / "other.h5", (5, 5, 5), (1, 1, 1))
    with pytest.raises(InputError, match="was trained on another store"):
        score_winner(grid, other, SETTINGS, "cpu")
    with pytest.raises(InputError, match=r"none\.json: cannot be read .*; run the trial again"):
        score_winner([tmp_path / "none.json"], store, SETTINGS, "cpu")


def test_a_network_of_another_trial_is_refused(tmp_path, grid, store):
    copies = []
    for path in grid:
        copies.append(tmp_path / path.name)
        copies[-1].write_bytes(path.read_bytes())
        weights_path(copies[-1]).write_bytes(weights_path(grid[0]).read_bytes())
    report = json.loads(copies[-1].read_text()) | {"held_out": reported(101)["held_out"]}
    copies[-1].write_text(json.dumps(report))
    with pytest.raises(InputError, match=r"0\.1-10\.pt: is not the network of"):
        score_winner(copies, store, SETTINGS, "cpu")


def test_the_commands_from_subset_to_score_on_jpegs(tmp_path, tiny_run, monkeypatch):
    store = write_plain_photos(tmp_path / "s.h5", 30, 12)
    run = tiny_run(overrides={"image_size": 8, "workers": 0})
    checkpoint = write_checkpoint(tmp_path / "c.pt", run)
    monkeypatch.setattr(command, "load_protocol", lambda *_: {**SETTINGS, "lr": [0.1], "epochs": 2})

    def call(*arguments):
        common = ["--preset", "demo", "--store", str(store)]
        monkeypatch.setattr(sys, "argv", ["semisup", *map(str, arguments), *common])
        command.main()

    call("subset", "--share", 0.1, "--out", tmp_path / "subset.json")
    trials = [tmp_path / "1.json", tmp_path / "10.json"]
    for path in trials:
        subject = ("--checkpoint", checkpoint, "--subset", tmp_path / "subset.json")
        call("trial", *subject, "--lr", 0.1, "--head-multiplier", path.stem, "--out", path)
    call("choose", "--trials", *trials, "--score", tmp_path / "score.json")
    score = json.loads((tmp_path / "score.json").read_text())
    assert score["protocol"] == "semisup_10" and len(score["details"]["grid"]) == 2
    assert score["provenance"]["data_checksum"] == read_info(store).checksum
