"""The parser of a command's arguments: what it refuses is one line, as all bad input is."""

import argparse
import math

from cld.runtime.errors import InputError


class ArgumentParser(argparse.ArgumentParser):
    """argparse's, which would print the whole usage before its message."""

    def error(self, message: str) -> None:
        """Refuse the arguments.

        Raises:
            InputError: always.
        """
        raise InputError(f"{self.prog}: {' '.join(message.split())}; {self.prog} --help explains it")


MOST = 10_000


def count(text: str) -> int:
    """The type of an argument that counts processes, seeds and the like.

    Raises:
        ArgumentTypeError: it is no whole number, or is outside 1..MOST.
    """
    if not (text.isdecimal() and 1 <= int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 to {MOST}")
    return int(text)


def positive(text: str) -> float:
    """The type of an argument that is a number above 0.

    Raises:
        ArgumentTypeError: it is not, or is infinite.
    """
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return value
