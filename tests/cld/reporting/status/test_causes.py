"""What is said to be the cause, from what programs, Slurm and Snakemake print."""

import pytest

from cld.reporting.status.causes import BAD_INPUT, KILLED, UNKNOWN, cause_of

TRACEBACK = """\
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/home/me/cld/cld/training/loop.py", line 118, in _train
    train_step(state, forward, draw_parts(state, drawn), lr, state.step / n_steps)
"""
GPU_MEMORY = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
    "79.15 GiB of which 1.12 GiB is free."
)
OOM_KILL = "slurmstepd: error: Detected 1 oom_kill event in StepId=123.0."
SRUN_ENDS = "srun: error: node1: task 0: Exited with exit code 1"
LIMIT = "slurmstepd-st1: error: *** STEP 6.1 ON st1 CANCELLED AT 2026-11-24T06:44:28 DUE TO TIME LIMIT ***"
STEP_CANCELLED = "slurmstepd-st2: error: *** STEP 4.1 ON st2 CANCELLED AT 2026-11-24T06:40:19 ***"
JOB_CANCELLED = "slurmstepd-st2: error: *** JOB 4 ON st2 CANCELLED AT 2026-11-24T06:40:19 ***"
KILLED_TASK = "srun: error: st1: task 0: Killed"
CHILD_FAILED = "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:"
NODE = "slurmstepd: error: *** JOB 9 ON n1 CANCELLED AT 2026-11-24T06:40:19 DUE TO NODE FAILURE ***"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("GPU out of memory", TRACEBACK + GPU_MEMORY),
        ("GPU out of memory", f"{TRACEBACK}{GPU_MEMORY}\n{CHILD_FAILED}\n{SRUN_ENDS}"),
        (
            "GPU out of memory",
            f"[rank1]: {GPU_MEMORY}\nrun: 3/9 steps (1.0 steps/s, 6 s left)\n{CHILD_FAILED}",
        ),
        ("out of memory", OOM_KILL),
        ("out of memory", f"{OOM_KILL}\nsrun: error: node1: task 0: Out Of Memory"),
        (
            "out of memory",
            TRACEBACK + "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 3.00 GiB",
        ),
        (
            "out of memory",
            "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: 12 bytes",
        ),
        ("out of memory", "SLURM-job '3' failed, SLURM status is: 'OUT_OF_MEMORY'. Reason: Unknown."),
        ("time limit", f"{LIMIT}\nsrun: error: st1: task 0: Terminated"),
        ("time limit", "SLURM-job '3' failed, SLURM status is: 'TIMEOUT'. Reason: Unknown."),
        ("the node failed", NODE),
        ("cancelled", f"{STEP_CANCELLED}\nsrun: error: st2: task 0: Terminated"),
        ("cancelled", f"{STEP_CANCELLED}\n{KILLED_TASK}"),  # what Slurm does after a while
        ("cancelled", f"{KILLED_TASK}\n{JOB_CANCELLED}"),
        (
            "preempted",
            "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-24T06:40:19 DUE TO PREEMPTION ***",
        ),
        (KILLED, KILLED_TASK),
        (KILLED, f"{KILLED_TASK}\n{STEP_CANCELLED}"),  # what srun does with the other tasks
        (KILLED, "the command died with <Signals.SIGKILL: 9>."),
        (KILLED, "the command returned non-zero exit status 137."),
        (
            "training diverged",
            "error: training diverged by step 3: loss not finite; lower optimiser.lr (1e+30)",
        ),
        (
            "features collapsed",
            "error: features have collapsed by step 40: feature_spread is 0.0010 (1 = even",
        ),
        (BAD_INPUT, "error: store.h5: no such file; build it"),
        (BAD_INPUT, f"error: store.h5: no such file; build it\n{SRUN_ENDS}\n{CHILD_FAILED}"),
        ("disk full", "error: results/a.csv: cannot be written (No space left on device); free some space"),
        (
            "GPU not usable",
            "RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
        ),
        (
            "GPU not usable",
            "error: device 'cuda' cannot be used (Torch not compiled with CUDA enabled); use cpu",
        ),
        ("GPU failed", "RuntimeError: CUDA error: an illegal memory access was encountered"),
        (
            "Slurm refused the job",
            "sbatch: error: Batch job submission failed: Invalid partition name specified",
        ),
        ("a process of the run died", f"{TRACEBACK}{CHILD_FAILED}\n{SRUN_ENDS}"),
        ("interrupted", "interrupted"),
        (UNKNOWN, TRACEBACK + "ZeroDivisionError: division by zero\n" + SRUN_ENDS),
    ],
)
def test_the_cause_is_told_by_what_was_said(what, said):
    assert cause_of(said.splitlines(), "pretrain").what == what


def test_a_mend_names_the_rule_and_an_unknown_cause_its_exception():
    assert "mem_mb of evaluate in slurm/config.yaml" in cause_of([OOM_KILL], "evaluate").fix
    unknown = cause_of(
        [*TRACEBACK.splitlines(), "ZeroDivisionError: division by zero", SRUN_ENDS], "pretrain"
    )
    assert unknown.line == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    "said",
    [
        "",
        "srun: cluster configuration lacks support for cpu binding",
        "kitchen_hc-npid-s0-ef587c63: 367/60000 steps (36.7 steps/s, 1625 s left)  epoch 30/5000",
        "resumed from step 12 of results/demo/runs/a/partial.pt",
        "UserWarning: The given NumPy array is not writable",
        "[W1124 06:43:02 socket.cpp:200] [c10d] The hostname of the client socket cannot be retrieved.",
    ],
)
def test_what_tells_no_end_has_no_cause(said):
    assert cause_of(said.splitlines(), "pretrain") is None
