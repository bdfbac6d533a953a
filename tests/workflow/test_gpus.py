"""How many GPUs a job asks for, and numbers that are refused before any job is started."""

import re

import pytest
from checkouts import edited

CELL = "results/tiny/cells/table_a1/8/kmeans.json"
THREE = r"3 processes cannot share the optimiser.parts 4 of a batch"


def asked_for(checkout, *arguments):
    """The GPUs that each pre-training would ask for."""
    plan = checkout.make("--dry-run", CELL, *arguments)
    return [int(n) for n in re.findall(r"rule pretrain:.*?resources:[^\n]*\bgpu=(\d+)", plan, re.S)]


def test_a_run_in_one_part_asks_for_one(checkout):
    assert asked_for(checkout, "--config", "gpus=8") == [1, 1]


@pytest.fixture(scope="module")
def in_parts(checkout):
    """A checkout whose runs can be shared out among four."""
    with edited(checkout.table, "published:", "set: {optimiser.parts: 4}\npublished:"):
        yield checkout


@pytest.mark.parametrize(("most", "gpus"), [(1, 1), (3, 2), (8, 4)])
def test_a_run_asks_for_as_many_as_can_share_its_batches(in_parts, most, gpus):
    assert asked_for(in_parts, "--config", f"gpus={most}") == [gpus, gpus]  # two seeds


def test_the_profile_names_another_number(in_parts):
    assert asked_for(in_parts, "--config", "gpus=4", "--set-resources", "pretrain:gpu=1") == [1, 1]


@pytest.mark.parametrize(
    ("resources", "line"),
    [
        (["pretrain:gpu=3"], THREE),
        (["pretrain:nodes=3", "pretrain:gpu=0"], THREE),
        (["pretrain:nodes=2"], r"gpu=4 on 2 nodes: name the GPUs of a node, gpu: 0 and gres: \"'gpu:2'\""),
    ],
)
def test_what_cannot_be_shared_out_is_one_line(in_parts, resources, line):
    done = in_parts.snakemake("--dry-run", CELL, "--config", "gpus=4", "--set-resources", *resources)
    assert done.returncode == 1
    assert re.search(rf"^error: {line}", done.stdout, re.M), done.stdout
    assert "Traceback" not in done.stdout


def test_every_command_that_computes_is_told_the_device(checkout):
    device = "$CLD_DEVICE"  # of the configuration
    plan = checkout.make("--dry-run", "--printshellcmds", CELL, "all_evaluations")
    commands = re.findall(r"cld\.runtime\.warm ((\w+(?: trial| choose)?) .*)", plan)
    told = {name for command, name in commands if f" --device {device} " in command}
    assert told == {"train", "evaluate", "semisup trial", "semisup choose"}
    assert all(f" --device {device} " in command for command, _ in commands if "--checkpoint " in command)


def test_a_device_is_auto_or_the_cpu(checkout):
    done = checkout.snakemake("--dry-run", CELL, "--config", "device=abacus")
    assert done.returncode == 1
    assert "config/config.yaml: device: 'abacus' is not one of ['auto', 'cpu']" in done.stdout


def test_no_number_is_no_gpu(in_parts):
    done = in_parts.snakemake("--dry-run", CELL, "--config", "gpus=0")
    assert done.returncode == 1
    assert "config/config.yaml: gpus" in done.stdout
    assert "Traceback" not in done.stdout
