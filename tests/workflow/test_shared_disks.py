"""Results on a shared disk: file times, contents that changed, and stores copied to a node's own disk."""

import json
import os
import time
from pathlib import Path

import pytest

CELL = "cells/table_t/4/kmeans.json"


def numbers(cell: str | Path) -> list:
    """What a cell says, less when and how fast it was made; by image too."""
    content = json.loads(Path(cell).read_text())
    return [
        content["value"],
        *([score[key] for key in ("run", "value", "hits")] for score in content["scores"]),
    ]


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
