"""What a workflow's targets are made of: from the names in a path to inputs, stores and arguments.

Paths are relative to the folder that Snakemake runs in. All functions are pure, given the configuration.
"""

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from cld.config import (
    CONFIG,
    format_overrides,
    is_available,
    is_generated,
    is_left_out,
    load_dataset,
    load_preset,
    load_protocol,
    load_source,
    read_yaml,
    unknown_key,
)
from cld.reporting.needed_runs import (
    SUPPLEMENT,
    TABLE_OF_FIGURE,
    available_tables,
    evaluations_refused,
    needed_runs,
)
from cld.reporting.tables.spec import TABLE_KINDS, Tables, score_path, table_names
from cld.runtime.errors import InputError
from cld.training.run_id import overrides_of

IMPORTED = "imported-"  # a run's name begins with it if others trained its network
#: The figures that the supplement prints.
FIGURES = ("fig_a1", "fig_a2", "fig_a3")
#: Rows of Table A.3 whose NPID runs Figure A.3 compares: alone, and with CLD at its best weight.
RETRIEVAL_ROWS = ("0", "0.25")
#: Formats of figures.
FIGURE_KINDS = ("png", "pdf", "csv")
#: Titles and captions of figures.
CAPTIONS = Path(__file__).parent / "page" / "captions.yaml"
WHERE = "config/config.yaml"


def config_names(kind: str) -> list[str]:
    """The files of ``config/<kind>``: presets, datasets or sources that exist."""
    return sorted(path.stem for path in (CONFIG / kind).glob("*.yaml"))


def detection_datasets() -> list[str]:
    """Datasets of annotated objects, which detection is scored on."""
    datasets = config_names("datasets")
    return [name for name in datasets if read_yaml(CONFIG / "datasets" / f"{name}.yaml")["builder"] == "voc"]


@cache
def tables(preset: str) -> Tables:
    """Every table file, expanded at a preset's scale."""
    return Tables(preset)


@cache
def runs(preset: str) -> dict[str, dict]:
    """The runs that a preset needs, by id."""
    return needed_runs(tables(preset).values(), preset, with_evaluations=True).runs


def run_named(preset: str, name: str) -> dict:
    """A run's resolved configuration.

    Raises:
        InputError: no table asks for it.
    """
    if name not in runs(preset):
        raise InputError(
            f"no table asks for the run {name} at the preset {preset}; its settings may have changed since"
        )
    return runs(preset)[name]


@cache
def priorities(preset: str) -> dict[str, int]:
    """How early the jobs of a run, a dataset or a source come: those of the first table that needs it.

    First the supplement's tables in their order, then the table of Figure A.2, then the others; what they
    need of ImageNet comes after all else. A workflow that ends early leaves whole tables.
    """
    last = len(SUPPLEMENT) + 1
    order = dict(zip((*SUPPLEMENT, TABLE_OF_FIGURE["fig_a2"]), range(last), strict=True))
    ranks: dict[str, int] = {}
    for table in sorted(tables(preset).values(), key=lambda table: order.get(table.name, last)):
        for cell in table.cells.values():
            dataset = load_dataset(preset, cell.dataset)
            rank = order.get(table.name, last) + (last + 1) * (dataset["builder"] == "imagenet")
            for name in (*cell.runs, cell.dataset, dataset["source"]):
                ranks[name] = min(rank, ranks.get(name, rank))
    return {name: 2 * (last + 1) - rank for name, rank in ranks.items()}


def priority(preset: str, name: str) -> int:
    """Snakemake's priority of the jobs of a run, a dataset or a source; 0 where no table needs it."""
    return priorities(preset).get(name, 0)


