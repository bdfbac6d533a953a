"""``snakemake status`` in a checkout where something was done, failed and is not begun."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

KILLED_RUN = "kitchen_hc-npid-cld-kmeans8"  # of whichever seed comes first


def status(checkout) -> str:
    """What the target prints between Snakemake's own words, which go to its error output."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "status"]
    done = subprocess.run(command, cwd=checkout.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def trainer_of(run: str, folder: Path) -> int | None:
    """The process in this checkout that trains a run."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            is_copy = b"--listen" in (entry / "cmdline").read_bytes()  # see cld.runtime.warm
            said = (entry / "fd/1").readlink()
        except OSError:
            continue
        if is_copy and said.is_relative_to(folder) and said.name == "output.log" and run in said.parent.name:
            return int(entry.name)
    return None


def test_status_tells_what_is_done_and_why_a_run_was_killed_and_leaves_all_as_it_was(own_checkout):
    folder = own_checkout.folder
    own_checkout.make("results/tiny/cells/table_t/4/kmeans.json")
    before = own_checkout.planned("all_tables")
    first = status(own_checkout)
    assert first.splitlines()[0].startswith("tiny: 2 done, ")
    assert "Stores" not in first and "  knn  " in first
    assert own_checkout.planned("all_tables") == before

    # another Snakemake is at work: its run is seen, its lock stays, and its run is killed without a word
    work = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", "results/tiny/cells/table_t/8/kmeans.json"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while (trainer := trainer_of(KILLED_RUN, folder)) is None:
            assert work.poll() is None
            time.sleep(0.02)
        os.kill(trainer, signal.SIGSTOP)
        locks = sorted(path.name for path in (folder / ".snakemake/locks").iterdir())
        during = status(own_checkout)
        assert locks == sorted(path.name for path in (folder / ".snakemake/locks").iterdir())
        os.kill(trainer, signal.SIGKILL)
    finally:
        work.wait()
    (log,) = folder.glob(f"results/tiny/logs/pretrain/{KILLED_RUN}-*.log")
    run = log.stem
    assert "Running" in during and run in during
    assert "No Snakemake is at work" not in during
    assert work.returncode != 0
    after = status(own_checkout)
    assert "1 failed" in after.splitlines()[0]
    assert f"{run}  killed" in after
    assert "most likely out of memory" in after
    assert "No Snakemake is at work" in after
    assert own_checkout.planned("all_tables") == before
