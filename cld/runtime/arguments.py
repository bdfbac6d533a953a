"""The parser of a command's arguments: what it refuses is one line, as all bad input is."""

import argparse

from cld.runtime.errors import InputError


class ArgumentParser(argparse.ArgumentParser):
    """argparse's, which would print the whole usage before its message."""

    def error(self, message: str) -> None:
        """Refuse the arguments.

        Raises:
            InputError: always.
        """
        raise InputError(f"{self.prog}: {' '.join(message.split())}; {self.prog} --help explains it")
