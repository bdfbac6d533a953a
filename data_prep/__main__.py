"""The commands that prepare datasets: ``python -m data_prep fetch``, ``generate`` or ``build``."""

import sys
from importlib import import_module

from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import run_command

#: Only the chosen command is imported.
COMMANDS = {
    "fetch": "data_prep.fetch.fetch_command",
    "generate": "data_prep.synthetic.generate_command",
    "build": "data_prep.common.build_command",
}


def main() -> None:
    """Fetch a source's upstream files, generate them for the demo, or build a dataset's store."""
    parser = ArgumentParser(prog="python -m data_prep", description=main.__doc__)
    parser.add_argument("command", choices=COMMANDS)
    command = parser.parse_args(sys.argv[1:2]).command
    sys.argv = [f"data_prep {command}", *sys.argv[2:]]
    import_module(COMMANDS[command]).main()


if __name__ == "__main__":
    run_command(main)
