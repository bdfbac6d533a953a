"""Print how far a preset's runs, scores and stores are: ``cld status``."""

import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cld.config import load_dataset, load_source
from cld.evaluation.protocol_names import STORE_PROTOCOLS, partial_path
from cld.reporting.job_status import Job, JobStatus, Pace, State, look, slurm_queue
from cld.reporting.needed_runs import Needed, needed_runs, requested_tables
from cld.reporting.results_arguments import add_results_arguments
from cld.reporting.times import duration
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError
from cld.runtime.progress import is_progress_line
from cld.training.run_folder import log_rows

#: At most so many jobs of a state are listed, unless ``--run`` chooses some.
N_LISTED = 10


def main() -> None:
    """Print how far runs, scores and stores are: done, running, queued, stopped or failed, and why.

    It only reads files, and asks squeue where there is one: it works beside a workflow and without one.
    """
    parser = ArgumentParser(prog="cld status", description=main.__doc__)
    add_results_arguments(parser)
    parser.add_argument("--run", help="everything of the runs with this in their names")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--failed", action="store_true", help="only what has failed, and why")
    shown.add_argument("--json", action="store_true", help="everything, for programs")
    args = parser.parse_args()
    wanted = needed_runs(requested_tables(None, args.preset), args.preset, with_evaluations=True)
    if args.run:
        wanted = _of_run(wanted, args.run)
    now = time.time()
    found = find(Path(args.results) / args.preset, wanted, slurm_queue(), now)
    if args.json:
        text = json.dumps(as_json(found), indent=2)
    else:
        text = "\n".join(report(found, now, bool(args.run), args.failed))
    try:
        print(text, flush=True)
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _of_run(wanted: Needed, part: str) -> Needed:
    """What is needed of the runs whose names contain ``part``.

    Raises:
        InputError: there is none.
    """
    runs = {name: config for name, config in wanted.runs.items() if part in name}
    if not runs:
        raise InputError(f"--run {part}: no needed run has this in its name; cld plan lists them")
    scores = [score for score in wanted.scores if Path(score).parent.name in runs]
    return replace(wanted, runs=runs, scores=scores)


def find(
    folder: Path, wanted: Needed, queue: Mapping[str, tuple[str, str]], now: float
) -> dict[str, list[JobStatus]]:
    """How far everything is that is needed, by kind, see :func:`needed_jobs`; runs with their pace.

    Args:
        folder: the preset's results.
        queue: see :func:`cld.reporting.job_status.slurm_queue`.
        now: in seconds since 1970.
    """
    jobs = needed_jobs(folder, wanted)
    found = {kind: [look(job, queue, now) for job in of_kind] for kind, of_kind in jobs.items()}
    found["runs"] = [
        replace(run, pace=_pace(run, wanted.runs[run.job.name]["optimiser"], now)) for run in found["runs"]
    ]
    return found


def needed_jobs(folder: Path, wanted: Needed) -> dict[str, list[Job]]:
    """The jobs that make what is needed: ``runs``, ``sources``, ``stores``, ``scores``, and ``trials``.

    Trials are those of a semi-supervised grid that have begun and whose score does not exist yet.

    Args:
        folder: the preset's results.
    """
    preset, logs = folder.name, folder / "logs"
    jobs: dict[str, list[Job]] = {kind: [] for kind in ("runs", "sources", "stores", "scores", "trials")}
    for run in wanted.runs:
        own, log = folder / "runs" / run, logs / f"pretrain/{run}.log"
        files, comment = (own / "log.csv", own / "partial.pt"), f"rule_pretrain_wildcards_{preset}_{run}"
        jobs["runs"].append(Job(run, own / "checkpoint.pt", log, files, own / "training.lock", comment))
    datasets = _datasets(wanted)
    for source in dict.fromkeys(load_dataset(preset, dataset)["source"] for dataset in datasets):
        is_generated = load_source(preset, source)["generate"] is not None
        made = folder / "data" / (source if is_generated else f"{source}.json")
        rule = "generate" if is_generated else "fetch"
        jobs["sources"].append(Job(f"data/{source}", made, logs / f"{rule}/{source}.log"))
    for dataset in datasets:
        jobs["stores"].append(Job(dataset, folder / f"stores/{dataset}.h5", logs / f"store/{dataset}.log"))
    for score in (folder.parent / score for score in wanted.scores):
        subject, protocol = score.parent.name, score.stem
        log = logs / f"evaluate/{subject}.{protocol}.log"
        jobs["scores"].append(Job(f"{subject}/{protocol}", score, log, (partial_path(score),)))
        if protocol.startswith("semisup_") and not score.exists():
            for log in sorted((logs / "evaluate").glob(f"{subject}.{protocol}.lr*.log")):
                trial = log.stem.removeprefix(f"{subject}.{protocol}.")
                output = score.with_suffix("") / f"{trial}.json"
                jobs["trials"].append(Job(f"{subject}/{protocol}/{trial}", output, log))
    return jobs


