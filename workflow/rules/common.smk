# Configuration, runs and paths. A path names its preset, so that results of two scales never mix.
import atexit
import os
import re
import shlex
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

sys.path.insert(0, str(Path(workflow.basedir).parent))

from cld import config as settings
from cld.runtime import making, warm
from cld.runtime.errors import InputError
from data_prep.common.settings import build_settings, generator_settings
from cld.evaluation.protocol_names import RESUMABLE, RUN_PROTOCOLS, SEMISUP_PERCENT, STORE_PROTOCOLS
from cld.reporting.needed_runs import available_tables, needed_runs, scores_of_evaluations
from cld.reporting.tables.spec import load_table, table_names
from cld.training.shares import processes_for, require_shares
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
PRESETS = sorted(path.stem for path in (settings.CONFIG / "presets").glob("*.yaml"))
DATASETS = sorted(path.stem for path in (settings.CONFIG / "datasets").glob("*.yaml"))
SOURCES = sorted(path.stem for path in (settings.CONFIG / "sources").glob("*.yaml"))
RUN = f"{RESULTS}/{{preset}}/runs/{{run}}"
CHECKPOINT = f"{RESULTS}/{{preset}}/runs/{{subject}}/checkpoint.pt"  # of the run that is scored
SCORES = f"{RESULTS}/{{preset}}/scores/{{subject}}"
SCORE = f"{SCORES}/{{protocol}}.json"
STORE = f"{RESULTS}/{{preset}}/stores/{{dataset}}"
LOG = f"{RESULTS}/{{preset}}/logs"
BENCHMARK = f"{RESULTS}/{{preset}}/benchmarks"
TABLE = f"{RESULTS}/{{preset}}/tables/{{table}}"
FIGURE = f"{RESULTS}/{{preset}}/figures"
TABLE_OF_FIGURE = {"fig_a2": "table_negatives", "fig_a3": "table_a3", "fig_choice": "table_a3"}
FIGURES = ["fig_a1", *(figure for figure, table in TABLE_OF_FIGURE.items() if table in table_names())]
OBJECT_DATASETS = [  # of objects in scenes: detection's
    name
    for name in DATASETS
    if settings.read_yaml(settings.CONFIG / "datasets" / f"{name}.yaml")["builder"] == "voc"
]
CAPTIONS = settings.read_yaml(
    Path(workflow.basedir).parent / "cld/reporting/page/captions.yaml"
)  # of figures
SHOWN = "../report/shown.rst"  # how snakemake --report captions tables and figures
ENVIRONMENT = "../../environment.yml"  # used with --software-deployment-method conda

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
    preset="|".join(PRESETS),
    run=r"(?!imported-)[^/]+",
    name=r"[A-Za-z0-9._-]+",
    dataset="|".join(DATASETS),
    source="|".join(SOURCES),
    table="|".join(table_names()),
    percent="|".join(SEMISUP_PERCENT),
    seed="[0-9]+",
    lr="[0-9.e-]+",
    multiplier="[0-9.]+",
    row=r"[^/]+",
    column=r"[^/]+",


def keep_others_off():
    """Let no other workflow make, in the same results folder, what this one makes; not with --nolock."""
    jobs = list(workflow.dag.needrun_jobs())
    makes = [path for job in jobs for path in job.output]
    if makes and workflow.execution_settings.lock:
        lease = making.keep_others_off(RESULTS, makes, [path for job in jobs for path in job.input])
        atexit.register(lease.give_back)
        making.require_missing(path for job in jobs for path in workflow.dag.reason(job).missing_output)


def load_libraries_once():
    """For jobs on this machine, by this interpreter: not where they enter a container or an environment."""
    here = workflow.executor_plugin.name == "local" and not workflow.remote_exec
    if here and not workflow.deployment_settings.deployment_method:
        commands = [job.rule.shellcmd or "" for job in workflow.dag.needrun_jobs()]
        if sum("cld.runtime.warm" in command for command in commands) > 1:
            warm.start()


