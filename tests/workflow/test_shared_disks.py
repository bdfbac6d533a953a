"""Results on a disk that several workflows share, and stores on a node's own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

CELL = "cells/table_t/4/kmeans.json"


@pytest.fixture(scope="module")
def sharing(tmp_path_factory, new_checkout):
    """Two checkouts with one results folder."""
    results = tmp_path_factory.mktemp("shared")
    checkouts = [new_checkout() for _ in range(2)]
    for checkout in checkouts:
        config = checkout.folder / "config/config.yaml"
        config.write_text(config.read_text().replace("results: results", f"results: {results}"))
        checkout.cell = f"{results}/tiny/{CELL}"
    return checkouts


def start(checkout, target: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", target],
        cwd=checkout.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def numbers(cell: str | Path) -> list:
    """What a cell says, less when and how fast it was made; by image too."""
    content = json.loads(Path(cell).read_text())
    return [
        content["value"],
        *([score[key] for key in ("run", "value", "hits")] for score in content["scores"]),
    ]


def test_two_workflows_that_start_together_make_everything_once(sharing, built):
    processes = [start(checkout, checkout.cell) for checkout in sharing]
    said = [process.communicate()[0] for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) == [0, 1], said
    winner, loser = codes.index(0), codes.index(1)
    refusal = rf"error: \S+: process {processes[winner].pid} of \S+ makes or reads it, for a workflow in "
    assert re.search(refusal + re.escape(str(sharing[winner].folder)), said[loser]), said[loser]
    assert "Traceback" not in said[loser]
    assert numbers(sharing[0].cell) == numbers(built.folder / "results/tiny" / CELL)
    for checkout in sharing:
        assert checkout.planned(checkout.cell) == {}


def test_after_a_workflow_that_was_killed_another_goes_on(sharing, built):
    """Its jobs may be at work for a while yet: a run of theirs is waited for, or gone on with."""
    first, second = sharing
    cell = first.cell.replace("/4/", "/8/")
    killed = start(first, cell)
    runs = Path(first.cell).parents[3] / "runs"
    give_up = time.monotonic() + 300
    while not list(runs.glob("*/training.lock")):
        assert killed.poll() is None and time.monotonic() < give_up
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    try:
        done = second.snakemake(cell)
        if "while this one looked what there is to do; start again" in done.stdout:  # the orphan was quick
            done = second.snakemake(cell)
        assert done.returncode == 0, done.stdout
    finally:
        with suppress(ProcessLookupError):
            os.killpg(killed.pid, signal.SIGKILL)
    assert numbers(cell) == numbers(built.folder / "results/tiny" / CELL.replace("/4/", "/8/"))
    assert not list(runs.glob("*/*.lock"))


def test_workflows_that_make_different_files_run_side_by_side(sharing):
    targets = [
        sharing[0].cell.replace("4/kmeans", "reference/chance"),
        f"{Path(sharing[0].cell).parents[3]}/stores/voc07.h5",
    ]
    processes = [start(checkout, target) for checkout, target in zip(sharing, targets, strict=True)]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert all(Path(target).exists() for target in targets)


@pytest.mark.parametrize("when", ["now", "in ten years", "long ago"])
def test_times_of_files_say_nothing_of_their_content(built, when):
    """As after a copy, a restored backup, or with clocks that differ."""
    seconds = {"now": time.time(), "in ten years": time.time() + 3e8, "long ago": 1e9}[when]
    large = [
        *built.folder.glob("results/tiny/runs/*/checkpoint.pt"),
        *built.folder.glob("results/tiny/scores/**/*.json"),
    ]
    if when != "long ago":  # a generated folder that is newer than its store makes the store again
        large += built.folder.glob("results/tiny/stores/*.h5*")
    assert len(large) > 10
    before = {path: path.stat() for path in large}
    try:
        for path in large:
            os.utime(path, (seconds, seconds))
        assert built.planned("all_tables", "all_figures") == {}
    finally:
        for path, status in before.items():
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_store_of_other_content_makes_what_depends_on_it_again(built):
    checksum = built.folder / "results/tiny/stores/kitchen_hc.h5.sha256"
    text, status = checksum.read_text(), checksum.stat()
    try:
        checksum.write_text(text.replace(text[:8], "0" * 8))
        planned = built.planned("all_tables")
    finally:
        checksum.write_text(text)
        os.utime(checksum, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert planned["pretrain"] == 6 and planned["evaluate_store"] == 1 and planned["table"] == 1


def test_checkouts_that_share_snakemake_s_memory_know_what_the_other_made_with_which_settings(
    built, new_checkout
):
    other = new_checkout()
    for name in ("results", ".snakemake"):
        (other.folder / name).symlink_to(built.folder / name)
    assert other.planned("all_tables") == {}
    changed = other.table.read_text().replace("{cld.n_groups: 8}", "{cld.n_groups: 8, cld.n_iters: 3}")
    other.table.write_text(changed)
    assert other.planned("all_tables") == {
        "pretrain": 2,
        "evaluate": 2,
        "cell": 1,
        "table": 1,
        "all_tables": 1,
    }


def test_where_stores_are_staged_changes_no_result(own_checkout, built, tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_DISK", str(tmp_path))
    assert built.planned("all_tables", "--config", "staging=$NODE_DISK/stores") == {}
    target = f"results/tiny/{CELL}"
    own_checkout.make(target, "--config", "staging=$NODE_DISK/stores")
    assert own_checkout.planned(target) == {}
    (copy,) = (tmp_path / "stores").rglob("*.h5")
    assert copy.read_bytes() == (own_checkout.folder / "results/tiny/stores/kitchen_hc.h5").read_bytes()
    ours, theirs = (checkout.folder / target for checkout in (own_checkout, built))
    assert numbers(ours) == numbers(theirs)
    logs = list((own_checkout.folder / "results/tiny/logs").glob("*/*.log"))
    assert sum("copy kitchen_hc.h5" in log.read_text() for log in logs) <= 1
    scores = [
        [
            json.loads(path.read_text())["provenance"]["data_checksum"]
            for path in root.glob("scores/*/knn.json")
        ]
        for root in (own_checkout.folder / "results/tiny", built.folder / "results/tiny")
    ]
    assert set(scores[0]) == set(scores[1])
