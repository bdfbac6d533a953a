"""Pre-train one run: ``cld train --preset demo --dataset kitchen_hc --method npid ...``."""

from cld.config import load_preset, load_protocol, section_of
from cld.data.labels import require_scorable
from cld.data.staging import local_copy
from cld.runtime.arguments import ArgumentParser
from cld.runtime.device import require_given_gpus
from cld.training.config_command import add_run_arguments, run_of
from cld.training.knn_monitor import KNNMonitor
from cld.training.loop import train


def main() -> None:
    """Pre-train one run, or resume it."""
    parser = ArgumentParser(prog="cld train", description=main.__doc__)
    add_run_arguments(parser)
    parser.add_argument("--store", required=True, help="HDF5 file with a train split")
    parser.add_argument("--run-dir", required=True, help="folder for checkpoint, log and curves")
    parser.add_argument(
        "--scored-by",
        default="",
        metavar="PROTOCOL,…",
        help="check first that the store suits these protocols of the preset, which will score the run",
    )
    parser.add_argument(
        "--replace-before",
        type=float,
        metavar="SECONDS",
        help="begin anew if the folder holds a run that ended before this time (seconds since 1970), "
        "or was trained on other data",
    )
    parser.add_argument(
        "--device",
        default="auto",
        help="cpu, cuda, cuda:1, ...; auto: a GPU if there is one, which a preset or a job may insist on",
    )
    args = parser.parse_args()
    config = run_of(args)
    if load_preset(args.preset)["cluster"]["device"] == "GPU":
        require_given_gpus(args.device, wanted_by=f"config/presets/{args.preset}.yaml: cluster.device GPU")
    store = local_copy(args.store)
    for protocol in filter(None, args.scored_by.split(",")):
        require_scorable(store, protocol, load_protocol(args.preset, section_of(protocol)))
    monitor = KNNMonitor(config, store) if config["watch"]["knn_every"] else None
    train(config, store, args.run_dir, args.device, monitor, args.replace_before)