@cache
def tables(preset):
    """Every table file, expanded at a preset's scale."""
    return {name: load_table(name, preset) for name in table_names()}


@cache
def runs(preset):
    """The runs that a preset needs, by id."""
    return needed_runs(tables(preset).values(), preset, with_evaluations=True).runs


def retrieving_checkpoints(wildcards):
    """The runs that Figure A.3 compares, both of Table A.3: NPID and, with its best weight, NPID + CLD."""
    table = tables(wildcards.preset)["table_a3"]
    runs = [next(iter(table.cell(row, "npid_top1").runs(wildcards.preset))) for row in ("0", "0.25")]
    return [CHECKPOINT.format(preset=wildcards.preset, subject=run) for run in runs]


def scores_of_choice(wildcards):
    """What the label-free choice of λ is drawn from: the runs of NPID + CLD in Table A.3."""
    table = tables(wildcards.preset)["table_a3"]
    cells = [table.cell(row.key, "npid_top1") for row in table.rows if row.key != "0"]
    runs = [run for cell in cells for run in cell.runs(wildcards.preset)]
    protocols = ["unsupervised", cells[0].protocol]
    return expand(SCORE, preset=wildcards.preset, subject=runs, protocol=protocols)


def semisup_subset_of(wildcards):
    """The labelled subset that a run is fine-tuned on: of its dataset, drawn with its seed."""
    store = Path(store_of("subject")(wildcards)).with_suffix("")
    name = wildcards.subject
    seed = 0 if name.startswith("imported-") else run_named(wildcards.preset, name)["seed"]
    return f"{store}.semisup_{wildcards.percent}-s{seed}.json"


def semisup_trials(wildcards):
    """Every trial of the grid, reports and networks."""
    grid = settings.load_protocol(wildcards.preset, "semisup")
    folder = f"{SCORES.format(**wildcards)}/semisup_{wildcards.percent}"
    trials = [f"{folder}/lr{lr}-head{factor}" for lr in grid["lr"] for factor in grid["head_multiplier"]]
    return {"reports": [f"{trial}.json" for trial in trials], "networks": [f"{trial}.pt" for trial in trials]}


def run_named(preset, name):
    """A run's resolved configuration."""
    if name not in runs(preset):
        raise WorkflowError(
            f"error: no table asks for the run {name} at the preset {preset}; its settings may have changed since"
        )
    return runs(preset)[name]


def results(paths):
    return [f"{RESULTS}/{path}" for path in paths]


def table_cell(wildcards):
    return tables(wildcards.preset)[wildcards.table].cell(wildcards.row, wildcards.column)


def table_cells(wildcards):
    table = tables(wildcards.preset)[wildcards.table]
    return results(cell.path(wildcards.preset) for cell in table.cells.values())


def cell_scores(wildcards):
    return results(table_cell(wildcards).scores(wildcards.preset))


def store_of(run):
    """The store that a run trains on and is scored on, from the run's id and the preset's tables.

    Rules look at a store's checksum, which Snakemake compares by content, and not at its time (``ancient``): a store
    that was only touched, or restored, is no other store.
    """

    def path(wildcards):
        name = getattr(wildcards, run)
        if name.startswith("imported-"):
            dataset = imported(name.removeprefix("imported-"))["dataset"]
        else:
            dataset = run_named(wildcards.preset, name)["dataset"]
        return f"{STORE.format(preset=wildcards.preset, dataset=dataset)}.h5"

    return path


def checksum_of(run):
    """The checksum beside the store of a run."""
    return lambda wildcards: f"{store_of(run)(wildcards)}.sha256"


def run_arguments(wildcards):
    """The arguments that name a run to the trainer: what a person would type."""
    run = run_named(wildcards.preset, wildcards.run)
    overrides = settings.format_overrides(settings.overrides_of(run, wildcards.preset))
    return f"--dataset {run['dataset']} --method {run['method']} --seed {run['seed']} {shlex.join(overrides)}"


