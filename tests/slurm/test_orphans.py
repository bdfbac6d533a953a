"""Claims of files, and jobs that a killed Snakemake left: with a queue of a file's lines in Slurm's place."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
from snakemake.exceptions import WorkflowError

from slurm import orphans
from slurm.orphans import Claim, this_process

SQUEUE = """
    import pathlib, sys
    queue = pathlib.Path(__file__).with_name("queue")
    if not queue.exists():
        sys.exit("slurm_load_jobs error: Unable to contact slurm controller")
    name = next(word for word in sys.argv if word.startswith("--name=")).partition("=")[2]
    print(*(line.split()[1] for line in queue.read_text().splitlines() if line.split()[0] == name), sep="\\n")
"""
#: Ends the jobs it is told at the second time only: one was on its way back into the queue at the first.
SCANCEL = """
    import pathlib, sys
    here = pathlib.Path(__file__)
    told = here.with_name("told")
    before = told.read_text() if told.exists() else ""
    told.write_text(before + " ".join(sys.argv[1:]) + "\\n")
    if before:
        queue = here.with_name("queue")
        lines = queue.read_text().splitlines()
        queue.write_text("".join(f"{line}\\n" for line in lines if line.split()[1] not in sys.argv))
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder with ``squeue``, ``scancel``, the ``queue`` (name and id a line) and what was ``told``."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, code in (("squeue", SQUEUE), ("scancel", SCANCEL)):
        (folder / name).write_text(f"#!{sys.executable}\n{textwrap.dedent(code)}")
        (folder / name).chmod(0o755)
    (folder / "queue").write_text("earlier 12\nearlier 7\nearlier 7\nother 9\n")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(orphans, "POLL_S", 0)
    return folder


def claimed(folder, name, outputs, **maker):
    """The claim of an earlier Snakemake, by default one that is gone."""
    (folder / "slurm").mkdir(exist_ok=True)
    path = folder / "slurm" / f"{name}.json"
    gone = subprocess.Popen(["true"])
    gone.wait()
    maker = {**this_process(), "process": gone.pid, "started": "1", **maker}
    path.write_text(json.dumps({"maker": maker, "outputs": outputs}))
    return path


def test_jobs_of_a_killed_snakemake_that_make_the_same_are_cancelled_until_they_are_gone(slurm, tmp_path):
    earlier = claimed(tmp_path, "earlier", ["a", "b"])
    told = []
    Claim(tmp_path, "new", ["b", "c"]).take(told.append)
    assert told == ["cancelling jobs that an earlier Snakemake left in the queue: 7 12"]
    assert (slurm / "queue").read_text() == "other 9\n"
    assert (slurm / "told").read_text() == "7 12\n7 12\n"
    assert not earlier.exists()
    assert json.loads((tmp_path / "slurm/new.json").read_text())["outputs"] == ["b", "c"]


def test_jobs_that_make_other_files_go_on(slurm, tmp_path):
    earlier = claimed(tmp_path, "earlier", ["a"])
    Claim(tmp_path, "new", ["b"]).take(pytest.fail)
    assert earlier.exists() and not (slurm / "told").exists()


def test_a_claim_without_jobs_says_nothing(slurm, tmp_path):
    (slurm / "queue").write_text("")
    earlier = claimed(tmp_path, "earlier", ["a"])
    Claim(tmp_path, "new", ["a"]).take(pytest.fail)
    assert not earlier.exists()


def test_a_snakemake_that_is_at_work_is_left_alone(slurm, tmp_path):
    earlier = claimed(tmp_path, "earlier", ["a"], **this_process())
    with pytest.raises(WorkflowError, match=f"process {os.getpid()}, makes some of the same files"):
        Claim(tmp_path, "new", ["a"]).take(pytest.fail)
    assert earlier.exists() and not (slurm / "told").exists()
    assert not (tmp_path / "slurm/new.json").exists()


def test_another_process_of_the_same_number_is_not_the_same(slurm, tmp_path):
    claimed(tmp_path, "earlier", ["a"], **{**this_process(), "started": "1"})
    told = []
    Claim(tmp_path, "new", ["a"]).take(told.append)
    assert len(told) == 1


def test_a_queue_that_cannot_be_read_is_one_line_and_the_claim_stays(slurm, tmp_path):
    (slurm / "queue").unlink()
    earlier = claimed(tmp_path, "earlier", ["a"])
    with pytest.raises(WorkflowError, match="squeue: slurm_load_jobs error"):
        Claim(tmp_path, "new", ["a"]).take(pytest.fail)
    assert earlier.exists()


def test_a_claim_is_given_up(slurm, tmp_path):
    claim = Claim(tmp_path, "new", ["a"])
    claim.take(pytest.fail)
    claim.release()
    claim.release()
    assert not list((tmp_path / "slurm").glob("*.json"))


def test_who_makes_nothing_claims_nothing(slurm, tmp_path):
    Claim(tmp_path, "new", []).take(pytest.fail)
    assert not (tmp_path / "slurm/new.json").exists()
