"""Pre-train one run: ``cld train --preset demo --dataset kitchen_hc --method npid ...``."""

import argparse

from cld.config import add_run_arguments, load_run, parse_overrides
from cld.data.staging import local_copy


def main() -> None:
    """Pre-train one run, or go on with one that was stopped."""
    parser = argparse.ArgumentParser(prog="cld train", description=main.__doc__)
    add_run_arguments(parser)
    parser.add_argument("--store", required=True, help="HDF5 file with a train split")
    parser.add_argument("--run-dir", required=True, help="folder for checkpoint, log and curves")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...; default: the fastest there is")
    args = parser.parse_args()
    config = load_run(args.preset, args.dataset, args.method, args.seed, parse_overrides(args.overrides))
    from cld.training.loop import train  # PyTorch takes seconds: a misspelt key is told at once

    train(config, local_copy(args.store), args.run_dir, args.device)
