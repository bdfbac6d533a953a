"""Why a job has likely ended, from what was said at its end, and how that is mended.

What is looked for first stands first: who runs out of memory may also lose a process, which is no cause then.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """Why a job has likely ended.

    Attributes:
        what: in a few words.
        fix: what to do; ``""`` where ``line`` says it.
        line: what told it.
    """

    what: str
    fix: str
    line: str


#: Of the error that names its own fix, see :class:`cld.runtime.errors.InputError`.
BAD_INPUT = "bad data or configuration"
UNKNOWN = "unknown"
#: By a signal that leaves no last word. After a cancellation Slurm sends it, too.
KILLED = "killed"

_EXCEPTION = re.compile(r"(?:\[rank\d+\]: )?[\w.]*(?:Error|Exception):")
_CANCELLED = re.compile(r" CANCELLED AT ")
_GOES_ON = "it goes on from its last save when Snakemake starts it again"
_MORE_MEMORY = "raise mem_mb of {rule} in slurm/config.yaml; without Slurm, start fewer jobs at once"
# What, a pattern, the fix; {rule} is the job's. Patterns: PyTorch's, Slurm's, Snakemake's and our own.
_CAUSES = [
    (what, re.compile(pattern), fix)
    for what, pattern, fix in [
        (
            "GPU out of memory",
            r"torch\.(?:cuda\.)?OutOfMemoryError|CUDA (?:error: )?out of memory|CUBLAS_STATUS_ALLOC_FAILED",
            "ask for a larger GPU: gpu_model of {rule} in slurm/config.yaml",
        ),
        (
            "out of memory",
            r"oom[-_ ]kill|OUT_OF_MEMORY|Out Of Memory|MemoryError\b|std::bad_alloc|Cannot allocate memory"
            r"|can't allocate memory|exceeded (?:step|job) memory limit",
            _MORE_MEMORY,
        ),
        (
            "disk full",
            r"No space left on device|Disk quota exceeded",
            "free some space, or move results in config/config.yaml",
        ),
        (
            "time limit",
            r"DUE TO TIME LIMIT|'TIMEOUT'",
            "raise runtime of {rule} in slurm/config.yaml",
        ),
        (
            "the node failed",
            r"DUE TO NODE FAILURE|'NODE_FAIL'|'BOOT_FAIL'|Node failure on ",
            f"Slurm starts it on another; if not, {_GOES_ON}",
        ),
        ("preempted", r"DUE TO PREEMPTION|'PREEMPTED'", f"Slurm starts it again; if not, {_GOES_ON}"),
        ("training diverged", r"^error: training diverged", ""),
        ("features collapsed", r"^error: features have collapsed", ""),
        (
            "GPU not usable",
            r"CUDA driver version is insufficient|NVIDIA driver on your system is too old"
            r"|Found no NVIDIA driver|no kernel image is available|no CUDA-capable device|CUDA unknown error"
            r"|Torch not compiled with CUDA|Attempting to deserialize object on a CUDA device"
            r"|^error: device '",
            "driver and PyTorch must fit: try nvidia-smi on that node, or ask for another kind of GPU",
        ),
        ("Slurm refused the job", r"sbatch: error: |sbatch failed", "fix that in slurm/config.yaml"),
        (BAD_INPUT, r"^error: ", ""),
        (
            "GPU failed",
            r"CUDA error: |cuDNN error: |CUBLAS_STATUS_|uncorrectable ECC",
            f"start again, on another node if it repeats; {_GOES_ON}",
        ),
        ("cancelled", r"\*\*\* JOB .* CANCELLED AT |'CANCELLED'", _GOES_ON),
        (
            KILLED,
            r"task \d+(?:-\d+)?: Killed|exit status 137|Signals\.SIGKILL|by signal: Killed"
            r"|Signal 9 \(SIGKILL\)",
            f"most likely out of memory: {_MORE_MEMORY}",
        ),
        (
            "a process of the run died",
            r"ChildFailedError|nccl(?:System|Remote|Internal)Error|Connection (?:closed|reset) by peer"
            r"|Watchdog caught collective operation timeout",
            "what it said stands further up in the log",
        ),
        # also what srun does with the other tasks when one has failed
        ("cancelled", _CANCELLED.pattern, _GOES_ON),
        ("interrupted", r"^interrupted$|KeyboardInterrupt", _GOES_ON),
        (
            UNKNOWN,
            rf"^Traceback \(most recent call last\)|^{_EXCEPTION.pattern}|exit status \d+",
            "",
        ),
    ]
]


def cause_of(lines: Iterable[str], rule: str) -> Cause | None:
    """The likely cause; None where nothing tells that the job has ended.

    Args:
        lines: what was said, the last line last.
        rule: of the job, whose requests stand in ``slurm/config.yaml``.
    """
    lines = [line.strip() for line in lines]
    for what, pattern, fix in _CAUSES:
        told = [number for number, line in enumerate(lines) if pattern.search(line)]
        if not told or (what == KILLED and any(_CANCELLED.search(line) for line in lines[: told[0]])):
            continue
        line = lines[told[-1]]
        if what == UNKNOWN:  # an exception says more than its traceback's first line
            line = next((line for line in reversed(lines) if _EXCEPTION.match(line)), line)
        return Cause(what, fix.format(rule=rule), line)
    return None
