# Configuration, paths and wildcards. A path names its preset, so that results of two scales never mix.
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from snakemake.settings.types import DeploymentMethod

from cld import config as settings
from cld.evaluation.protocols import PROTOCOLS, RUN_PROTOCOLS, SEMISUP_PERCENT, STORE_PROTOCOLS
from cld.reporting import targets
from cld.reporting.needed_runs import scores_of_evaluations
from cld.reporting.tables.spec import table_names
from cld.runtime import warm
from cld.runtime.errors import InputError
from cld.training.shares import processes_for, require_shares
from data_prep.common.settings import build_settings, generator_settings
from slurm import executor as slurm_executor

slurm_executor.install()


def or_exit(function, *arguments):
    """Call a function; bad input ends the workflow with one line, before any job."""
    try:
        return function(*arguments)
    except InputError as error:
        sys.exit(f"error: {error}")


def container_command():
    """What enters the container, for commands that a launcher starts: it has to stay outside."""
    deployment, image = workflow.deployment_settings, config["container"]
    if not image or DeploymentMethod.APPTAINER not in deployment.deployment_method:
        return ""
    if not os.path.exists(image):
        raise InputError(
            f"config/config.yaml: container: {image}: no such file; build it (docs/cluster.md, Containers)"
        )
    engine = "apptainer" if shutil.which("apptainer") else "singularity"
    return f"{engine} exec --home {os.getcwd()} {deployment.apptainer_args} {image}"


or_exit(settings.validate, config, "config", "config/config.yaml")
PRESET = config["preset"]
RESULTS = config["results"]
TARGETS = targets.Targets(config)
DATASETS = targets.config_names("datasets")
RUN = f"{RESULTS}/{{preset}}/runs/{{run}}"
CHECKPOINT = f"{RESULTS}/{{preset}}/runs/{{subject}}/checkpoint.pt"  # of the run that is scored
SCORES = f"{RESULTS}/{{preset}}/scores/{{subject}}"
SCORE = f"{SCORES}/{{protocol}}.json"
STORE = f"{RESULTS}/{{preset}}/stores/{{dataset}}"
LOG = f"{RESULTS}/{{preset}}/logs"
BENCHMARK = f"{RESULTS}/{{preset}}/benchmarks"
TABLE = f"{RESULTS}/{{preset}}/tables/{{table}}"
FIGURE = f"{RESULTS}/{{preset}}/figures"
CAPTION = "../report/caption.rst"  # template of the captions of snakemake --report
ENVIRONMENT = "../../environment.yml"  # used with --software-deployment-method conda
#: The command line of the package; on one machine its libraries are loaded once, see cld/runtime/warm.py.
CLD = "python -m cld.runtime.warm"

# glibc returns large freed blocks to the kernel and faults them in again at every training step; keeping
# them makes a CPU step about 1.3 times as fast. Only the environment before a process starts can say so.
for name, value in {
    "MALLOC_MMAP_THRESHOLD_": 32 << 20,  # the most that glibc accepts
    "MALLOC_TRIM_THRESHOLD_": 8 << 30,
    "MALLOC_TOP_PAD_": 64 << 20,
    # matplotlib's list of fonts: on the node's disk, since jobs wait for each other's lock on it
    "MPLCONFIGDIR": f"{tempfile.gettempdir()}/cld-matplotlib-{os.getuid()}",
}.items():
    os.environ.setdefault(name, str(value))


# Where and in what jobs run changes nothing of what they make: no params, or Snakemake would make it again.
for name, value in {"CLD_STAGING": config["staging"], "CLD_CONTAINER": or_exit(container_command)}.items():
    if value is not None:
        os.environ[name] = value


wildcard_constraints:
    preset="|".join(targets.config_names("presets")),
    run=rf"(?!{targets.IMPORTED})[^/]+",
    name=r"[A-Za-z0-9._-]+",
    dataset="|".join(DATASETS),
    source="|".join(targets.config_names("sources")),
    table="|".join(table_names()),
    percent="|".join(SEMISUP_PERCENT),
    seed="[0-9]+",
    lr="[0-9.e-]+",
    multiplier="[0-9.]+",
    row=r"[^/]+",
    column=r"[^/]+",


def of(function, *names):
    """An input or parameter: a function of :mod:`cld.reporting.targets` of the preset and of these wildcards."""
    return lambda wildcards: function(wildcards.preset, *(getattr(wildcards, name) for name in names))


def store_of(run):
    """The store that a run trains on or is scored on; ``run`` is a wildcard's name.

    Rules look at a store's checksum, which Snakemake compares by content, and not at its time (``ancient``): a store
    that was only touched, or restored, is no other store.
    """
    return of(TARGETS.store, run)


def checksum_of(run):
    """The checksum beside the store of a run."""
    return lambda wildcards: f"{store_of(run)(wildcards)}.sha256"


def gpus_of_run(wildcards):
    """How many GPUs a pre-training asks for, if the profile names no other number."""
    return processes_for(targets.run_named(wildcards.preset, wildcards.run), config["gpus"])


def processes_of(resources):
    """Nodes, and processes on each of them: one for each GPU that a job asks for.

    Raises:
        InputError: GPUs on several nodes that Slurm might deal out unevenly.
    """
    nodes, gpus = resources.get("nodes") or 1, resources.get("gpu") or 0
    if gres := re.fullmatch(r"gpu(?::(?!\d+$)[\w.]+)?(?::(\d+))?", resources.get("gres") or ""):
        gpus = int(gres[1] or 1)
    elif gpus and nodes > 1:
        raise InputError(
            f"gpu={gpus} on {nodes} nodes: name the GPUs of a node, gpu: 0 and gres: \"'gpu:{max(1, gpus // nodes)}'\""
        )
    return nodes, max(1, gpus)


def launcher(wildcards, threads, resources):
    """What starts a training: in a Slurm job a step of its own, torchrun where there are several processes."""
    nodes, processes = or_exit(processes_of, resources)
    if workflow.remote_exec and "SLURM_JOB_ID" in os.environ:
        return f"exec python -m slurm.launch --cpus {threads} --nodes {nodes} --processes {processes}"
    return f"exec torchrun --standalone --nproc-per-node={processes} --no-python" if processes > 1 else ""


def check_processes(jobs):
    """Refuse numbers of GPUs that a run cannot be shared out to, before any job is started.

    Raises:
        InputError: names the run and both numbers.
    """
    for job in jobs:
        if job.rule.name not in ("pretrain", "detect", "semisup_trial"):
            continue
        nodes, processes = processes_of(job.resources)
        if job.rule.name == "pretrain":
            try:
                require_shares(targets.run_named(job.wildcards.preset, job.wildcards.run), nodes * processes)
            except InputError as error:
                raise InputError(f"{job.wildcards.run}: {error}") from None


def check():
    """Resolve everything the chosen preset asks for, so that a mistake costs a second and not a night."""
    TARGETS.check(PRESET)
    for dataset in DATASETS:
        build_settings(PRESET, dataset)
        source = settings.load_dataset(PRESET, dataset)["source"]
        if settings.load_source(PRESET, source)["generate"] is not None:
            generator_settings(PRESET, source)


or_exit(check)
