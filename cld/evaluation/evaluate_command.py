"""Score a run, or a store alone, by one protocol: ``cld evaluate PROTOCOL ...``."""

import argparse
import time

from cld.config import load_protocol
from cld.data import read_info
from cld.data.staging import local_copy
from cld.evaluation.protocols import PROTOCOLS, partial_path
from cld.evaluation.score import write_score
from cld.runtime.distributed import process_group, require_one_process
from cld.runtime.errors import InputError
from cld.runtime.signals import ended_by_signals


def main() -> None:
    """Score a run (--checkpoint), or a store alone, by one protocol."""
    parser = argparse.ArgumentParser(prog="cld evaluate", description=main.__doc__)
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
    if not protocol.is_shared:
        require_one_process(args.protocol)
    info = read_info(args.store)
    if protocol.needs_run and not args.checkpoint:
        raise InputError(f"{args.protocol}: scores a run; name its checkpoint with --checkpoint")
    subject = {"checkpoint": args.checkpoint, "device_name": args.device} if protocol.needs_run else {}
    if protocol.resumable:
        subject["score"] = args.score
    store = local_copy(args.store) if protocol.needs_run else args.store  # the others read little of it
    with ended_by_signals(), process_group():
        found = protocol.score(store, settings, **subject)
    if found is None:  # the first process has it
        return
    code = None
    if protocol.needs_run:
        from cld.training.checkpoint import trained_by  # PyTorch is loaded by now

        code = trained_by(args.checkpoint)
    write_score(args.score, args.protocol, args.preset, info, found, started, code)
    if protocol.resumable:
        partial_path(args.score).unlink(missing_ok=True)
