"""The commands that prepare datasets: ``python -m data_prep fetch``, ``generate`` or ``build``."""

import argparse
import sys
from importlib import import_module

from cld.config import load_dataset
from cld.runtime.errors import run_command

#: What builds a dataset's store, by the builder that ``config/datasets`` names. Only the chosen module is
#: imported: Kitchen-HC's needs Open3D, which is large and not everywhere.
BUILDERS = {
    "cifar": "data_prep.cifar.build",
    "image_folder": "data_prep.image_folder.build",
    "imagenet": "data_prep.imagenet.build",
    "kitchen_folder": "data_prep.kitchen.build_from_folder",
    "kitchen_hc": "data_prep.kitchen.build_from_scenes",
    "stl10": "data_prep.stl10.build",
    "voc": "data_prep.voc.build",
}
COMMANDS = {"fetch": "data_prep.fetch.fetch_command", "generate": "data_prep.synthetic.generate_command"}


def main() -> None:
    """Fetch a source's upstream files, generate them for the demo, or build a dataset's store."""
    parser = argparse.ArgumentParser(prog="python -m data_prep", description=main.__doc__)
    parser.add_argument("command", choices=(*COMMANDS, "build"))
    command = parser.parse_args(sys.argv[1:2]).command
    sys.argv = [f"data_prep {command}", *sys.argv[2:]]
    module = COMMANDS.get(command) or _builder()
    import_module(module).main()


def _builder() -> str:
    """The module that builds the dataset named on the command line."""
    names = argparse.ArgumentParser(add_help=False)
    names.add_argument("--preset", required="--help" not in sys.argv)
    names.add_argument("--dataset", required="--help" not in sys.argv)
    args, _ = names.parse_known_args()
    return BUILDERS[load_dataset(args.preset, args.dataset)["builder"] if args.dataset else "cifar"]


if __name__ == "__main__":
    run_command(main)
