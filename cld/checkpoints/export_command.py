"""Write a run's backbone as files that others read."""

import argparse


def main() -> None:
    """Export a run's backbone: a torchvision state dict (.pth), .safetensors and a model card (README.md)."""
    parser = argparse.ArgumentParser(prog="cld export", description=main.__doc__)
    parser.add_argument("checkpoint", help="a run's checkpoint.pt")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument(
        "--scores", nargs="+", default=[], help="scores (JSON) of this run, or folders of them"
    )
    parser.add_argument(
        "--store", help="the store it was trained on: the card then has its mean and deviation"
    )
    parser.add_argument(
        "--preset", help="scale it was trained at, where neither scores nor store nor path say it"
    )
    args = parser.parse_args()
    from cld.checkpoints.exporting import export_run  # PyTorch takes a second: --help does without

    for path in export_run(args.checkpoint, args.out, args.scores, args.store, args.preset):
        print(path)
