"""Print how far a preset's runs, scores and stores are: ``cld status``."""

import argparse
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from cld.config import load_dataset, load_preset, load_source
from cld.evaluation.protocol_names import STORE_PROTOCOLS, partial_path
from cld.reporting.durations import duration
from cld.reporting.job_status import Job, JobStatus, State, look, slurm_queue
from cld.reporting.needed_runs import Needed, needed_runs, requested_tables
from cld.reporting.results_arguments import add_results_arguments
from cld.runtime.errors import InputError
from cld.training.run_folder import log_rows

#: At most so many jobs of a state are listed, unless all are asked for.
N_LISTED = 10
_COLOURS = {
    State.DONE: "green",
    State.RUNNING: "cyan",
    State.QUEUED: "blue",
    State.STOPPED: "yellow",
    State.FAILED: "bold red",
    State.NOT_BEGUN: "dim",
}
#: Of the jobs that one file takes, the one in the first of these states counts.
_PRECEDENCE = (
    State.FAILED,
    State.RUNNING,
    State.QUEUED,
    State.STOPPED,
    State.NOT_BEGUN,
    State.DONE,
)


@dataclass(frozen=True)
class Pace:
    """How far and how fast a pre-training is; what is not known is None.

    Attributes:
        seconds_left: where it runs.
        seconds: that training took, where it is done.
    """

    epochs: int | None
    n_epochs: int
    images_per_s: float | None = None
    seconds_left: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Status:
    """How far runs (each with its pace), scores and stores are."""

    runs: list[tuple[JobStatus, Pace]]
    scores: list[JobStatus]
    stores: list[JobStatus]


def main() -> None:
    """Print how far runs, scores and stores are: done, running, queued, stopped or failed, and why.

    It only reads files, and asks squeue where there is one: it works beside a workflow and without one.
    """
    parser = argparse.ArgumentParser(prog="cld status", description=main.__doc__)
    add_results_arguments(parser)
    parser.add_argument("--tables", nargs="*", help="files of config/tables; default: all that are available")
    parser.add_argument("--run", help="only runs with this in their names, and their scores")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--all", action="store_true", help="list everything, done and not begun, too")
    shown.add_argument("--failed", action="store_true", help="only what has failed, and why")
    shown.add_argument("--json", action="store_true", help="everything, for programs")
    args = parser.parse_args()
    load_preset(args.preset)
    wanted = needed_runs(requested_tables(args.tables, args.preset), args.preset, not args.tables)
    if args.run:
        wanted = _of_run(wanted, args.run)
    now = time.time()
    status = gather(Path(args.results), args.preset, wanted, slurm_queue(), now)
    try:
        if args.json:
            print(json.dumps(as_json(status), indent=2))
        else:
            console = Console(highlight=False, soft_wrap=True)
            for line, style in report(status, now, args.all or bool(args.run), args.failed):
                console.print(Text(line, style))
        sys.stdout.flush()
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _of_run(wanted: Needed, part: str) -> Needed:
    """What is needed of the runs whose names contain ``part``.

    Raises:
        InputError: there is none.
    """
    runs = {name: config for name, config in wanted.runs.items() if part in name}
    if not runs:
        raise InputError(f"--run {part}: no needed run has this in its name; cld status --all lists them")
    scores = [score for score in wanted.scores if Path(score).parent.name in runs]
    return replace(wanted, runs=runs, scores=scores)


def gather(
    results: Path, preset: str, wanted: Needed, queue: Mapping[str, tuple[str, str]], now: float
) -> Status:
    """Look at everything that is needed.

    Args:
        results: the results folder.
        queue: see :func:`cld.reporting.job_status.slurm_queue`.
        now: in seconds since 1970.
    """
    folder = results / preset

    def status_of(jobs: Sequence[Job]) -> JobStatus:
        """Of the jobs that one file takes, the last of which writes it, the status that counts."""
        last = look(jobs[-1], queue, now)
        if last.state == State.DONE:
            return last
        found = [last, *(look(job, queue, now) for job in jobs[:-1])]
        return min(found, key=lambda status: _PRECEDENCE.index(status.state))

    runs = []
    for name, config in wanted.runs.items():
        found = look(run_job(folder, name), queue, now)
        runs.append((found, pace(found, folder / "runs" / name, config, now)))
    trial_logs = [path.stem for path in (folder / "logs/evaluate").glob("*.semisup_*.lr*.log")]
    scores = [status_of(score_jobs(results / score, trial_logs)) for score in wanted.scores]
    stores = [
        status_of(store_jobs(folder, preset, dataset)) for dataset in _datasets(wanted.runs, wanted.scores)
    ]
    return Status(runs, scores, stores)


