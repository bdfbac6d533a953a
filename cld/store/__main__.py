"""Look at stores: ``python -m cld.store verify STORE …`` and ``python -m cld.store info STORE …``."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from cld.errors import InputError, run_command
from cld.store.format import read_info
from cld.store.verification import verify


def main() -> None:
    """Verify stores against their checksums, or print what they say of themselves."""
    parser = argparse.ArgumentParser(prog="python -m cld.store", description=main.__doc__)
    parser.add_argument("command", choices=("verify", "info"))
    parser.add_argument("stores", nargs="+", type=Path, metavar="STORE", help="HDF5 file")
    args = parser.parse_args()
    errors = []
    for store in args.stores:
        try:
            print(
                verify(store) if args.command == "verify" else json.dumps(asdict(read_info(store)), indent=2)
            )
        except InputError as error:
            errors.append(str(error))
    if errors:  # every store is looked at before the first bad one ends the command
        raise InputError("\nerror: ".join(errors))


if __name__ == "__main__":
    run_command(main)