def gpus_of_run(wildcards):
    """How many GPUs a pre-training asks for, if the profile names no other number."""
    return processes_for(run_named(wildcards.preset, wildcards.run), config["gpus"])


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
                require_shares(run_named(job.wildcards.preset, job.wildcards.run), nodes * processes)
            except InputError as error:
                raise InputError(f"{job.wildcards.run}: {error}") from None


def imported(name):
    """What config.yaml says of a checkpoint that others trained."""
    checkpoints = config["checkpoints"]
    if name not in checkpoints:
        raise settings.unknown_key(f"checkpoints.{name}", checkpoints, "config/config.yaml")
    return checkpoints[name]


def import_arguments(name):
    """The arguments that say what a checkpoint is: what a person would type."""
    entry = imported(name)
    overrides = settings.format_overrides(entry.get("set", {}))
    return f"--dataset {entry['dataset']} --layout {entry.get('layout', 'auto')} {shlex.join(overrides)}"


def source_of(preset, dataset):
    """The source that a dataset's store is made of."""
    return settings.load_dataset(preset, dataset)["source"]


def is_generated(preset, source):
    return settings.load_source(preset, source)["generate"] is not None


def upstream(preset, source):
    """The folder of a source's files: generated ones under the results, real ones where the user says."""
    if is_generated(preset, source):
        return f"{RESULTS}/{preset}/data/{source}"
    return config["data"]["paths"].get(source) or f"{config['data']['root']}/{source}"


def source_files(preset, source):
    """What stands for a source's files as an input: the generated folder, or the receipt of real files."""
    made = f"{RESULTS}/{preset}/data/{source}"
    return made if is_generated(preset, source) else f"{made}.json"


def files_of(dataset):
    """The files that a dataset's store is made of, as an input; ``dataset`` is a wildcard's name."""
    return lambda wildcards: source_files(
        wildcards.preset, source_of(wildcards.preset, getattr(wildcards, dataset))
    )


def pixel_knn_of(dataset):
    """The raw-pixel score of a store for its card; objects in scenes have none."""

    def paths(wildcards):
        name = getattr(wildcards, dataset)
        has_labels = settings.load_dataset(wildcards.preset, name)["builder"] != "voc"
        return (
            [SCORE.format(preset=wildcards.preset, subject=name, protocol="pixel_knn")] if has_labels else []
        )

    return paths


def shown_table(wildcards):
    """What snakemake --report says of a table."""
    table = tables(wildcards.preset)[wildcards.table]
    return shown(
        wildcards.preset, table.title, table.caption, {cell.dataset for cell in table.cells.values()}
    )


def shown_figure(figure):
    """What snakemake --report says of a figure."""

    def said(wildcards):
        table = TABLE_OF_FIGURE.get(figure)
        dataset = tables(wildcards.preset)[table].dataset if table else "kitchen_hc"
        return shown(wildcards.preset, **CAPTIONS[figure], datasets=[dataset])

    return said


def shown(preset, title, caption, datasets):
    generated = any(settings.is_generated(preset, dataset) for dataset in datasets)
    return {"title": title, "caption": caption.strip(), "generated": generated}


def tables_available(preset):
    """The tables whose datasets are all at hand."""
    return [table.name for table in available_tables(tables(preset).values(), config["data"]["paths"])]


def check():
    """Resolve everything the chosen preset asks for, so that a mistake costs a second and not a night."""
    for source in config["data"]["paths"]:
        if source not in SOURCES:
            raise settings.unknown_key(f"data.paths.{source}", SOURCES, "config/config.yaml")
    runs(PRESET)
    for name in settings.load_preset(PRESET)["all_evaluations"]["detection"]:
        if name not in OBJECT_DATASETS:
            where = f"config/presets/{PRESET}.yaml"
            raise settings.unknown_key(f"all_evaluations.detection.{name}", OBJECT_DATASETS, where)
    for dataset in DATASETS:
        build_settings(PRESET, dataset)
        if is_generated(PRESET, source_of(PRESET, dataset)):
            generator_settings(PRESET, source_of(PRESET, dataset))


or_exit(check)
