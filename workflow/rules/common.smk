# Configuration, paths and wildcards. A path names its preset, so that results of two scales never mix.
import os
import sys
from pathlib import Path

from snakemake.settings.types import DeploymentMethod

from cld import config as settings
from cld.evaluation.protocol_names import RESUMABLE, RUN_PROTOCOLS, SEMISUP_PERCENT, STORE_PROTOCOLS
from cld.reporting import targets
from cld.reporting.needed_runs import TABLE_OF_FIGURE, scores_of_evaluations
from cld.reporting.tables.spec import table_names
from cld.runtime import warm
from cld.runtime.errors import InputError
from cld.runtime.files import matplotlib_folder
from cld.runtime.launch_command import container_command, launch_command, processes_of
from cld.training.process_count import process_count_for, require_process_count
from data_prep.common.settings import build_settings, generator_settings
from data_prep.fetch.source_folder import own_fingerprint


def or_exit(function, *arguments):
    """Call a function; bad input ends the workflow with one line, before any job."""
    try:
        return function(*arguments)
    except InputError as error:
        sys.exit(f"error: {error}")


or_exit(settings.load_config)  # a key that stands twice, which Snakemake's reader takes
config.update(settings.as_parsed(config))
or_exit(settings.validate, config, "config", "config/config.yaml")
PRESET = config["preset"]
RESULTS = config["results"]
TARGETS = targets.Targets(config)
if workflow.is_main_process:
    print(*or_exit(TARGETS.first_lines, PRESET), sep="\n", file=sys.stderr)
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
SOON = 100  # priority of jobs that take seconds and complete a table or figure
CAPTION = "../report/caption.rst"  # template of the captions of snakemake --report
ENVIRONMENT = "../../environment.yml"  # used with --software-deployment-method conda

# Jobs run the interpreter that runs Snakemake, also where its environment is not activated.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))

# The environment of all jobs. glibc returns large freed blocks to the kernel and faults them in again at every training
# step; keeping them makes a CPU step about 1.3 times as fast.
for name, value in {
    "CLD_REPLACE_BEFORE": 0,  # runs that ended before this time are trained anew; see onstart
    "CLD_DEVICE": config["device"],
    **({"CLD_STAGING": config["staging"]} if config["staging"] else {}),
    "MALLOC_MMAP_THRESHOLD_": 32 << 20,  # the most that glibc accepts
    "MALLOC_TRIM_THRESHOLD_": 8 << 30,
    "MALLOC_TOP_PAD_": 64 << 20,
    # matplotlib's list of fonts: on the node's disk, since jobs wait for each other's lock on it
    "MPLCONFIGDIR": matplotlib_folder(),
}.items():
    os.environ.setdefault(name, str(value))


# Where jobs run changes nothing of what they make: no params, or Snakemake would make it again. What enters a container
# has to be known here, since a training's launcher stays outside of it, and only `workflow` has the command line's options.
if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:
    CONTAINER = or_exit(container_command, config["container"], workflow.deployment_settings.apptainer_args)
else:
    CONTAINER = ""


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
    return lambda wildcards: or_exit(function, wildcards.preset, *(wildcards[name] for name in names))


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
    return process_count_for(targets.run_named(wildcards.preset, wildcards.run), config["gpus"])


def is_pretraining_forced():
    """Whether --forcerun, --force or --forceall asks for runs that are complete; known once jobs are chosen."""
    asked = workflow.dag_settings
    return (
        asked.forceall or asked.forcetargets or any("pretrain" in x or "/runs/" in x for x in asked.forcerun)
    )


def launcher(wildcards, threads, resources):
    """What starts a training and enters the container. It depends on ``resources``: another one trains nothing again."""
    nodes, processes = or_exit(processes_of, resources)
    if "run" in wildcards.keys():
        or_exit(require_process_count, targets.run_named(wildcards.preset, wildcards.run), nodes * processes)
    in_slurm = workflow.remote_exec and "SLURM_JOB_ID" in os.environ
    return launch_command(nodes, processes, threads, in_slurm, CONTAINER)


def check():
    """Resolve everything the chosen preset asks for, so that a mistake costs a second and not a night."""
    TARGETS.check(PRESET)
    for dataset in DATASETS:
        build_settings(PRESET, dataset)
        source = settings.load_dataset(PRESET, dataset)["source"]
        if settings.load_source(PRESET, source)["generate"] is not None:
            generator_settings(PRESET, source)


or_exit(check)
