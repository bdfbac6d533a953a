"""Check stores: ``cld verify STORE …``; ``cld verify --info STORE …`` prints their descriptions."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from cld.data.store_format import read_info
from cld.data.verification import verify
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError


def main() -> None:
    """Check stores against their checksums, or print their descriptions."""
    parser = ArgumentParser(prog="cld verify", description=main.__doc__)
    parser.add_argument("--info", action="store_true", help="print the stores' descriptions instead")
    parser.add_argument("stores", nargs="+", type=Path, metavar="STORE", help="HDF5 file")
    args = parser.parse_args()
    errors = []
    for store in args.stores:
        try:
            print(json.dumps(asdict(read_info(store)), indent=2) if args.info else verify(store))
        except InputError as error:
            errors.append(str(error))
    for line in errors[:-1]:  # told after all stores have been checked
        print(f"error: {line}", file=sys.stderr)
    if errors:
        raise InputError(errors[-1])
