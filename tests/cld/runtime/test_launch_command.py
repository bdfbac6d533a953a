"""What a training's command line begins with."""

import os
import shlex

import pytest

from cld.runtime.errors import InputError
from cld.runtime.launch_command import container_command, launch_command, processes_of


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, (1, 1)),
        ({"gpu": 0}, (1, 1)),
        ({"gpu": 4}, (1, 4)),
        ({"gpu": 0, "gres": "gpu:4", "nodes": 2}, (2, 4)),
        ({"gres": "gpu:a100:2"}, (1, 2)),
        ({"gres": "gpu:a100"}, (1, 1)),
        ({"nodes": 3}, (3, 1)),
    ],
)
def test_a_process_for_each_gpu(resources, expected):
    assert processes_of(resources) == expected


def test_gpus_that_slurm_might_distribute_unevenly_are_refused():
    with pytest.raises(InputError, match=r"gpu=4 on 2 nodes: .* gpu: 0 and gres: \"'gpu:2'\"$"):
        processes_of({"gpu": 4, "nodes": 2})


def test_the_launcher_comes_before_the_container():
    assert launch_command(1, 1, 8, False, "") == ""
    assert launch_command(1, 1, 8, False, "apptainer exec x") == "apptainer exec x"
    assert launch_command(1, 2, 8, False, "").startswith("exec torchrun --standalone --nproc-per-node=2 ")
    in_slurm = launch_command(2, 4, 8, True, "apptainer exec x")
    assert in_slurm == (
        "exec python -m cld.runtime.slurm_requeue --cpus 8 --nodes 2 --processes 4 apptainer exec x"
    )


def test_a_container_sees_the_checkout(tmp_path):
    assert container_command(None, "--nv") == ""
    image = tmp_path / "cld.sif"
    with pytest.raises(InputError, match=r"cld\.sif: no such file; build it"):
        container_command(str(image), "")
    image.touch()
    assert container_command(str(image), "--nv").endswith(f"exec --home {os.getcwd()} --nv {image}")
    odd = tmp_path / "it's an image.sif"
    odd.touch()
    assert shlex.split(container_command(str(odd), "--nv"))[-2:] == ["--nv", str(odd)]
