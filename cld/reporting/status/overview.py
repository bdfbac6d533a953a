"""How far all runs, scores and stores of a preset are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cld.reporting.needed_runs import Needed
from cld.reporting.status.job import Job, Sight, State, look
from cld.reporting.status.pace import Pace, pace
from cld.reporting.status.slurm_logs import SlurmLogs
from cld.reporting.status.snakemake_files import SnakemakeFiles
from cld.reporting.status.wanted import datasets, run_job, score_jobs, store_jobs

#: Of several jobs that one thing takes, the state that counts: the first that one of them is in.
_FIRST = (
    State.FAILED,
    State.SILENT,
    State.RUNNING,
    State.QUEUED,
    State.STOPPED,
    State.NOT_BEGUN,
    State.DONE,
)


@dataclass(frozen=True)
class Overview:
    """What there is at the moment ``now`` (seconds since 1970).

    Attributes:
        is_snakemake_there: whether one is at work, or was killed.
        runs: each with its pace.
        scores: each by the job that counts.
        stores: those that are not there, likewise.
        waiting: by dataset, how many runs wait for its store.
    """

    preset: str
    now: float
    is_snakemake_there: bool
    runs: list[tuple[Sight, Pace]]
    scores: list[Sight]
    stores: list[Sight]
    waiting: dict[str, int]


def gather(
    preset: str, results: Path, wanted: Needed, snakemake: SnakemakeFiles, slurm: SlurmLogs, now: float
) -> Overview:
    """Look at everything that is needed.

    Args:
        results: the results folder, as the workflow names it: Snakemake's marks are by path.
    """
    folder = results / preset

    def seen(job: Job) -> Sight:
        return look(job, snakemake, slurm, now)

    runs = {}
    for name, config in wanted.runs.items():
        sight = seen(run_job(folder, name))
        runs[name] = sight, pace(sight, folder / "runs" / name, config, now)
    trained = {name for name, (sight, _) in runs.items() if sight.state == State.DONE}
    scores = []
    for score in wanted.scores:
        jobs = score_jobs(folder, preset, score, wanted.runs)
        if Path(score).parent.name in wanted.runs.keys() - trained and not jobs[-1].output.exists():
            scores.append(Sight(jobs[-1], State.NOT_BEGUN))
        else:
            scores.append(_counting([seen(job) for job in jobs]))
    stores = [
        _counting([seen(job) for job in store_jobs(folder, preset, dataset)])
        for dataset in datasets(wanted.runs, wanted.scores)
    ]
    return Overview(
        preset,
        now,
        snakemake.is_locked,
        list(runs.values()),
        scores,
        [sight for sight in stores if sight.state != State.DONE],
        _waiting(wanted.runs, trained),
    )


def _counting(sights: list[Sight]) -> Sight:
    """Of the jobs that something takes, the last of which makes it, the one that counts."""
    if sights[-1].state == State.DONE:
        return sights[-1]
    return min(reversed(sights), key=lambda sight: _FIRST.index(sight.state))


def _waiting(runs: Mapping[str, Mapping], trained: set[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, config in runs.items():
        if name not in trained:
            found[config["dataset"]] = found.get(config["dataset"], 0) + 1
    return found


def as_json(overview: Overview) -> dict:
    """An overview as plain values."""
    return {
        "preset": overview.preset,
        "now": overview.now,
        "is_snakemake_there": overview.is_snakemake_there,
        "runs": [
            {
                **_plain(sight),
                "epochs": speed.epochs,
                "n_epochs": speed.n_epochs,
                "images_per_s": speed.images_per_s,
                "seconds_left": speed.seconds_left,
                "seconds": speed.seconds,
            }
            for sight, speed in overview.runs
        ],
        "scores": [_plain(sight) for sight in overview.scores],
        "stores": [_plain(sight) for sight in overview.stores],
    }


def _plain(sight: Sight) -> dict:
    return {
        "name": sight.job.name,
        "rule": sight.job.rule,
        "state": str(sight.state),
        "when": sight.when,
        "slurm_job": sight.slurm_job,
        "cause": sight.cause.what if sight.cause else None,
        "fix": sight.cause.fix if sight.cause else None,
        "log": str(sight.job.log),
        "lines": list(sight.lines),
    }
