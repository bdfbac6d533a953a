"""Results on a shared disk: file times, contents that changed, and stores copied to a node's own disk."""

import json
import os
import time
from pathlib import Path

import pytest

CELL = "results/tiny/cells/table_a1/4/kmeans.json"


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


def test_a_cell_made_afresh_from_a_staged_store_says_the_same(built, tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_DISK", str(tmp_path))
    staging = ("--config", "staging=$NODE_DISK/stores")
    assert built.planned("all_tables", *staging) == {}
    cell, runs = built.folder / CELL, built.folder / "results/tiny/runs"
    before, trained = numbers(cell), {path: path.stat().st_mtime for path in runs.glob("*/checkpoint.pt")}
    built.make("--forcerun", "pretrain", *staging, "--", CELL)
    assert sum(path.stat().st_mtime > then for path, then in trained.items()) == 2  # seeds
    assert numbers(cell) == before
    (copy,) = (tmp_path / "stores").rglob("*.h5")
    assert copy.read_bytes() == (built.folder / "results/tiny/stores/kitchen_hc.h5").read_bytes()
    assert built.planned("all_tables") == {"table": 1, "all_tables": 1}
    built.make("all_tables")
