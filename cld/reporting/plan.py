"""Print what a preset's tables need, what exists and what the rest will cost: ``cld plan``."""

import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from statistics import median

from cld.config import load_preset, load_protocol, read_yaml, require_run
from cld.data import read_info
from cld.data.store_format import view_side
from cld.evaluation.protocol_names import STORE_PROTOCOLS
from cld.reporting.cost_model import (
    IMAGES_PER_S,
    CostModel,
    Images,
    evaluation_macs,
    expected_images,
    gpu_model,
    run_macs,
)
from cld.reporting.needed_runs import SUPPLEMENT, Needed, needed_runs, requested_tables
from cld.reporting.results_arguments import add_results_arguments
from cld.reporting.tables.spec import Table
from cld.reporting.times import duration, evaluation_seconds, job_seconds
from cld.runtime.arguments import ArgumentParser, count
from cld.training.run_folder import TRAINED, stage


def main() -> None:
    """Print the unique runs and evaluations, the cells each serves, what exists, and what the rest costs."""
    parser = ArgumentParser(prog="cld plan", description=main.__doc__)
    add_results_arguments(parser)
    parser.add_argument("--tables", nargs="*", help="files of config/tables; default: all that are available")
    parser.add_argument("--seeds", type=count, metavar="N", help="price every cell with N seeds")
    parser.add_argument(
        "--gpu",
        choices=sorted(IMAGES_PER_S),
        help="price by the assumed speed of this GPU, whatever is recorded",
    )
    parser.add_argument("--json", action="store_true", help="print the costs alone, as JSON")
    args = parser.parse_args()
    tables = requested_tables(args.tables, args.preset)
    plan = make_plan(
        tables, args.preset, Path(args.results), not args.tables, gpu=args.gpu, n_seeds=args.seeds
    )
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(json.dumps(as_json(plan), indent=2) if args.json else "\n".join(report(plan, width)))


@dataclass(frozen=True)
class Cost:
    """What a set of cells costs.

    Attributes:
        runs, to_train: runs that it needs, and those of them that are not trained.
        evaluations, to_evaluate: likewise.
        gpu_hours: of what is to be done, as far as it can be estimated; of cores where the preset counts
            those.
        not_estimated: runs and evaluations to be done that are not in it.
    """

    runs: int
    to_train: int
    evaluations: int
    to_evaluate: int
    gpu_hours: float
    not_estimated: int


@dataclass(frozen=True)
class Plan:
    """What is needed, and what it takes.

    Attributes:
        folder: the preset's results.
        needed: by all of it together.
        parts: what is needed by each table and each target, by name.
        titles: of the tables.
        model: the speed.
    """

    preset: str
    folder: Path
    needed: Needed
    parts: dict[str, Needed]
    titles: dict[str, str]
    model: CostModel

    @cached_property
    def stages(self) -> dict[str, str]:
        """How far each run is."""
        return {run: stage(self.folder / "runs" / run) for run in self.needed.runs}

    @cached_property
    def run_seconds(self) -> dict[str, float | None]:
        """Estimated time of each run; None where its work is not known."""
        return {
            name: _over(_run_macs(self.preset, self.folder, run), self.model.training(run["precision"]))
            for name, run in self.needed.runs.items()
        }

    @cached_property
    def missing_scores(self) -> list[str]:
        """The scores that do not exist yet."""
        return [score for score in self.needed.scores if not (self.folder.parent / score).is_file()]

    @cached_property
    def score_seconds(self) -> dict[str, float | None]:
        """Time of each missing score: of such scores on such a dataset, or else estimated."""
        recorded: dict[tuple[str, str], list[float]] = {}
        if not self.model.hardware:
            for score in self.needed.scores:
                subject, protocol = _subject_protocol(score)
                if (seconds := evaluation_seconds(self.folder, subject, protocol)) is not None:
                    recorded.setdefault((self._dataset(subject), protocol), []).append(seconds)
        of_score = {}
        for score in self.missing_scores:
            subject, protocol = _subject_protocol(score)
            times = recorded.get((self._dataset(subject), protocol))
            of_score[score] = median(times) if times else self._estimate(subject, protocol)
        return of_score

    def cost(self, part: Needed) -> Cost:
        """What ``part`` of the plan costs, by itself."""
        train = [run for run in part.runs if self.stages[run] != TRAINED]
        score = [name for name in part.scores if name in self.score_seconds]
        seconds = [self.run_seconds[run] for run in train] + [self.score_seconds[name] for name in score]
        known = [one for one in seconds if one is not None]
        hours = round(sum(known) / 3600, 2)
        return Cost(
            len(part.runs), len(train), len(part.scores), len(score), hours, len(seconds) - len(known)
        )

    def _dataset(self, subject: str) -> str:
        return self.needed.runs.get(subject, {"dataset": subject})["dataset"]

    def _estimate(self, subject: str, protocol: str) -> float | None:
        if protocol in STORE_PROTOCOLS:
            return 0.0  # no network
        run = self.needed.runs[subject]
        kind, _, on = protocol.partition("_")
        settings = load_protocol(self.preset, kind if kind in ("semisup", "detection") else protocol)
        images = _images(self.preset, self.folder, on if kind == "detection" else run["dataset"])
        return _over(
            evaluation_macs(protocol, settings, run, images), self.model.evaluating(run["precision"])
        )