def _datasets(wanted: Needed) -> list[str]:
    """The datasets that runs learn from and scores are of."""
    found = [run["dataset"] for run in wanted.runs.values()]
    for score in map(Path, wanted.scores):
        if score.stem.startswith("detection_"):
            found.append(score.stem.removeprefix("detection_"))
        elif score.stem in STORE_PROTOCOLS:
            found.append(score.parent.name)
    return list(dict.fromkeys(found))


def _pace(run: JobStatus, optimiser: Mapping, now: float) -> Pace:
    """How far and how fast a run is, by its ``log.csv``."""
    n_epochs, batch_size = optimiser["epochs"], optimiser["batch_size"]
    rows = log_rows(run.job.output.with_name("log.csv"))
    if not rows:
        return Pace(0, n_epochs)
    epoch, step, speed, ended = (float(rows[-1][key]) for key in ("epoch", "step", "images_per_s", "ended"))
    left = None
    if run.state == State.RUNNING and speed:
        left = max((n_epochs / epoch - 1) * step * batch_size / speed - (now - ended), 0)
    return Pace(int(epoch), n_epochs, speed, left)


def as_json(found: Mapping[str, Sequence[JobStatus]]) -> dict[str, list[dict]]:
    """Statuses by kind as plain values; those of runs with their paces."""

    def plain(status: JobStatus) -> dict[str, Any]:
        return {
            "name": status.job.name,
            "state": str(status.state),
            "when": status.when,
            "slurm_job": status.slurm_job,
            "error": status.error,
            "log": str(status.job.log),
            "lines": status.last_lines,
            **(asdict(status.pace) if status.pace else {}),
        }

    return {kind: [plain(status) for status in statuses] for kind, statuses in found.items()}


def report(
    found: Mapping[str, Sequence[JobStatus]], now: float, everything: bool = False, only_failed: bool = False
) -> Iterator[str]:
    """Statuses for people, line by line.

    Args:
        everything: list what is done and what is not begun, too.
        only_failed: list only what has failed.
    """
    for kind, statuses in found.items():
        if statuses:
            yield f"{len(statuses)} {kind}: {_counts(statuses)}"
    for protocol in sorted({score.job.output.stem for score in found["scores"]}):
        yield f"  {protocol}: {_counts(s for s in found['scores'] if s.job.output.stem == protocol)}"
    states = [State.RUNNING, State.QUEUED, State.STOPPED]
    states += [State.DONE, State.NOT_BEGUN] if everything else []
    by_state = {
        state: [status for statuses in found.values() for status in statuses if status.state == state]
        for state in State
    }
    for state in [] if only_failed else states:
        alike = by_state[state]
        listed = alike if everything else alike[:N_LISTED]
        if listed:
            yield f"\n{state.capitalize()}"
            yield from (_line(status, now) for status in listed)
        if len(alike) > len(listed):
            yield f"  and {len(alike) - len(listed)} more (--json lists all)"
    if by_state[State.FAILED]:
        yield "\nFailed"
        yield from _failures(by_state[State.FAILED], now)


def _counts(statuses: Iterable[JobStatus]) -> str:
    counts = Counter(status.state for status in statuses)
    return ", ".join(f"{counts[state]} {state}" for state in State if counts[state])


def _line(status: JobStatus, now: float) -> str:
    """A job that has not failed."""
    columns, pace = [f"  {status.job.name}"], status.pace
    if pace and status.state != State.NOT_BEGUN:
        columns.append(f"epoch {pace.epochs}/{pace.n_epochs}")
    if pace and pace.seconds_left is not None:
        columns += [f"{pace.images_per_s:,.0f} images/s", f"{duration(pace.seconds_left)} left"]
    elif status.state == State.RUNNING:  # before its first epoch's end
        columns += [line.partition(": ")[2] for line in status.last_lines[-1:] if is_progress_line(line)]
    if status.state in (State.DONE, State.STOPPED):
        columns.append(f"{duration(now - status.when)} ago")
    if status.slurm_job:
        columns.append(f"Slurm job {status.slurm_job}")
    if status.error:
        columns.append(status.error)
    return "  ".join(columns)


def _failures(failed: Iterable[JobStatus], now: float) -> Iterator[str]:
    """What has failed: of those with the same error the first in full, of the others the names."""
    alike: dict[str, list[JobStatus]] = {}
    for status in failed:
        # names of runs differ, and numbers of jobs, steps and dates: all words with a digit
        alike.setdefault(re.sub(r"\S*\d\S*", "", status.error), []).append(status)
    for first, *others in alike.values():
        yield f"  {first.job.name}  {duration(now - first.when)} ago"
        yield f"    {first.error}"
        yield from (f"    | {line}" for line in first.last_lines)
        yield f"    {first.job.log}"
        if others:
            yield f"    and likewise {len(others)} more:"
            yield from (f"      {other.job.name}" for other in others)
