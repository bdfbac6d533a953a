"""Score a run, or a store alone, by one protocol: ``python -m cld.evaluation PROTOCOL ...``."""

import argparse
import time

from cld.config import load_protocol, validate
from cld.errors import InputError, run_command
from cld.evaluation.protocols import PROTOCOLS
from cld.files import write_json
from cld.provenance import provenance
from cld.store import read_info


def main() -> None:
    """Score a run (--checkpoint), or a store alone, by one protocol."""
    parser = argparse.ArgumentParser(prog="python -m cld.evaluation", description=main.__doc__)
    parser.add_argument("protocol", choices=sorted(PROTOCOLS))
    parser.add_argument("--preset", required=True)
    parser.add_argument("--store", required=True, help="HDF5 file")
    parser.add_argument(
        "--checkpoint", help="a run's checkpoint.pt; the protocols that need no network take none"
    )
    parser.add_argument("--score", required=True, help="JSON file to write")
    parser.add_argument("--device", help="cpu, cuda, ...; default: the fastest there is")
    args = parser.parse_args()

    started = time.monotonic()
    protocol, settings = PROTOCOLS[args.protocol], load_protocol(args.preset, args.protocol)
    info = read_info(args.store)
    if protocol.needs_run and not args.checkpoint:
        raise InputError(f"{args.protocol}: scores a run; name its checkpoint with --checkpoint")
    subject = {"checkpoint": args.checkpoint, "device_name": args.device} if protocol.needs_run else {}
    if protocol.partial_of:
        subject["score"] = args.score
    score = {
        "protocol": args.protocol,
        "preset": args.preset,
        "dataset": info.dataset,
        **protocol.score(args.store, settings, **subject),
        "provenance": {
            **provenance(),
            "data_checksum": info.checksum,
            "wall_time_s": round(time.monotonic() - started, 3),
        },
    }
    validate(score, "score", args.score)
    write_json(args.score, score)
    if protocol.partial_of:
        protocol.partial_of(args.score).unlink(missing_ok=True)


if __name__ == "__main__":
    run_command(main)