def make_plan(
    tables: Sequence[Table],
    preset: str,
    results: Path,
    with_evaluations: bool,
    gpu: str | None = None,
    n_seeds: int | None = None,
) -> Plan:
    """The plan for some tables.

    Args:
        with_evaluations: whether what ``all_evaluations`` makes counts.
        gpu: price by the assumed speed of this GPU; None: by what is recorded, or else the preset's.
        n_seeds: of every cell; None: as configured.
    """
    folder = results / preset
    if n_seeds:
        tables = [_with_seeds(table, n_seeds) for table in tables]
    needed = needed_runs(tables, preset, with_evaluations)
    titles = {table.name: table.title for table in tables}
    parts = {table.name: needed_runs([table], preset, False) for table in tables}
    of_supplement = [table for table in tables if table.name in SUPPLEMENT]
    if with_evaluations:
        parts["all_tables"] = needed_runs(of_supplement, preset, False)
        parts["all_evaluations"] = needed_runs([], preset, True)
    parts["together"] = needed
    if gpu:
        model = gpu_model(gpu)
    else:
        model = CostModel(
            {"": load_preset(preset)["cluster"]["macs_per_s"]}, _recorded_speeds(preset, folder)
        )
    return Plan(preset, folder, needed, parts, titles, model)


def report(plan: Plan, width: int | None = None) -> list[str]:
    """The plan, line by line; a terminal's ``width`` cuts the lists of cells, and wraps the last line."""
    cluster, needed = load_preset(plan.preset)["cluster"], plan.needed
    lines = [
        f"{len(plan.stages)} runs of preset {plan.preset}, each trained once for all the cells it serves:",
        "",
    ]
    name_width = max(map(len, plan.stages), default=0)
    for run, so_far in plan.stages.items():
        seconds = plan.run_seconds[run]
        cost = "" if so_far == TRAINED else "?" if seconds is None else duration(seconds)
        cells = _shown(needed.serves.get(run, ["all_evaluations"]))
        line = f"  {run:<{name_width}}  {so_far:<9}  {cost:>9}  {cells}"
        lines.append(line if width is None or len(line) <= width else f"{line[: width - 1]}…")

    n_scores, missing = len(needed.scores), plan.missing_scores
    lines += ["", f"{n_scores} evaluations, {n_scores - len(missing)} done" + ("; to do:" if missing else "")]
    for protocol, n in sorted(Counter(Path(score).stem for score in missing).items()):
        times = [plan.score_seconds[score] for score in missing if Path(score).stem == protocol]
        known = [one for one in times if one is not None]
        shown = dict.fromkeys(map(duration, (min(known), max(known)))) if known else ["?"]
        lines.append(f"  {protocol:<20} {n:>5}  {' to '.join(shown)} each")

    device, jobs = cluster["device"], cluster["parallel_jobs"]
    total = plan.cost(needed)
    lines += ["", *_cost_table(plan, device)]
    if total.not_estimated:
        lines.append(
            f"  {total.not_estimated} runs and evaluations without an estimate: images not known yet"
        )
    if total.to_train:
        longest = max(
            (plan.run_seconds[run] or 0 for run in plan.stages if plan.stages[run] != TRAINED), default=0
        )
        wall = max(3600 * total.gpu_hours / jobs, longest)
        lines.append(f"  about {duration(wall)} on {jobs} at a time (cluster.parallel_jobs of the preset)")
    return [*lines, *textwrap.wrap(f"  speed: {plan.model}", width or 1000, subsequent_indent="    ")]


def _cost_table(plan: Plan, device: str) -> list[str]:
    """What each table and target costs by itself."""
    rows = [("", "runs", "evaluations", f"{device}-hours")]
    for name, part in plan.parts.items():
        cost = plan.cost(part)
        label = f"{name} ({plan.titles[name]})" if name in plan.titles else name
        rows.append((label, str(cost.to_train), str(cost.to_evaluate), f"{cost.gpu_hours:,.1f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([f"{row[0]:<{widths[0]}}", *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return ["to do, each by itself (a run that several share counts in each):", *(f"  {x}" for x in lines)]


def as_json(plan: Plan) -> dict:
    """The costs: of everything, and of each table and target by itself."""
    return {
        "preset": plan.preset,
        "device": load_preset(plan.preset)["cluster"]["device"],
        "speed": str(plan.model),
        **asdict(plan.cost(plan.needed)),
        "by": {name: asdict(plan.cost(part)) for name, part in plan.parts.items()},
    }


def _with_seeds(table: Table, n: int) -> Table:
    cells = {
        place: replace(cell, seeds=tuple(range(n))) if cell.seeds else cell
        for place, cell in table.cells.items()
    }
    return replace(table, cells=cells)


def _recorded_speeds(preset: str, folder: Path) -> list[float]:
    """Multiply-accumulates a second of each trained run whose time is recorded."""
    speeds = []
    for path in (folder / "runs").glob("*/checkpoint.pt"):
        config = path.with_name("config.yaml")
        seconds = job_seconds(folder / f"benchmarks/pretrain/{path.parent.name}.tsv")
        if seconds and config.is_file():
            run = read_yaml(config)
            require_run(run, str(config), "delete its folder, or put the file back")
            work = _run_macs(preset, folder, run)
            speeds += [work / seconds] if work else []
    return speeds


def _run_macs(preset: str, folder: Path, run: Mapping) -> float | None:
    return run_macs(run, _images(preset, folder, run["dataset"]))


@cache
def _images(preset: str, folder: Path, dataset: str) -> Images:
    """A store's images: as they are, or, until it exists, as its configuration says."""
    path = folder / "stores" / f"{dataset}.h5"
    if not path.is_file():
        return expected_images(preset, dataset)
    info = read_info(path)
    return Images(view_side("auto", info), info.sizes)


def _subject_protocol(score: str) -> tuple[str, str]:
    """What a score's file is of."""
    path = Path(score)
    return path.parent.name, path.stem


def _over(work: float | None, speed: float) -> float | None:
    return None if work is None else work / speed


def _shown(cells: list[str]) -> str:
    return ", ".join(cells[:3]) + (f" and {len(cells) - 3} more" if len(cells) > 3 else "")
