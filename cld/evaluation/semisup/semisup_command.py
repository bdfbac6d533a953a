"""Semi-supervised classification by its steps: ``cld semisup subset|trial|choose``."""

import argparse
import time

from cld.config import load_protocol
from cld.data import read_info
from cld.data.staging import local_copy
from cld.data.verification import require_whole
from cld.evaluation.score_file import write_score
from cld.evaluation.semisup.subset import draw_subset
from cld.evaluation.semisup.trial import run_trial
from cld.evaluation.semisup.trial_selection import score_winner
from cld.runtime.arguments import ArgumentParser, positive
from cld.runtime.distributed import process_group, require_one_process
from cld.runtime.files import require_place, write_json
from cld.runtime.signals import ended_by_signals

SECTION = "semisup"


def main() -> None:
    """Fine-tune a run on few labels: draw the subset, run each trial of a grid, choose and score the best."""
    parser = ArgumentParser(prog="cld semisup", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    subset = commands.add_parser("subset", help="list the images to learn from and those held out")
    subset.add_argument("--share", type=float, required=True, help="of the training images: 0.01, 0.1")
    subset.add_argument("--seed", type=int, default=0)
    subset.add_argument("--out", required=True, help="JSON file to write")
    subset.set_defaults(run=_subset)

    trial = commands.add_parser("trial", help="fine-tune a run at one base rate and head multiplier")
    trial.add_argument("--checkpoint", required=True, help="a run's checkpoint.pt")
    trial.add_argument("--subset", required=True, help="JSON file of the command subset")
    trial.add_argument("--lr", type=positive, required=True, help="rate of the backbone")
    trial.add_argument(
        "--head-multiplier", type=positive, required=True, help="the head's rate, of the backbone's"
    )
    trial.add_argument("--out", required=True, help="JSON file to write; the network goes beside it, as .pt")
    trial.set_defaults(run=_trial)

    choose = commands.add_parser("choose", help="score the best trial of a grid on the test split")
    choose.add_argument("--trials", nargs="+", required=True, help="JSON files of the command trial")
    choose.add_argument("--score", required=True, help="JSON file to write")
    choose.set_defaults(run=_choose)

    for command in (subset, trial, choose):
        command.add_argument("--preset", required=True)
        command.add_argument("--store", required=True, help="HDF5 file")
    for command in (trial, choose):
        command.add_argument("--device", default="auto", help="cpu, cuda, ...; auto: a GPU if there is one")
    args = parser.parse_args()
    with ended_by_signals():
        args.run(args, load_protocol(args.preset, SECTION))


def _subset(args: argparse.Namespace, settings: dict) -> None:
    require_one_process("semisup subset")
    require_whole(args.store)
    write_json(args.out, draw_subset(args.store, args.share, settings["held_out_share"], args.seed))


def _trial(args: argparse.Namespace, settings: dict) -> None:
    require_place(args.out)
    store = local_copy(args.store)
    with process_group():
        point = (args.lr, args.head_multiplier)
        run_trial(args.checkpoint, store, args.subset, settings, *point, args.out, args.device)


def _choose(args: argparse.Namespace, settings: dict) -> None:
    require_one_process("semisup choose")
    require_place(args.score)
    started, store = time.monotonic(), local_copy(args.store)
    found = score_winner(args.trials, store, settings, args.device)
    protocol = f"{SECTION}_{100 * found['details']['subset']['share']:g}"
    trained_by = found["details"].pop("trained_by")
    write_score(args.score, protocol, args.preset, read_info(store), found, started, trained_by)