def run_job(folder: Path, run: str) -> Job:
    """The pre-training of a run; ``folder`` is the preset's, here and below."""
    own = folder / "runs" / run
    return Job(
        run,
        own / "checkpoint.pt",
        folder / f"logs/pretrain/{run}.log",
        (own / "log.csv", own / "partial.pt"),
        lock=own / "training.lock",
        comment=f"rule_pretrain_wildcards_{folder.name}_{run}",
    )


def score_jobs(score: Path, trial_logs: Iterable[str]) -> list[Job]:
    """The jobs that a score takes: the trials of its grid that have begun, then the one that writes it.

    Args:
        score: ``<results>/<preset>/scores/<subject>/<protocol>.json``.
        trial_logs: ``<subject>.<protocol>.<trial>`` of all trials that have begun.
    """
    name, prefix = f"{score.parent.name}/{score.stem}", f"{score.parent.name}.{score.stem}"
    outputs = {prefix: score}
    for log in trial_logs:
        if log.startswith(f"{prefix}."):
            outputs[log] = score.with_suffix("") / f"{log.removeprefix(f'{prefix}.')}.json"
    logs = score.parents[2] / "logs/evaluate"
    jobs = [Job(name, path, logs / f"{log}.log", (partial_path(path),)) for log, path in outputs.items()]
    return jobs[::-1]


def store_jobs(folder: Path, preset: str, dataset: str) -> list[Job]:
    """The jobs that a store takes: the one for its source's files first."""
    source = load_dataset(preset, dataset)["source"]
    files, logs = folder / "data" / source, folder / "logs"
    if load_source(preset, source)["generate"] is not None:
        first = Job(dataset, files, logs / f"generate/{source}.log")
    else:
        first = Job(dataset, files.with_name(f"{source}.json"), logs / f"fetch/{source}.log")
    return [first, Job(dataset, folder / f"stores/{dataset}.h5", logs / f"store/{dataset}.log")]


def _datasets(runs: Mapping[str, Mapping], scores: Iterable[str]) -> list[str]:
    """The datasets that runs learn from and scores are of."""
    found = [run["dataset"] for run in runs.values()]
    for score in map(Path, scores):
        if score.stem.startswith("detection_"):
            found.append(score.stem.removeprefix("detection_"))
        elif score.stem in STORE_PROTOCOLS:
            found.append(score.parent.name)
    return list(dict.fromkeys(found))


def pace(status: JobStatus, folder: Path, config: Mapping, now: float) -> Pace:
    """How far and how fast a run is, from its ``log.csv`` and the last line of progress in its job's log."""
    n_epochs, batch_size = config["optimiser"]["epochs"], config["optimiser"]["batch_size"]
    try:
        rows = [
            (int(row["epoch"]), int(row["step"]), float(row["images_per_s"]), float(row["ended"]))
            for row in log_rows(folder / "log.csv")
        ]
    except (KeyError, TypeError, ValueError):  # of another version
        rows = []
    if status.state == State.DONE:
        # each epoch alone: a run that was stopped in between has waited, too
        seconds = sum(step / epoch * batch_size / speed for epoch, step, speed, _ in rows if speed)
        return Pace(n_epochs, n_epochs, seconds=seconds if rows else None)
    epoch, step, speed, when = rows[-1] if rows else (0, 0, None, None)
    steps_per_epoch = step / epoch if epoch else None
    line = status.progress
    if line and line.seconds_left and line.done > step:
        steps_per_epoch, step, when = line.total / n_epochs, line.done, status.when
        speed = (line.total - line.done) * batch_size / line.seconds_left
    if not steps_per_epoch:
        return Pace(None, n_epochs)
    left = None
    if speed and status.state == State.RUNNING:
        left = max((steps_per_epoch * n_epochs - step) * batch_size / speed - max(now - when, 0), 0)
    return Pace(int(step / steps_per_epoch), n_epochs, speed, left)


