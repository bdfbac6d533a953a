"""Pre-train one run: ``cld train --preset demo --dataset kitchen_hc --method npid ...``."""

import argparse

from cld.data.staging import local_copy
from cld.training.knn_monitor import KNNMonitor
from cld.training.loop import train
from cld.training.run_arguments import add_run_arguments, run_of


def main() -> None:
    """Pre-train one run, or resume it."""
    parser = argparse.ArgumentParser(prog="cld train", description=main.__doc__)
    add_run_arguments(parser)
    parser.add_argument("--store", required=True, help="HDF5 file with a train split")
    parser.add_argument("--run-dir", required=True, help="folder for checkpoint, log and curves")
    parser.add_argument(
        "--replace-before",
        type=float,
        metavar="SECONDS",
        help="begin anew if the folder holds a run that ended before this time (seconds since 1970), "
        "or was trained on other data",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...; default: the fastest there is")
    args = parser.parse_args()
    config, store = run_of(args), local_copy(args.store)
    monitor = KNNMonitor(config, store) if config["watch"]["knn_every"] else None
    train(config, store, args.run_dir, args.device, monitor, args.replace_before)
