"""Whether one method scores better than another: ``cld compare --a ... --b ...``."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cld.config import validate
from cld.evaluation.statistics import (
    LEVEL,
    RESAMPLES,
    Interval,
    bootstrap,
    mean_sd,
    one_metric,
    paired_differences,
)
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError
from cld.runtime.files import read_json, write_json


def read_score(path: str | Path) -> dict:
    """A score file, checked.

    Raises:
        InputError: it cannot be read or is not a score.
    """
    score = read_json(path, fix := "evaluate that run again")
    validate(score, "score", str(path), fix)
    return score


def compare(a: Sequence[dict], b: Sequence[dict], metric: str) -> dict:
    """How much ``b`` scores above ``a``, seed by seed and, where both have their hits, image by image.

    Args:
        a, b: scores by the same protocol on the same data, one a seed, with the same seeds.
        metric: one that both have.

    Returns:
        ``a`` and ``b`` (runs, mean and sd over seeds), ``difference`` (mean, low, high: b - a in percentage
        points), and how the interval came about.

    Raises:
        InputError: they cannot be paired.
    """
    _require_pairs(a, b, metric)
    facts = {name: a[0][name] for name in ("protocol", "dataset", "preset")}
    a, b = (
        [one_metric(score, metric) for score in sorted(scores, key=lambda score: str(score["seed"]))]
        for scores in (a, b)
    )
    differences = paired_differences([b], [a])
    interval = bootstrap(differences)
    n_images = differences.shape[1] if all(score["hits"] for score in (*a, *b)) else None
    return {
        **facts,
        "metric": metric,
        "unit": "percent",
        "a": _summary(a),
        "b": _summary(b),
        "difference": asdict(interval),
        "level": LEVEL,
        "resamples": RESAMPLES,
        "n_seeds": len(a),
        "n_images": n_images,
        "note": _note(interval, len(a), n_images is not None),
    }


def _require_pairs(a: Sequence[dict], b: Sequence[dict], metric: str) -> None:
    for score in (*a, *b):
        if metric not in score["metrics"]:
            raise InputError(f"a score has no metric '{metric}'; it has {', '.join(score['metrics'])}")
    facts = {
        "protocol": lambda score: score["protocol"],
        "preset": lambda score: score["preset"],
        "dataset": lambda score: score["dataset"],
        "split": lambda score: score["settings"].get("split"),
        "checksum of the data": lambda score: score["provenance"]["data_checksum"],
    }
    for name, fact in facts.items():
        values = sorted({str(fact(score)) for score in (*a, *b)})
        if len(values) > 1:
            raise InputError(
                f"the scores differ in their {name} ({', '.join(values)}); compare like with like"
            )
    seeds = [sorted((score["seed"] for score in scores), key=str) for scores in (a, b)]
    if seeds[0] != seeds[1] or len(set(seeds[0])) < len(seeds[0]):
        shown = " and ".join(", ".join(map(str, some)) for some in seeds)
        raise InputError(f"the seeds of the two are {shown}; give both the same seeds, each once")


def _summary(scores: Sequence[dict]) -> dict:
    values = [score["value"] for score in scores]
    mean, sd = mean_sd(values)
    return {
        "runs": [score["run"] for score in scores],
        "seeds": [score["seed"] for score in scores],
        "values": values,
        "mean": mean,
        "sd": sd,
    }


def _note(interval: Interval, n_seeds: int, has_images: bool) -> str:
    if interval.low is None:
        return "no interval: one seed, and no record of which images were right"
    if not has_images:
        return "seeds drawn again; no record of which images were right"
    if n_seeds == 1:
        return "images drawn again; one seed cannot show how seeds differ"
    return "seeds and images drawn again"


def shown(comparison: dict) -> str:
    """A comparison in a few lines of text."""

    def percent(side: dict) -> str:
        deviation = "" if side["sd"] is None else f" ± {side['sd']:.2f}"
        return f"{side['mean']:.2f}{deviation}   {', '.join(run or 'no run' for run in side['runs'])}"

    difference = comparison["difference"]
    interval = (
        ""
        if difference["low"] is None
        else f"   {comparison['level']} % interval {difference['low']:+.2f} to {difference['high']:+.2f}"
    )
    images = "" if comparison["n_images"] is None else f", {comparison['n_images']} images"
    seeds = f"{comparison['n_seeds']} seed{'s' * (comparison['n_seeds'] > 1)}"
    return "\n".join(
        [
            f"{comparison['protocol']} {comparison['metric']} on {comparison['dataset']}, "
            f"preset {comparison['preset']} ({seeds}{images})",
            f"a      {percent(comparison['a'])}",
            f"b      {percent(comparison['b'])}",
            f"b - a  {difference['mean']:+.2f}{interval}",
            f"({comparison['note']})",
        ]
    )


def main() -> None:
    """Compare two methods by their scores, one file a seed: how much better is the second?"""
    parser = ArgumentParser(prog="cld compare", description=main.__doc__)
    parser.add_argument("--a", nargs="+", required=True, help="score files of the first method")
    parser.add_argument("--b", nargs="+", required=True, help="score files of the second method")
    parser.add_argument("--metric", default="top1")
    parser.add_argument("--out", help="JSON file to write")
    args = parser.parse_args()
    a, b = ([read_score(path) for path in paths] for paths in (args.a, args.b))
    comparison = compare(a, b, args.metric)
    print(shown(comparison))
    if args.out:
        write_json(args.out, comparison)
