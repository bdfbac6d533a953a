"""Job arrays: each task is the job that it would be alone, and none waits for others."""

import re
from collections import Counter

import pytest
from toy_workflow import ToyWorkflow

RULES = """
SIZES = {"small": 100, "large": 150}


rule all:
    input:
        expand("out/{size}{i}", size=SIZES, i=range(3)),
        expand("late/{i}", i=range(2)),
        "lone/0",


rule first:
    output:
        "out/{size}{i}",
    priority: 1
    resources:
        mem_mb=lambda wildcards: SIZES[wildcards.size],
    shell:
        # the first of three outlasts the others, the second fails on its first attempt
        '''
        mkdir -p starts
        echo $SLURM_JOB_ID >> starts/{wildcards.size}{wildcards.i}
        case {wildcards.i} in 0) sleep 8 ;; esac
        if [ {wildcards.i} = 1 ] && [ $(wc -l < starts/{wildcards.size}1) = 1 ]; then exit 3; fi
        echo {wildcards.size}{wildcards.i} > {output}
        '''


rule store:
    input:
        "out/small2",
    output:
        "store",
    shell:
        "touch {output}"


rule late:
    input:
        "store",
    output:
        "late/{i}",
    shell:
        "echo {wildcards.i} > {output}"


rule lone:
    output:
        "lone/{i}",
    shell:
        "echo {wildcards.i} > {output}"
"""


@pytest.fixture(scope="module")
def toy(cluster, tmp_path_factory):
    """A workflow with arrays, done."""
    toy = ToyWorkflow(
        tmp_path_factory.mktemp("arrays"),
        RULES,
        *("--slurm-array-jobs", "first,late,lone", "--jobs", "5", "--retries", "1"),
    )
    process = toy.start()
    try:
        assert process.wait(600) == 0, toy.output.read_text()
    finally:
        process.kill()
    return toy


def jobs_of(toy) -> dict[str, list[str]]:
    """The Slurm ids of what was submitted, by rule; tasks of arrays have an underscore."""
    text = toy.output.read_text()
    rules = {job: rule for rule, job in re.findall(r"^rule (\w+):.*?^    jobid: (\d+)$", text, re.M | re.S)}
    found: dict[str, list[str]] = {}
    for job, slurm in re.findall(r"Job (\d+) has been submitted with SLURM jobid (\S+)", text):
        found.setdefault(rules[job], []).append(slurm)
    return found


def test_every_job_is_done_and_no_output_is_another_ones(toy):
    for size in ("small", "large"):
        for i in range(3):
            assert (toy.folder / f"out/{size}{i}").read_text() == f"{size}{i}\n"
    assert [(toy.folder / f"late/{i}").read_text() for i in range(2)] == ["0\n", "1\n"]


def test_jobs_that_ask_for_the_same_are_an_array_and_get_what_they_ask_for(toy, cluster):
    submitted = jobs_of(toy)
    arrays = Counter(job.partition("_")[0] for job in submitted["first"])
    assert sorted(arrays.values())[-2:] == [2, 3]  # the sixth had to wait
    for job in submitted["first"]:
        details = cluster.command("scontrol", "show", "job", job)
        raw = re.search(r"JobId=(\d+)", details)[1]
        did = next(path for path in (toy.folder / "starts").iterdir() if raw in path.read_text().split())
        assert f"mem={100 if 'small' in did.name else 150}M" in details
    # ready later, when other jobs of the rule would have been waited for in vain
    assert [job.partition("_")[2] for job in submitted["late"]] == ["1", "2"]


def test_no_more_jobs_are_in_the_queue_than_allowed(toy):
    n, most = 0, 0
    for line in toy.output.read_text().splitlines():
        n += "has been submitted" in line
        n -= line.startswith(("Finished jobid", "Error in rule"))
        most = max(n, most)
    assert most == 5


def test_one_job_of_an_arrays_rule_is_a_plain_job(toy):
    assert "_" not in jobs_of(toy)["lone"][0]


def test_a_task_that_fails_leaves_the_others_alone_and_is_tried_again(toy):
    starts = {path.name: len(path.read_text().split()) for path in (toy.folder / "starts").iterdir()}
    assert starts.pop("small1") == starts.pop("large1") == 2
    assert set(starts.values()) == {1}


def test_the_log_of_a_task_that_failed_is_where_snakemake_says(toy):
    kept = {path.name: path for path in (toy.folder / "logs").rglob("*.log")}
    assert len(kept) == 2 and any("_" in name for name in kept)
    for path in kept.values():
        assert str(path) in toy.output.read_text()
        assert re.search("out/(small|large)1", path.read_text())
