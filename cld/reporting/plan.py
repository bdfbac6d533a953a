"""Print what a preset's tables need, what exists and what the rest will cost: ``cld plan``."""

import argparse
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from cld.config import load_dataset, load_preset
from cld.data import read_info
from cld.data.decoding import view_side
from cld.reporting.cost_model import CostModel, n_images, run_macs
from cld.reporting.durations import duration
from cld.reporting.needed_runs import needed_runs, requested_tables
from cld.reporting.recorded_times import evaluation_seconds, job_seconds
from cld.reporting.results_arguments import add_results_arguments
from cld.reporting.tables.spec import Table
from cld.training.run_folder import TRAINED, stage


def main() -> None:
    """Print the unique runs and evaluations, the cells each serves, what exists, and what the rest costs."""
    parser = argparse.ArgumentParser(prog="cld plan", description=main.__doc__)
    add_results_arguments(parser)
    parser.add_argument("--tables", nargs="*", help="files of config/tables; default: all that are available")
    args = parser.parse_args()
    tables = requested_tables(args.tables, args.preset)
    print("\n".join(report(tables, args.preset, Path(args.results), with_evaluations=not args.tables)))


def report(tables: list[Table], preset: str, results: Path, with_evaluations: bool) -> list[str]:
    """The plan, line by line.

    Args:
        with_evaluations: whether what ``all_evaluations`` makes counts.
    """
    folder, cluster = results / preset, load_preset(preset)["cluster"]
    wanted = needed_runs(tables, preset, with_evaluations)
    seconds, speed = estimates(preset, folder, wanted.runs, cluster["macs_per_s"])
    stages = {run: stage(folder / "runs" / run) for run in wanted.runs}
    lines = [f"{len(stages)} runs of preset {preset}, each trained once for all the cells it serves:", ""]
    width = max(map(len, stages), default=0)
    for run, so_far in stages.items():
        cost = "" if so_far == TRAINED else "?" if seconds[run] is None else duration(seconds[run])
        cells = _shown(wanted.serves.get(run, ["all_evaluations"]))
        lines.append(f"  {run:<{width}}  {so_far:<9}  {cost:>9}  {cells}")

    of_protocol = evaluation_seconds(folder)
    missing = [score for score in wanted.scores if not (results / score).is_file()]
    n_scores = len(wanted.scores)
    lines += ["", f"{n_scores} evaluations, {n_scores - len(missing)} done; to do:"]
    for protocol, n in sorted(Counter(Path(score).stem for score in missing).items()):
        each = of_protocol.get(protocol)
        lines.append(f"  {protocol:<20} {n:>5}  " + (f"{each:.0f} s each" if each else "not recorded yet"))

    left = [run for run, so_far in stages.items() if so_far != TRAINED]
    known = [seconds[run] for run in left if seconds[run] is not None]
    recorded = [of_protocol[Path(score).stem] for score in missing if Path(score).stem in of_protocol]
    total, evaluating, jobs = sum(known), sum(recorded), cluster["parallel_jobs"]
    hours = f"{total / 3600:,.1f} {cluster['device']}-hours of training"
    lines += ["", f"{len(left)} runs to train: {hours}, {evaluating / 3600:,.1f} of evaluating"]
    if len(known) < len(left):
        unknown = len(left) - len(known)
        lines.append(f"  {unknown} runs without an estimate: size or number of images not known yet")
    if len(recorded) < len(missing):
        unknown = len(missing) - len(recorded)
        lines.append(f"  {unknown} evaluations without a recorded time are not in these hours")
    if left:
        wall = max([(total + evaluating) / jobs, *known], default=0.0)
        lines.append(f"  about {duration(wall)} on {jobs} at a time (cluster.parallel_jobs of the preset)")
    return [*lines, f"  speed: {speed}"]


def estimates(
    preset: str, folder: Path, runs: Mapping[str, Mapping], assumed: float
) -> tuple[dict[str, float | None], CostModel]:
    """Seconds that each run takes, and the model behind them, calibrated on the runs that are trained.

    Args:
        folder: the preset's results.
        assumed: multiply-accumulates a second, until a run is recorded.
    """

    @cache
    def images(dataset: str, splits: tuple[str, ...]) -> tuple[int | None, int | None]:
        """Number of images in a dataset's splits, and their side in pixels; None where not known."""
        path = folder / "stores" / f"{dataset}.h5"
        if not path.is_file():
            return None, load_dataset(preset, dataset)["plan"].get("image_size")
        info = read_info(path)
        return sum(info.sizes.get(split, 0) for split in splits), view_side("auto", info)

    def macs(run: Mapping) -> float | None:
        n, side = images(run["dataset"], tuple(run["train_on"]))
        return run_macs(run, side, n or n_images(preset, run))

    speeds = []
    for path in (folder / "runs").glob("*/checkpoint.pt"):
        config = path.with_name("config.yaml")
        seconds = job_seconds(folder / f"benchmarks/pretrain/{path.parent.name}.tsv")
        if seconds and config.is_file():
            work = macs(yaml.safe_load(config.read_text(encoding="utf-8")))
            speeds += [work / seconds] if work else []
    model = CostModel(speeds, assumed)
    return {name: model.seconds(macs(run)) for name, run in runs.items()}, model


def _shown(cells: list[str]) -> str:
    return ", ".join(cells[:3]) + (f" and {len(cells) - 3} more" if len(cells) > 3 else "")
