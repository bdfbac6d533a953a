"""Write a run's backbone as files that others read."""

from cld.checkpoints.exporting import export_run
from cld.runtime.arguments import ArgumentParser


def main() -> None:
    """Export a run's backbone: a torchvision state dict (.pth), .safetensors and a model card (README.md)."""
    parser = ArgumentParser(prog="cld export", description=main.__doc__)
    parser.add_argument("checkpoint", help="a run's checkpoint.pt")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--scores", nargs="+", default=[], help="the run's scores (JSON), or folders of them")
    parser.add_argument("--store", help="its training data, whose mean and deviation go into the card")
    parser.add_argument("--preset", help="its scale, where neither scores nor store nor path say it")
    args = parser.parse_args()
    for path in export_run(args.checkpoint, args.out, args.scores, args.store, args.preset):
        print(path)
