"""Score a run, or a store alone, by one protocol: ``cld evaluate PROTOCOL ...``."""

import time

from cld.config import load_protocol
from cld.data import read_info
from cld.data.staging import local_copy
from cld.data.verification import require_whole
from cld.evaluation.protocol_names import MULTI_PROCESS, RESUMABLE, STORE_PROTOCOLS, partial_path
from cld.evaluation.protocols import PROTOCOLS
from cld.evaluation.score_file import write_score
from cld.runtime.arguments import ArgumentParser
from cld.runtime.distributed import process_group, require_one_process
from cld.runtime.errors import InputError
from cld.runtime.files import remove_leftovers, require_place
from cld.runtime.signals import ended_by_signals
from cld.training.checkpoint import trained_by


def main() -> None:
    """Score a run (--checkpoint), or a store alone, by one protocol."""
    parser = ArgumentParser(prog="cld evaluate", description=main.__doc__)
    parser.add_argument("protocol", choices=sorted(PROTOCOLS))
    parser.add_argument("--preset", required=True)
    parser.add_argument("--store", required=True, help="HDF5 file")
    parser.add_argument(
        "--checkpoint", help="a run's checkpoint.pt; the protocols that need no network take none"
    )
    parser.add_argument("--score", required=True, help="JSON file to write")
    parser.add_argument("--device", default="auto", help="cpu, cuda, ...; auto: a GPU if there is one")
    args = parser.parse_args()

    started = time.monotonic()
    settings, needs_run = load_protocol(args.preset, args.protocol), args.protocol not in STORE_PROTOCOLS
    if args.protocol not in MULTI_PROCESS:
        require_one_process(args.protocol)
    require_place(args.score)
    if needs_run and not args.checkpoint:
        raise InputError(f"{args.protocol}: scores a run; name its checkpoint with --checkpoint")
    subject = {"checkpoint": args.checkpoint, "device_name": args.device} if needs_run else {}
    if args.protocol in RESUMABLE:
        subject["score"] = args.score
    store = args.store
    if needs_run:
        store = local_copy(store)
    else:  # the others read little of it
        require_whole(store)
    info = read_info(store)
    with ended_by_signals(), process_group():
        found = PROTOCOLS[args.protocol](store, settings, **subject)
    if found is None:  # the first process has it
        return
    code = trained_by(args.checkpoint) if needs_run else None
    write_score(args.score, args.protocol, args.preset, info, found, started, code)
    if args.protocol in RESUMABLE:
        partial_path(args.score).unlink(missing_ok=True)
        remove_leftovers(args.score)
