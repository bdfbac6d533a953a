"""The jobs that a preset needs, by the files that the rules in ``workflow/rules`` give them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from cld.config import load_dataset, load_protocol, load_source
from cld.evaluation.protocol_names import RESUMABLE, STORE_PROTOCOLS, partial_path
from cld.reporting.status.job import Job

_DETECTION, _SEMISUP = "detection_", "semisup_"


def run_job(folder: Path, run: str) -> Job:
    """The pre-training of a run.

    Args:
        folder: of the preset's results, here and below.
    """
    own = folder / "runs" / run
    log = folder / "logs/pretrain" / f"{run}.log"
    return Job(run, "pretrain", own / "checkpoint.pt", log, (own / "log.csv", own / "partial.pt"))


def score_jobs(folder: Path, preset: str, score: str, runs: Mapping[str, Mapping]) -> list[Job]:
    """The jobs that a score takes, the one that writes it last.

    Args:
        score: ``<preset>/scores/<subject>/<protocol>.json``.
        runs: resolved configurations, by id.
    """
    subject, protocol = Path(score).parent.name, Path(score).stem
    name, output = f"{subject}/{protocol}", folder / "scores" / subject / f"{protocol}.json"
    logs = folder / "logs/evaluate"
    if protocol in STORE_PROTOCOLS:
        rule = "evaluate_store"
    elif protocol.startswith(_DETECTION):
        rule = "detect"
    elif protocol.startswith(_SEMISUP):
        rule = "semisup"
    else:
        rule = protocol if protocol in RESUMABLE else "evaluate"
    own = Job(name, rule, output, logs / f"{subject}.{protocol}.log", (partial_path(output),))
    return [*(_semisup_jobs(folder, preset, own, runs[subject]) if rule == "semisup" else []), own]


def _semisup_jobs(folder: Path, preset: str, score: Job, run: Mapping) -> list[Job]:
    """Of a semi-supervised score: the subset of its labels, and the trials of the grid."""
    subject, protocol = score.output.parent.name, score.output.stem
    logs = folder / "logs/evaluate"
    subset = f"{run['dataset']}.{protocol}-s{run['seed']}"
    jobs = [Job(score.name, "semisup_subset", folder / f"stores/{subset}.json", logs / f"{subset}.log")]
    grid = load_protocol(preset, "semisup")
    for lr in grid["lr"]:
        for factor in grid["head_multiplier"]:
            trial = f"lr{lr}-head{factor}"
            output = score.output.with_suffix("") / f"{trial}.json"
            log = logs / f"{subject}.{protocol}.{trial}.log"
            jobs.append(Job(score.name, "semisup_trial", output, log, (partial_path(output),)))
    return jobs


def store_jobs(folder: Path, preset: str, dataset: str) -> list[Job]:
    """The jobs that a store takes: its source's files first."""
    source = load_dataset(preset, dataset)["source"]
    made = folder / "data" / source
    if load_source(preset, source)["generate"] is not None:
        first = Job(dataset, "generate", made, folder / f"logs/generate/{source}.log")
    else:
        first = Job(dataset, "fetch", made.with_name(f"{source}.json"), folder / f"logs/fetch/{source}.log")
    store = Job(dataset, "store", folder / f"stores/{dataset}.h5", folder / f"logs/store/{dataset}.log")
    return [first, store]


def datasets(runs: Mapping[str, Mapping], scores: Iterable[str]) -> list[str]:
    """The datasets that runs learn from and scores are of."""
    found = [run["dataset"] for run in runs.values()]
    for score in scores:
        subject, protocol = Path(score).parent.name, Path(score).stem
        if protocol.startswith(_DETECTION):
            found.append(protocol.removeprefix(_DETECTION))
        elif subject not in runs:
            found.append(subject)
    return list(dict.fromkeys(found))
