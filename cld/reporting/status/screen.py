"""An overview for people: aligned text, coloured on a terminal."""

import re
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cld.reporting.durations import duration
from cld.reporting.status.causes import UNKNOWN
from cld.reporting.status.job import SILENT_AFTER_S, Sight, State
from cld.reporting.status.overview import Overview
from cld.reporting.status.pace import Pace

#: Of each state at most so many are listed, unless all are asked for.
N_LISTED = 10
#: Columns of plain text: one line stays one.
PLAIN_WIDTH = 1000
#: Characters of a log's line that are shown.
LINE_LENGTH = 400
_COLOURS = {
    State.DONE: "green",
    State.RUNNING: "cyan",
    State.SILENT: "yellow",
    State.QUEUED: "blue",
    State.STOPPED: "yellow",
    State.FAILED: "bold red",
    State.NOT_BEGUN: "dim",
}
_HEADINGS = {
    State.RUNNING: "Running",
    State.SILENT: f"No sign of life for more than {duration(SILENT_AFTER_S)}",
    State.QUEUED: "Queued",
    State.STOPPED: "Stopped and saved: they go on when Snakemake or Slurm starts them again",
    State.DONE: "Done",
    State.NOT_BEGUN: "Not begun",
}

#: A run, or a score or store, which have no pace.
Row = tuple[Sight, Pace | None]


def show(overview: Overview, everything: bool = False, only_failed: bool = False) -> None:
    """Print an overview.

    Args:
        everything: list every run, those that are done and not begun, too.
        only_failed: only what has failed.
    """
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    with console.capture() as captured:
        for part in _parts(overview, console.width, everything, only_failed):
            console.print(part)
    # a table pads its last column
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _parts(overview: Overview, width: int, everything: bool, only_failed: bool) -> Iterator[RenderableType]:
    runs: dict[State, list[Row]] = {state: [] for state in State}
    for row in overview.runs:
        runs[row[0].state].append(row)
    runs[State.RUNNING].sort(key=lambda row: row[1].seconds_left or 0)
    runs[State.FAILED].sort(key=lambda row: -row[0].when)

    yield _summary(overview.preset, runs)
    if not overview.is_snakemake_there and len(runs[State.DONE]) < len(overview.runs):
        yield Text("No Snakemake is at work in this folder: nothing more will be started.", "yellow")
    yield from _stores(overview, only_failed)
    listed = [State.RUNNING, State.SILENT, State.QUEUED, State.STOPPED]
    listed += [State.DONE, State.NOT_BEGUN] if everything else []
    for state in [] if only_failed else listed:
        if runs[state]:
            yield _heading(_HEADINGS[state], state)
            yield from _listed(runs[state], overview.now, width, sys.maxsize if everything else N_LISTED)
    yield from _failed("Failed", runs[State.FAILED], overview.now)
    if not only_failed:
        yield from _scores(overview.scores)
    failed = [(sight, None) for sight in overview.scores if sight.state == State.FAILED]
    yield from _failed("Failed scores", failed, overview.now)


def _summary(preset: str, runs: dict[State, list[Row]]) -> Text:
    counts = [Text(f"{len(rows)} {state}", _COLOURS[state]) for state, rows in runs.items() if rows]
    total = sum(map(len, runs.values()))
    return Text.assemble((f"{preset}: ", "bold"), Text(", ").join(counts), f" of {total} runs")


def _heading(text: str, state: State) -> Text:
    return Text(f"\n{text}", _COLOURS[state])


def _stores(overview: Overview, only_failed: bool) -> Iterator[RenderableType]:
    """What is not there of what runs learn from: why much does not begin."""
    failed = [sight for sight in overview.stores if sight.state == State.FAILED]
    others = [sight for sight in overview.stores if sight.state not in (State.FAILED, State.NOT_BEGUN)]
    if failed:
        n_waiting = sum(overview.waiting.get(sight.job.name, 0) for sight in failed)
        heading = f"Stores that cannot be made; {_n_runs(n_waiting)} for them"
        yield from _failed(heading, [(sight, None) for sight in failed], overview.now)
    if others and not only_failed:
        yield _heading("Stores that are being made", State.RUNNING)
        for sight in others:
            waiting = _n_runs(overview.waiting.get(sight.job.name, 0))
            yield Text(f"  {sight.job.name}  {sight.job.rule} {sight.state}; {waiting} for it")


def _n_runs(n: int) -> str:
    return f"{n} run waits" if n == 1 else f"{n} runs wait"


