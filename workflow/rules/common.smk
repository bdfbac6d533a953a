# Configuration, runs and paths. A path names its preset, so that results of two scales never mix.
import os
import shlex
import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir).parent))

from cld import config as settings
from cld.errors import InputError
from data_prep.build.settings import BuildSettings
from data_prep.render.settings import RenderSettings
from cld.tables.spec import STORE_PROTOCOLS, load_table, table_names


def or_exit(function, *arguments):
    """Call a function; bad input ends the workflow with one line, before any job."""
    try:
        return function(*arguments)
    except InputError as error:
        sys.exit(f"error: {error}")


or_exit(settings.validate, config, "config", "config/config.yaml")
PRESET = config["preset"]
RESULTS = config["results"]
PRESETS = sorted(path.stem for path in (settings.CONFIG / "presets").glob("*.yaml"))
RUN = f"{RESULTS}/{{preset}}/runs/{{run}}"
SCORE = f"{RESULTS}/{{preset}}/scores/{{subject}}/{{protocol}}.json"
STORE = f"{RESULTS}/{{preset}}/stores/{{dataset}}"
LOG = f"{RESULTS}/{{preset}}/logs"
BENCHMARK = f"{RESULTS}/{{preset}}/benchmarks"
ENVIRONMENT = "../../environment.yml"  # used with --software-deployment-method conda

# glibc returns large freed blocks to the kernel and faults them in again at every training step; keeping
# them makes a CPU step about 1.3 times as fast. Only the environment before a process starts can say so.
for name, value in {
    "MALLOC_MMAP_THRESHOLD_": 32 << 20,  # the most that glibc accepts
    "MALLOC_TRIM_THRESHOLD_": 8 << 30,
    "MALLOC_TOP_PAD_": 64 << 20,
}.items():
    os.environ.setdefault(name, str(value))


wildcard_constraints:
    preset="|".join(PRESETS),
    run=r"[^/]+",
    table="|".join(table_names()),
    row=r"[^/]+",
    column=r"[^/]+",


@cache
def tables(preset):
    """Every table file, expanded at a preset's scale."""
    return {name: load_table(name, preset) for name in table_names()}


@cache
def runs(preset):
    """The runs that the tables of a preset need, by id: each stands once, however many cells share it."""
    return {
        run: resolved
        for table in tables(preset).values()
        for cell in table.cells.values()
        for run, resolved in cell.runs(preset).items()
    }


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
    """The store that a run trains on and is scored on, from the run's id and the preset's tables."""

    def path(wildcards):
        dataset = runs(wildcards.preset)[getattr(wildcards, run)]["dataset"]
        return f"{STORE.format(preset=wildcards.preset, dataset=dataset)}.h5"

    return path


def run_arguments(wildcards):
    """The arguments that name a run to the trainer: what a person would type."""
    run = runs(wildcards.preset)[wildcards.run]
    overrides = settings.format_overrides(settings.overrides_of(run, wildcards.preset))
    return f"--dataset {run['dataset']} --method {run['method']} --seed {run['seed']} {shlex.join(overrides)}"


def upstream(preset, dataset):
    """Where a dataset's upstream files lie: rendered ones under the results, real ones where the user says."""
    if settings.load_dataset(preset, dataset)["render"] is not None:
        return f"{RESULTS}/{preset}/data/{dataset}"
    return config["data"][dataset]


def builder(preset, dataset):
    """The module of data_prep that builds a dataset's store from the kind of source it has."""
    source = settings.load_dataset(preset, dataset)["source"]
    return {"scenes": "kitchen_hc", "image_folder": "image_folder"}[source]


def rendered(dataset=None):
    """The rendered files a dataset is built from, as an input; none where real files are used."""

    def paths(wildcards):
        name = dataset or wildcards.dataset
        is_rendered = settings.load_dataset(wildcards.preset, name)["render"] is not None
        return [upstream(wildcards.preset, name)] if is_rendered else []

    return paths


def check():
    """Resolve everything the chosen preset asks for, so that a mistake costs a second and not a night."""
    runs(PRESET)
    dataset = settings.load_dataset(PRESET, "kitchen_hc")
    BuildSettings.from_mapping(dataset["build"])
    if dataset["render"] is not None:
        RenderSettings.from_mapping(dataset["render"])


or_exit(check)
