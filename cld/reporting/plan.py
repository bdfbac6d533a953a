"""Print what a preset's tables need, what exists and what the rest will cost: ``cld plan``."""

import json
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median

from cld.config import load_preset, load_protocol, read_yaml, require_run, section_of
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
    plan = Plan(tables, args.preset, Path(args.results), not args.tables, args.gpu, args.seeds)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(json.dumps(as_json(plan), indent=2) if args.json else "\n".join(report(plan, width)))


@dataclass(frozen=True)
class Cost:
    """What a set of cells costs.

    Attributes:
        runs, to_train: runs that it needs, and those of them that are not trained.
        evaluations, to_evaluate: likewise.
        gpu_hours: of what is to be done and can be estimated; of cores where the preset counts those.
        not_estimated: runs and evaluations to be done that are not in it.
    """

    runs: int
    to_train: int
    evaluations: int
    to_evaluate: int
    gpu_hours: float
    not_estimated: int


class Plan:
    """What some tables need, and what it takes.

    Args:
        with_evaluations: whether what ``all_evaluations`` makes counts.
        gpu: price by the assumed speed of this GPU; None: by what is recorded, or else the preset's.
        n_seeds: of every cell; None: as configured.

    Attributes:
        needed: by all of it together.
        parts: what is needed by each table and each target, by name.
        model: the speed.
        stages: how far each run is.
        run_seconds: of each run; None where its work is not known.
        score_seconds: of each score that does not exist yet, likewise: as long as such scores on such a
            dataset took, or else estimated.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        preset: str,
        results: Path,
        with_evaluations: bool,
        gpu: str | None = None,
        n_seeds: int | None = None,
    ):
        self.preset, self.folder = preset, results / preset
        self.cluster = load_preset(preset)["cluster"]
        if n_seeds:
            tables = [_with_seeds(table, n_seeds) for table in tables]
        self.titles = {table.name: table.title for table in tables}
        self.needed = needed_runs(tables, preset, with_evaluations)
        self.parts = {table.name: needed_runs([table], preset, False) for table in tables}
        if with_evaluations:
            of_supplement = [table for table in tables if table.name in SUPPLEMENT]
            self.parts["all_tables"] = needed_runs(of_supplement, preset, False)
            self.parts["all_evaluations"] = needed_runs([], preset, True)
        self.parts["together"] = self.needed
        if gpu:
            self.model = gpu_model(gpu)
        else:
            self.model = CostModel({"": self.cluster["macs_per_s"]}, self._recorded_speeds())
        self.stages = {run: stage(self.folder / "runs" / run) for run in self.needed.runs}
        self.run_seconds = {name: self._run_seconds(run) for name, run in self.needed.runs.items()}
        self.score_seconds = self._score_seconds(is_recorded_used=not gpu)

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

    def _recorded_speeds(self) -> list[float]:
        """Multiply-accumulates a second of each trained run whose time is recorded."""
        speeds = []
        for path in (self.folder / "runs").glob("*/checkpoint.pt"):
            config = path.with_name("config.yaml")
            seconds = job_seconds(self.folder / f"benchmarks/pretrain/{path.parent.name}.tsv")
            if seconds and config.is_file():
                run = read_yaml(config)
                require_run(run, str(config), "delete its folder, or put the file back")
                work = run_macs(run, _images(self.folder, run["dataset"]))
                speeds += [work / seconds] if work else []
        return speeds

    def _run_seconds(self, run: Mapping) -> float | None:
        work = run_macs(run, _images(self.folder, run["dataset"]))
        return work and work / self.model.training(run["precision"])

    def _score_seconds(self, is_recorded_used: bool) -> dict[str, float | None]:
        recorded: dict[tuple[str, str], list[float]] = {}  # by dataset and protocol
        for score in map(Path, self.needed.scores if is_recorded_used else ()):
            seconds = evaluation_seconds(self.folder, score.parent.name, score.stem)
            if seconds is not None:
                recorded.setdefault(self._kind(score), []).append(seconds)
        missing = [score for score in self.needed.scores if not (self.folder.parent / score).is_file()]
        times = {score: recorded.get(self._kind(Path(score))) for score in missing}
        return {
            score: median(known) if known else self._estimate(Path(score)) for score, known in times.items()
        }

    def _kind(self, score: Path) -> tuple[str, str]:
        """The dataset whose run or store a score is of, and the protocol."""
        subject = score.parent.name
        return self.needed.runs.get(subject, {"dataset": subject})["dataset"], score.stem

    def _estimate(self, score: Path) -> float | None:
        protocol = score.stem
        if protocol in STORE_PROTOCOLS:
            return 0.0  # no network
        run = self.needed.runs[score.parent.name]
        scored_on = protocol.removeprefix("detection_")
        images = _images(self.folder, scored_on if scored_on != protocol else run["dataset"])
        settings = load_protocol(self.preset, section_of(protocol))
        work = evaluation_macs(protocol, settings, run, images)
        return work and work / self.model.evaluating(run["precision"])


@cache
def _images(folder: Path, dataset: str) -> Images:
    """A store's images: as they are, or, until it exists, as its configuration says."""
    path = folder / "stores" / f"{dataset}.h5"
    if not path.is_file():
        return expected_images(folder.name, dataset)
    info = read_info(path)
    return Images(view_side("auto", info), info.sizes)


