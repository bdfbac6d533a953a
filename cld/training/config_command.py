"""Print a run's resolved configuration: ``cld config --preset demo --dataset kitchen_hc --method npid``."""

import yaml

from cld.runtime.arguments import ArgumentParser
from cld.training.run_arguments import add_run_arguments, run_of
from cld.training.run_id import run_id


def main() -> None:
    """Print the resolved configuration of a run."""
    parser = ArgumentParser(prog="cld config", description=main.__doc__)
    add_run_arguments(parser)
    run = run_of(parser.parse_args())
    print(f"# {run_id(run)}\n{yaml.safe_dump(run, sort_keys=False)}", end="")