class Targets:
    """Inputs and arguments under one ``config/config.yaml``.

    Args:
        config: its content, validated.
    """

    def __init__(self, config: Mapping):
        self.results = config["results"]
        self.data, self.checkpoints = config["data"], config["checkpoints"]
        self.resources = config["resources"]

    def path(self, preset: str, *parts: str) -> str:
        """A path under a preset's results."""
        return "/".join([self.results, preset, *parts])

    def score(self, preset: str, subject: str, protocol: str) -> str:
        """A run's or a store's score by one protocol."""
        return f"{self.results}/{score_path(preset, subject, protocol)}"

    def table_files(self, preset: str, names: Iterable[str]) -> list[str]:
        """Tables in all formats."""
        return [self.path(preset, "tables", f"{name}.{kind}") for name in names for kind in TABLE_KINDS]

    def figure_files(self, preset: str, names: Iterable[str]) -> list[str]:
        """Figures in all formats."""
        return [self.path(preset, "figures", f"{name}.{kind}") for name in names for kind in FIGURE_KINDS]

    # What jobs ask for

    def threads(self, rule: str, own: int) -> int:
        """A rule's CPUs: its own number, or that of ``resources`` of the configuration."""
        return self.resources.get(rule, {}).get("threads", own)

    def requests(self, rule: str, **own: object) -> dict[str, object]:
        """A rule's resources: its own, and over them what ``resources`` of the configuration asks for.

        Texts are Python expressions of ``wildcards``, ``attempt`` and ``threads``, as in a profile.
        ``--set-resources`` stands over both, for the resource that it names alone.
        """

        def evaluated(expression: str) -> Callable[..., object]:
            def value(wildcards: object, attempt: int, threads: int) -> object:
                return eval(expression, {"wildcards": wildcards, "attempt": attempt, "threads": threads})

            return value

        asked = self.resources.get(rule, {}).items()
        given = {name: evaluated(value) if isinstance(value, str) else value for name, value in asked}
        return own | {name: value for name, value in given.items() if name != "threads"}

    # Upstream files and stores

    def upstream(self, preset: str, source: str) -> str:
        """The folder of a source's files: generated ones under the results, real ones where the user says."""
        if load_source(preset, source)["generate"] is not None:
            return self.path(preset, "data", source)
        return self.data["paths"].get(source) or f"{self.data['root']}/{source}"

    def dataset_files(self, preset: str, dataset: str) -> str:
        """A dataset's upstream files as an input: the generated folder, or the receipt of real files."""
        folder = self.path(preset, "data", load_dataset(preset, dataset)["source"])
        return folder if is_generated(preset, dataset) else f"{folder}.json"

    def dataset_upstream(self, preset: str, dataset: str) -> str:
        """The folder of a dataset's upstream files."""
        return self.upstream(preset, load_dataset(preset, dataset)["source"])

    def pixel_knn(self, preset: str, dataset: str) -> list[str]:
        """The raw-pixel score on a store's card; images with annotated objects have none."""
        return [] if dataset in detection_datasets() else [self.score(preset, dataset, "pixel_knn")]

    def store(self, preset: str, run: str) -> str:
        """The store that a run, trained here or imported, was trained on or is scored on."""
        is_imported = run.startswith(IMPORTED)
        of = self.imported(run.removeprefix(IMPORTED)) if is_imported else run_named(preset, run)
        return self.path(preset, "stores", f"{of['dataset']}.h5")

    # Runs

    def run_arguments(self, preset: str, run: str) -> str:
        """The arguments that name a run to ``cld train``: what a person would type."""
        config = run_named(preset, run)
        overrides = shlex.join(format_overrides(overrides_of(config, preset)))
        return (
            f"--dataset {config['dataset']} --method {config['method']} --seed {config['seed']} {overrides}"
        )

    def scored_by(self, preset: str, run: str) -> str:
        """The protocols that tables score a run by, with commas: what its store has to suit."""
        cells = (cell for table in tables(preset).values() for cell in table.cells.values())
        return ",".join(sorted({cell.protocol for cell in cells if run in cell.runs}))

    def imported(self, name: str) -> dict:
        """What ``config.yaml`` says of a checkpoint that others trained.

        Raises:
            InputError: it has no such checkpoint.
        """
        if name not in self.checkpoints:
            raise unknown_key(f"checkpoints.{name}", self.checkpoints, WHERE)
        return self.checkpoints[name]

    def import_arguments(self, name: str) -> str:
        """The arguments of ``cld import`` for a checkpoint of ``config.yaml``."""
        entry = self.imported(name)
        overrides = shlex.join(format_overrides(entry.get("set", {})))
        return f"--dataset {entry['dataset']} --layout {entry.get('layout', 'auto')} {overrides}"

    # Scores

    def semisup_subset(self, preset: str, run: str, percent: str) -> str:
        """The labelled subset that a run is fine-tuned on: of its dataset, drawn with its seed."""
        seed = 0 if run.startswith(IMPORTED) else run_named(preset, run)["seed"]
        return f"{self.store(preset, run).removesuffix('.h5')}.semisup_{percent}-s{seed}.json"

    def semisup_trials(self, preset: str, run: str, percent: str) -> dict[str, list[str]]:
        """Every trial of the semi-supervised grid: ``reports`` and ``networks``."""
        grid = load_protocol(preset, "semisup")
        folder = self.path(preset, "scores", run, f"semisup_{percent}")
        trials = [f"{folder}/lr{lr}-head{factor}" for lr in grid["lr"] for factor in grid["head_multiplier"]]
        kinds = {"reports": "json", "networks": "pt"}
        return {kind: [f"{trial}.{suffix}" for trial in trials] for kind, suffix in kinds.items()}

    # Cells, tables and figures

    def cell_scores(self, preset: str, table: str, row: str, column: str) -> list[str]:
        """The scores that a cell averages."""
        cell = tables(preset)[table].cell(row, column)
        return [f"{self.results}/{path}" for path in cell.scores]

    def table_cells(self, preset: str, table: str) -> list[str]:
        """The cells of a table."""
        return [f"{self.results}/{cell.path}" for cell in tables(preset)[table].cells.values()]

    def available_tables(self, preset: str) -> list[str]:
        """The tables whose datasets can be made, fetched or asked for."""
        known = tables(preset)
        # a refused one is among them: who asks for all is told why it cannot be made
        return [
            *(table.name for table in available_tables(known.values(), self.data["paths"])),
            *known.refused,
        ]

    def supplement_tables(self, preset: str) -> list[str]:
        """Those of them that the supplement prints."""
        return [name for name in self.available_tables(preset) if name in SUPPLEMENT]

    def available_figures(self, preset: str) -> list[str]:
        """The figures whose datasets can be made, fetched or asked for, and whose tables exist."""
        scenes = ["fig_a1"] if is_available(preset, "kitchen_hc", self.data["paths"]) else []
        known = self.available_tables(preset)
        return scenes + [figure for figure, table in TABLE_OF_FIGURE.items() if table in known]

    def supplement_figures(self, preset: str) -> list[str]:
        """Those of them that the supplement prints."""
        return [name for name in self.available_figures(preset) if name in FIGURES]

    def available_datasets(self, preset: str) -> list[str]:
        """The datasets that can be made, fetched or asked for."""
        return [name for name in config_names("datasets") if is_available(preset, name, self.data["paths"])]

    def first_lines(self, preset: str) -> list[str]:
        """What a run of the workflow prints first: the preset, and what of the supplement it leaves out."""
        lines = [f"preset {preset}: {load_preset(preset)['title']}; results in {self.path(preset)}"]
        made = {*self.supplement_tables(preset), *self.supplement_figures(preset)}
        existing = [*table_names(), "fig_a1"]
        wanted = [name for name in (*SUPPLEMENT, *FIGURES) if TABLE_OF_FIGURE.get(name, name) in existing]
        missing = [name for name in wanted if name not in made]
        if missing:
            without = [name for name in config_names("datasets") if is_left_out(preset, name)]
            lines.append(
                f"preset {preset} makes no {', '.join(missing)}: what has to be got by hand is left out, in "
                f"other tables too ({', '.join(without)})"
            )
        lines += [f"{name} is left out: {error}" for name, error in tables(preset).refused.items()]
        if error := evaluations_refused(preset):
            lines.append(f"all_evaluations is left out: {error}")
        known = [name for name in self.data["paths"] if name in config_names("sources")]
        unused = [name for name in known if load_source(preset, name)["generate"] is not None]
        if unused:
            lines.append(
                f"preset {preset} generates {', '.join(unused)}: data.paths of {WHERE} is for presets that "
                f"take real files, or for this one with sources.{unused[0]}.generate: null in its file"
            )
        return lines

    def retrieval_checkpoints(self, preset: str) -> list[str]:
        """The two runs that Figure A.3 compares: NPID and NPID + CLD, of Table A.3."""
        table = tables(preset)["table_a3"]
        compared = [next(iter(table.cell(row, "npid_top1").runs)) for row in RETRIEVAL_ROWS]
        return [self.path(preset, "runs", run, "checkpoint.pt") for run in compared]

    def choice_scores(self, preset: str) -> list[str]:
        """Scores of the label-free choice of λ: those of NPID + CLD in Table A.3, labelled and not."""
        table = tables(preset)["table_a3"]
        cells = [table.cell(row.key, "npid_top1") for row in table.rows if row.key != "0"]
        names = [run for cell in cells for run in cell.runs]
        return [self.score(preset, run, by) for run in names for by in ("unsupervised", cells[0].protocol)]

    def check(self, preset: str) -> None:
        """Resolve everything that a preset asks for, so that a mistake costs a second and not a night.

        Raises:
            InputError: names the file, the key and the fix.
        """
        sources, objects = config_names("sources"), detection_datasets()
        for source in self.data["paths"]:
            if source not in sources:
                raise unknown_key(f"data.paths.{source}", sources, WHERE)
        load_protocol(preset, "knn")  # all protocols' settings, rather than after a training
        unusual = {
            (json.dumps(run["backbone"]), run["image_size"])
            for run in runs(preset).values()
            if run["backbone"]["name"] not in ("resnet18", "resnet34", "resnet50")
        }
        for backbone, side in sorted(unusual, key=str):
            from cld.models.backbones import build_backbone, require_side  # here: it takes seconds to load

            if side == "auto":  # as large as the store's images, which there may not be yet
                build_backbone(json.loads(backbone))
            else:
                require_side(json.loads(backbone), side)
        for name in load_preset(preset)["all_evaluations"]["detection"]:
            if name not in objects:
                raise unknown_key(
                    f"all_evaluations.detection.{name}", objects, f"config/presets/{preset}.yaml"
                )


def report_caption(preset: str, name: str) -> dict:
    """What ``snakemake --report`` prints with a table or figure: ``title``, ``caption``, ``generated``."""
    of = TABLE_OF_FIGURE.get(name, name)
    table = tables(preset)[of] if of in table_names() else None
    figures_of_supplement = read_yaml(CAPTIONS)
    if name in figures_of_supplement:
        title, caption = (figures_of_supplement[name][key] for key in ("title", "caption"))
    else:
        title, caption = table.title, table.caption
    generated = table.is_generated if table else is_generated(preset, "kitchen_hc")
    return {"title": title, "caption": caption.strip(), "generated": generated}
