"""Make a run of a checkpoint that others trained, so that every protocol scores it."""

from cld.checkpoints.importing import import_checkpoint, summary
from cld.checkpoints.layouts import LAYOUTS
from cld.config import parse_overrides
from cld.runtime.arguments import ArgumentParser


def main() -> None:
    """Import a checkpoint: write checkpoint.pt, config.yaml and the report import.json of a run."""
    parser = ArgumentParser(prog="cld import", description=main.__doc__)
    parser.add_argument("path", metavar="file", help="PyTorch or .safetensors file")
    parser.add_argument("--preset", required=True, help="scale: a file of config/presets")
    parser.add_argument("--dataset", required=True, help="what to score it on: a file of config/datasets")
    parser.add_argument("--name", required=True, help="of the network, for the run's name")
    parser.add_argument("--run-dir", required=True, help="folder, e.g. results/demo/runs/imported-NAME")
    parser.add_argument("--layout", default="auto", help=f"auto (the default), {', '.join(LAYOUTS)}")
    parser.add_argument("--prefix", help="of the backbone's names, where the file has several networks")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to config/run.yaml")
    args = parser.parse_intermixed_args()
    report = import_checkpoint(**vars(args) | {"overrides": parse_overrides(args.overrides)})
    print(summary(report))
