"""The error that users read: one line that names the cause and the fix."""

import sys
from collections.abc import Callable


class InputError(Exception):
    """Bad input. The message is one line: the file, key or value at fault, then what to do about it.

    What it quotes may hold anything: line breaks and what else cannot be printed are shown as escapes.

    Args:
        message: the line.
        details: of a list, such as the files at fault; one line each, set in by two spaces.
    """

    def __init__(self, message: str, *details: str):
        super().__init__(message, *details)

    def __str__(self) -> str:
        lines = ("".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in self.args)
        return "\n  ".join(lines)


def run_command(main: Callable[[], None]) -> None:
    """Run a command's ``main``; an :class:`InputError` or Ctrl-C ends it with one line and no traceback.

    Exit status: 0 done, 2 bad input, 130 interrupted; any other failure is a bug and keeps its traceback.
    """
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.exit(130)
