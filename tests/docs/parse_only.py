"""Read a command's arguments as it would, and stop: ``parse_only.py PACKAGE ARGUMENT ...``."""

import argparse
import runpy
import sys
from collections.abc import Callable


def then_stop(parse: Callable) -> Callable:
    def parse_and_stop(parser: argparse.ArgumentParser, *arguments: object) -> argparse.Namespace:
        namespace = parse(parser, *arguments)
        if arguments:  # the name of a subcommand, which reads the rest
            return namespace
        sys.exit(0)

    return parse_and_stop


for name in ("parse_args", "parse_intermixed_args"):
    setattr(argparse.ArgumentParser, name, then_stop(getattr(argparse.ArgumentParser, name)))
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
sys.exit("no arguments were read")
