"""Print what a preset's tables need, what is there and what the rest will cost: ``cld plan``."""

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from cld.config import load_config, load_preset
from cld.data import read_info
from cld.reporting.durations import duration
from cld.reporting.needed_runs import available_tables, needed_runs
from cld.reporting.plan.costs import CostModel, Record, evaluation_seconds, finished_runs, recorded_seconds
from cld.reporting.plan.work import JPEG_SIDE, n_images, run_macs
from cld.reporting.tables.spec import Table, load_table, require_tables, table_names
from cld.training.run_folder import TRAINED, stage

#: Sides of images that are all of one size; others are seen at JPEG_SIDE where a run says ``auto``.
SIDES = {"cifar10": 32, "cifar100": 32, "cifar10_lt": 32, "cifar100_lt": 32, "stl10": 96, "kitchen_hc": 32}


@dataclass(frozen=True)
class PlannedRun:
    """A run, what it serves, how far it is and how many seconds it will take (None: not known)."""

    name: str
    serves: list[str]
    stage: str
    seconds: float | None


def main() -> None:
    """Print the unique runs and evaluations, the cells each serves, what exists, and what the rest costs."""
    parser = argparse.ArgumentParser(prog="cld plan", description=main.__doc__)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--results", default="results", help="the results folder")
    parser.add_argument(
        "--tables", nargs="*", help="files of config/tables; default: all whose datasets are at hand"
    )
    args = parser.parse_args()
    cluster = load_preset(args.preset)["cluster"]
    require_tables(args.tables or [])
    tables = [load_table(name, args.preset) for name in args.tables or table_names()]
    if not args.tables:
        tables = available_tables(tables, load_config()["data"]["paths"])
    print("\n".join(report(tables, args.preset, Path(args.results), cluster, not args.tables)))


def report(
    tables: list[Table], preset: str, results: Path, cluster: Mapping, with_evaluations: bool
) -> list[str]:
    """The plan, line by line.

    Args:
        cluster: the preset's section of that name.
        with_evaluations: whether what ``all_evaluations`` makes counts.
    """
    folder = results / preset
    wanted = needed_runs(tables, preset, with_evaluations)
    stores = cache(partial(_store, folder))

    def macs(run: Mapping) -> float | None:
        images, side = stores(run["dataset"], tuple(run["train_on"]))
        return run_macs(preset, run, side, images or n_images(preset, run))

    records = []
    for name, run in finished_runs(folder).items():
        seconds = recorded_seconds(folder / "benchmarks/pretrain" / f"{name}.tsv")
        if seconds and (work := macs(run)):
            records.append(Record(work, seconds))
    model = CostModel.calibrated(records, cluster["macs_per_s"])

    planned = [
        PlannedRun(
            name,
            wanted.serves.get(name, ["all_evaluations"]),
            stage(folder / "runs" / name),
            model.seconds(macs(run)),
        )
        for name, run in wanted.runs.items()
    ]

    lines = [f"{len(planned)} runs of preset {preset}, each trained once for all the cells it serves:", ""]
    width = max((len(run.name) for run in planned), default=0)
    for run in planned:
        cost = "" if run.stage == TRAINED else _time(run.seconds)
        lines.append(f"  {run.name:<{width}}  {run.stage:<9}  {cost:>9}  {_shown(run.serves)}")

    of_protocol = evaluation_seconds(folder)
    missing = [score for score in wanted.scores if not (results / score).is_file()]
    n_scores = len(wanted.scores)
    lines += ["", f"{n_scores} evaluations, {n_scores - len(missing)} done; to do:"]
    for protocol, n in sorted(Counter(Path(score).stem for score in missing).items()):
        each = of_protocol.get(protocol)
        lines.append(f"  {protocol:<20} {n:>5}  " + (f"{each:.0f} s each" if each else "not recorded yet"))

    left = [run for run in planned if run.stage != TRAINED]
    known = [run.seconds for run in left if run.seconds is not None]
    recorded = [seconds for score in missing if (seconds := of_protocol.get(Path(score).stem))]
    total, evaluating, jobs = sum(known), sum(recorded), cluster["parallel_jobs"]
    hours = f"{total / 3600:,.1f} {cluster['device']}-hours of training"
    lines += ["", f"{len(left)} runs to train: {hours}, {evaluating / 3600:,.1f} of evaluating"]
    if len(known) < len(left):
        lines.append(f"  {len(left) - len(known)} runs without an estimate (no size or another backbone)")
    if len(recorded) < len(missing):
        unknown = len(missing) - len(recorded)
        lines.append(f"  {unknown} evaluations without a recorded time are not in these hours")
    if left:
        wall = max([(total + evaluating) / jobs, *known], default=0.0)
        lines.append(f"  about {_time(wall)} on {jobs} at a time (cluster.parallel_jobs of the preset)")
    return [*lines, f"  speed: {model}"]


def _store(folder: Path, dataset: str, splits: tuple[str, ...]) -> tuple[int | None, int | None]:
    """How many images of these splits a store has and how large they are, where it exists."""
    path = folder / "stores" / f"{dataset}.h5"
    if not path.is_file():
        return None, SIDES.get(dataset, JPEG_SIDE)
    info = read_info(path)
    return sum(info.sizes.get(split, 0) for split in splits), info.image_size or JPEG_SIDE


def _time(seconds: float | None) -> str:
    return "?" if seconds is None else duration(seconds)


def _shown(cells: list[str]) -> str:
    return ", ".join(cells[:3]) + (f" and {len(cells) - 3} more" if len(cells) > 3 else "")
