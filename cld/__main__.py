"""The command line: ``cld COMMAND ...``, or ``python -m cld COMMAND ...``."""

import os
import sys
from importlib import import_module

from cld.runtime.errors import InputError, run_command
from cld.runtime.files import matplotlib_folder

#: Each command's module, whose ``main`` reads sys.argv, and what the command is for. Only the chosen
#: command's module is imported: most of them need PyTorch, which takes seconds to load.
COMMANDS = {
    "train": ("cld.training.train_command", "pre-train one run, or resume it"),
    "evaluate": ("cld.evaluation.evaluate_command", "score a run, or a store, by one protocol"),
    "semisup": ("cld.evaluation.semisup.semisup_command", "semi-supervised evaluation, step by step"),
    "compare": ("cld.evaluation.compare", "the difference between two methods, with an interval"),
    "verify": ("cld.data.verify_command", "check stores against their checksums"),
    "config": ("cld.training.config_command", "print a run's resolved configuration"),
    "import": ("cld.checkpoints.import_command", "make a run of a checkpoint that others trained"),
    "export": ("cld.checkpoints.export_command", "write a run for torchvision and timm"),
    "plan": ("cld.reporting.plan", "what a preset needs, what exists and what the rest costs"),
    "status": ("cld.reporting.status", "how far runs, scores and stores are"),
    "cell": ("cld.reporting.tables.cell", "average the scores of one cell"),
    "tables": ("cld.reporting.tables.render", "render tables from cells, or from the scores so far"),
    "page": ("cld.reporting.page.content", "write the index page"),
    "card": ("cld.reporting.figures.store_card", "describe a store in text and a picture"),
    "supplement": ("cld.reporting.supplement", "tables and figures as one PDF"),
    "pack": ("cld.reporting.pack", "pack results for others, without data and checkpoints"),
    "unpack": ("cld.reporting.unpack", "put packed results into a results folder"),
    "figure-a1": ("cld.reporting.figures.figure_a1_scenes", "Figure A.1: scenes and crops"),
    "figure-a2": (
        "cld.reporting.figures.figure_a2_negatives",
        "Figure A.2: NMI, retrieval and kNN over negatives",
    ),
    "figure-a3": ("cld.reporting.figures.figure_a3_retrieval", "Figure A.3: what runs retrieve"),
    "figure-choice": (
        "cld.reporting.figures.figure_label_free_choice",
        "a hyper-parameter chosen without labels",
    ),
}
#: Packages of the extra ``workflow``, which a command may lack where only the package itself is installed.
OF_WORKFLOW = ("pandas", "scipy", "requests", "snakemake")


def usage() -> str:
    """The list of commands."""
    lines = [f"  {name:<14} {purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(["usage: cld COMMAND ...", "", *lines, "", "cld COMMAND --help explains a command."])


def dispatch() -> None:
    """Run the command that ``sys.argv`` names.

    Raises:
        InputError: there is no such command, or the packages that it needs are not installed.
    """
    # matplotlib's list of fonts: on the node's disk, also where a home cannot be written
    os.environ.setdefault("MPLCONFIGDIR", matplotlib_folder())
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(usage())
        return
    if name not in COMMANDS:
        raise InputError(f"cld {name}: no such command; commands: {', '.join(COMMANDS)}")
    sys.argv = [f"cld {name}", *sys.argv[2:]]
    try:
        command = import_module(COMMANDS[name][0])
    except ModuleNotFoundError as error:
        if error.name not in OF_WORKFLOW:
            raise
        raise InputError(f"cld {name}: needs the package {error.name}; pip install 'cld[workflow]'") from None
    command.main()


def main() -> None:
    """The console script."""
    run_command(dispatch)


if __name__ == "__main__":
    main()