def _listed(runs: Sequence[Row], now: float, width: int, n_listed: int) -> Iterator[RenderableType]:
    """Runs of one state, one a line where the terminal is wide enough: names and how far they are."""
    table = Table.grid(padding=(0, 2, 0, 0))
    rows = [(sight.job.name, *_columns(sight, pace, now)) for sight, pace in runs[:n_listed]]
    for number in range(len(rows[0])):
        table.add_column(justify="right" if 0 < number < len(rows[0]) - 1 else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    if Console(width=PLAIN_WIDTH).measure(table).maximum + 2 <= width:
        yield Padding(table, (0, 0, 0, 2))
    else:
        for name, *columns in rows:
            yield Text(f"  {name}")
            yield Padding(Text("  ".join(filter(None, columns))), (0, 0, 0, 6))
    if len(runs) > n_listed:
        yield Text(f"  and {len(runs) - n_listed} more (--all)", "dim")


def _columns(sight: Sight, pace: Pace, now: float) -> list[str]:
    """What is said of a run beside its name; as many columns for all of one state."""
    ago = duration(max(now - sight.when, 0)) if sight.when is not None else ""
    epochs = f"epoch {'?' if pace.epochs is None else pace.epochs}/{pace.n_epochs}"
    share = f"{100 * pace.share:.0f} %" if pace.share is not None else ""
    job = f"Slurm job {sight.slurm_job}" if sight.slurm_job else ""
    match sight.state:
        case State.RUNNING:
            left = f"{duration(pace.seconds_left)} left" if pace.seconds_left is not None else "starting"
            fast = f"{pace.images_per_s:,.0f} images/s" if pace.images_per_s else ""
            return [left, epochs, share, fast, job]
        case State.SILENT:
            return [f"for {ago}", epochs, share, job]
        case State.QUEUED:
            far = f"goes on after {pace.epochs} of {pace.n_epochs} epochs" if pace.epochs else ""
            why = f"again, after: {sight.cause.what}" if sight.cause else ""
            return [f"for {ago}", "; ".join(filter(None, (job, far, why)))]
        case State.STOPPED:
            return [f"{ago} ago", epochs, share, sight.cause.what if sight.cause else ""]
        case State.DONE:
            spent = duration(pace.seconds) if pace.seconds is not None else ""
            each = f"{pace.seconds_per_epoch:.3g} s an epoch" if pace.seconds_per_epoch is not None else ""
            return [spent, each, f"{ago} ago"]
        case _:
            return []


def _failed(heading: str, failed: Sequence[Row], now: float) -> Iterator[RenderableType]:
    """What has failed, those with one cause together: the first in full, of the others the names."""
    if failed:
        yield _heading(heading, State.FAILED)
    alike: dict[tuple[str, str], list[Row]] = {}
    for sight, pace in failed:
        # names of runs differ, and numbers, of jobs, steps and dates
        told = re.sub(r"[\w.]+-[\w.-]+-s\d+-\w{8}|\d+", "", sight.cause.line)
        alike.setdefault((sight.cause.what, told), []).append((sight, pace))
    for (sight, pace), *others in alike.values():
        far = f", after {pace.epochs} of {pace.n_epochs} epochs" if pace and pace.epochs else ""
        when = f"{sight.job.rule}{far}, {duration(max(now - sight.when, 0))} ago"
        what = sight.cause.what if sight.cause.what != UNKNOWN else "nothing tells why"
        yield Text.assemble(f"  {sight.job.name}  ", (what, "bold red"), (f"  ({when})", "dim"))
        if sight.cause.fix:
            yield Padding(Text(sight.cause.fix, "yellow"), (0, 0, 0, 4))
        yield Padding(_quoted(sight), (0, 0, 0, 4))
        yield Padding(Text(str(sight.job.log), "dim"), (0, 0, 0, 4))
        if others:
            yield Text(f"    and likewise {len(others)} more:")
            yield from (Text(f"      {other.job.name}") for other, _ in others)


def _quoted(sight: Sight) -> Table:
    """The line that told the cause, and the last ones."""
    lines = list(sight.lines)
    if sight.cause.line and sight.cause.line not in map(str.strip, lines):
        lines = [sight.cause.line, "...", *lines]
    table = Table.grid(padding=(0, 1, 0, 0))
    for line in lines:
        table.add_row(Text("|", "dim"), Text(line[:LINE_LENGTH], "dim"))
    return table


def _scores(scores: Sequence[Sight]) -> Iterator[RenderableType]:
    """How many scores of each protocol are there."""
    by_protocol: dict[str, list[State]] = {}
    for sight in sorted(scores, key=lambda sight: sight.job.output.stem):
        by_protocol.setdefault(sight.job.output.stem, []).append(sight.state)
    n_done = sum(sight.state == State.DONE for sight in scores)
    yield Text(f"\nScores: {n_done} of {len(scores)}")
    table, none = Table.grid(padding=(0, 2, 0, 0)), []
    for protocol, states in by_protocol.items():
        if set(states) == {State.NOT_BEGUN}:
            none.append(f"{protocol} {len(states)}")
            continue
        counts = [
            Text(f"{n} {state}", _COLOURS[state])
            for state in State
            if state not in (State.DONE, State.NOT_BEGUN) and (n := states.count(state))
        ]
        done = Text(f"{states.count(State.DONE)} of {len(states)}", justify="right")
        table.add_row(protocol, done, Text(", ").join(counts))
    if table.row_count:
        yield Padding(table, (0, 0, 0, 2))
    if none:
        yield Padding(Text(f"none yet of: {', '.join(none)}", "dim"), (0, 0, 0, 2))