def as_json(status: Status) -> dict[str, list]:
    """A status as plain values."""
    return {
        "runs": [found.as_json() | vars(speed) for found, speed in status.runs],
        "scores": [found.as_json() for found in status.scores],
        "stores": [found.as_json() for found in status.stores],
    }


def report(
    status: Status, now: float, everything: bool = False, only_failed: bool = False
) -> Iterator[tuple[str, str]]:
    """A status for people: lines, each with its style.

    Args:
        now: in seconds since 1970.
        everything: list what is done and what is not begun, too.
        only_failed: only what has failed.
    """
    rows = [*status.runs, *((found, None) for found in [*status.stores, *status.scores])]
    yield f"{len(status.runs)} runs: {_counts(found for found, _ in status.runs)}", "bold"
    yield f"{len(status.stores)} stores: {_counts(status.stores)}", ""
    yield f"{len(status.scores)} scores: {_counts(status.scores)}", ""
    for protocol in sorted({score.job.output.stem for score in status.scores}):
        scores = [score for score in status.scores if score.job.output.stem == protocol]
        yield f"  {protocol}: {_counts(scores)}", ""
    shown = [State.RUNNING, State.QUEUED, State.STOPPED]
    shown += [State.DONE, State.NOT_BEGUN] if everything else []
    for state in [] if only_failed else shown:
        alike = [row for row in rows if row[0].state == state]
        if alike:
            yield f"\n{state.capitalize()}", _COLOURS[state]
            yield from _listed(alike, now, len(alike) if everything else N_LISTED)
    yield from _failures([found for found, _ in rows if found.state == State.FAILED], now)


def _counts(found: Iterable[JobStatus]) -> str:
    counts = Counter(status.state for status in found)
    return ", ".join(f"{counts[state]} {state}" for state in State if counts[state])


def _listed(
    rows: Sequence[tuple[JobStatus, Pace | None]], now: float, n_listed: int
) -> Iterator[tuple[str, str]]:
    """Jobs of one state, one a line."""
    width = max(len(found.job.name) for found, _ in rows[:n_listed])
    for found, speed in rows[:n_listed]:
        columns = "  ".join(filter(None, _columns(found, speed, now)))
        yield f"  {found.job.name:<{width}}  {columns}".rstrip(), ""
    if len(rows) > n_listed:
        yield f"  and {len(rows) - n_listed} more (--all)", "dim"


def _columns(found: JobStatus, speed: Pace | None, now: float) -> Iterator[str]:
    """What is printed of a job beside its name."""
    if speed and found.state != State.NOT_BEGUN:
        yield f"epoch {'?' if speed.epochs is None else speed.epochs}/{speed.n_epochs}"
    if speed and found.state == State.RUNNING:
        yield f"{speed.images_per_s:,.0f} images/s" if speed.images_per_s else ""
        yield f"{duration(speed.seconds_left)} left" if speed.seconds_left is not None else "starting"
    if speed and speed.seconds is not None:
        yield f"trained for {duration(speed.seconds)}"
    if found.state in (State.DONE, State.STOPPED) and found.when is not None:
        yield f"{duration(max(now - found.when, 0))} ago"
    yield f"Slurm job {found.slurm_job}" if found.slurm_job else ""
    yield found.error or ""


def _failures(failed: Sequence[JobStatus], now: float) -> Iterator[tuple[str, str]]:
    """What has failed: of those with the same error the first in full, of the others the names."""
    if failed:
        yield "\nFailed", _COLOURS[State.FAILED]
    alike: dict[str, list[JobStatus]] = {}
    for found in failed:
        # names of runs differ, and numbers of jobs, steps and dates
        alike.setdefault(re.sub(r"[\w.]+-[\w.-]+-s\d+-\w{8}|\d+", "", found.error), []).append(found)
    for first, *others in alike.values():
        yield f"  {first.job.name}  {duration(max(now - first.when, 0))} ago", ""
        yield f"    {first.error}", "yellow"
        yield from ((f"    | {line}", "dim") for line in first.last_lines)
        yield f"    {first.job.log}", "dim"
        if others:
            yield f"    and likewise {len(others)} more:", ""
            yield from ((f"      {other.job.name}", "") for other in others)
