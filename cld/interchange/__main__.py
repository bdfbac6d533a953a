"""Checkpoints in and out: ``python -m cld.interchange import`` and ``python -m cld.interchange export``."""

import argparse
import sys

from cld.errors import run_command
from cld.interchange import export_command, import_command

COMMANDS = {"import": import_command.main, "export": export_command.main}


def main() -> None:
    """Make a run of a checkpoint that others trained (import), or files for others of a run (export)."""
    parser = argparse.ArgumentParser(prog="python -m cld.interchange", description=main.__doc__)
    parser.add_argument("command", choices=COMMANDS)
    args = parser.parse_args(sys.argv[1:2])  # what follows is the command's own
    COMMANDS[args.command](sys.argv[2:])


if __name__ == "__main__":
    run_command(main)