def _with_seeds(table: Table, n: int) -> Table:
    cells = {
        place: replace(cell, seeds=tuple(range(n))) if cell.seeds else cell
        for place, cell in table.cells.items()
    }
    return replace(table, cells=cells)


def report(plan: Plan, width: int | None = None) -> list[str]:
    """The plan, line by line; a terminal's ``width`` cuts the lists of cells, and wraps the last line."""
    lines = [
        f"{len(plan.stages)} runs of preset {plan.preset}, each trained once for all the cells it serves:",
        "",
    ]
    name_width = max(map(len, plan.stages), default=0)
    for run, so_far in plan.stages.items():
        seconds = plan.run_seconds[run]
        cost = "" if so_far == TRAINED else "?" if seconds is None else duration(seconds)
        cells = plan.needed.serves.get(run, ["all_evaluations"])
        more = f" and {len(cells) - 3} more" if len(cells) > 3 else ""
        line = f"  {run:<{name_width}}  {so_far:<9}  {cost:>9}  {', '.join(cells[:3])}{more}"
        lines.append(line if width is None or len(line) <= width else f"{line[: width - 1]}…")

    n_scores, missing = len(plan.needed.scores), plan.score_seconds
    lines += ["", f"{n_scores} evaluations, {n_scores - len(missing)} done" + ("; to do:" if missing else "")]
    for protocol, n in sorted(Counter(Path(score).stem for score in missing).items()):
        known = [s for score, s in missing.items() if Path(score).stem == protocol and s is not None]
        shown = dict.fromkeys(map(duration, (min(known), max(known)))) if known else ["?"]
        lines.append(f"  {protocol:<20} {n:>5}  {' to '.join(shown)} each")

    total, jobs = plan.cost(plan.needed), plan.cluster["parallel_jobs"]
    lines += ["", *_cost_table(plan)]
    if total.not_estimated:
        lines.append(
            f"  {total.not_estimated} runs and evaluations without an estimate: images not known yet"
        )
    if total.to_train:
        longest = max(plan.run_seconds[run] or 0 for run in plan.stages if plan.stages[run] != TRAINED)
        wall = max(3600 * total.gpu_hours / jobs, longest)
        lines.append(f"  about {duration(wall)} on {jobs} at a time (cluster.parallel_jobs of the preset)")
    return [*lines, *textwrap.wrap(f"  speed: {plan.model}", width or 1000, subsequent_indent="    ")]


def _cost_table(plan: Plan) -> list[str]:
    """What each table and target costs by itself."""
    rows = [("", "runs", "evaluations", f"{plan.cluster['device']}-hours")]
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
        "device": plan.cluster["device"],
        "speed": str(plan.model),
        **asdict(plan.cost(plan.needed)),
        "by": {name: asdict(plan.cost(part)) for name, part in plan.parts.items()},
    }
