"""The choice among a grid of trials: held-out training images decide, and the winner alone is tested."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from cld.config import validate
from cld.data import read_info
from cld.data.features import extract_features
from cld.data.labels import complete_labels
from cld.evaluation.accuracy import accuracy, by_logits
from cld.evaluation.semisup.trial import load_network
from cld.runtime.device import resolve_device
from cld.runtime.errors import InputError
from cld.runtime.files import read_json

#: Fields that all trials of a grid share.
COMMON = ("run", "seed", "settings", "subset", "trained_by")
#: Fields of a trial that the score keeps.
GRID = ("lr", "head_multiplier", "diverged", "training_loss", "held_out")


def winner(trials: Sequence[Mapping]) -> int:
    """Which trial has the best held-out top-1; of equal ones that with the lowest held-out loss.

    Raises:
        InputError: all have diverged.
    """
    alive = [place for place, trial in enumerate(trials) if not trial["diverged"]]
    if not alive:
        raise InputError(
            f"semisup: all {len(trials)} trials of {trials[0]['run']} diverged; add a lower rate to "
            "semisup.lr"
        )
    held_out = [trial["held_out"] for trial in trials]
    return max(alive, key=lambda place: (held_out[place]["top1"], -held_out[place]["loss"]))


def read_grid(paths: Sequence[str | Path], settings: Mapping) -> list[dict]:
    """Read the trials' reports of one whole grid, each setting of it once.

    Raises:
        InputError: a file is missing or is no trial's; trials of different runs, subsets or settings; or
            missing or repeated ones.
    """
    trials = []
    for path in paths:
        trial = read_json(path, fix := "run the trial again")
        validate(trial, "trial", str(path), fix)
        trials.append(trial)
        differing = [name for name in COMMON if trial[name] != trials[0][name]]
        if not differing and trial["settings"] != settings:
            differing = ["settings"]
        if differing:
            raise InputError(
                f"{path}: belongs to another grid (another {', '.join(differing)}); run its trial again"
            )
    have = [(trial["lr"], trial["head_multiplier"]) for trial in trials]
    asked = list(product(settings["lr"], settings["head_multiplier"]))
    wrong = [point for point in asked if have.count(point) != 1] + [p for p in have if p not in asked]
    if wrong:
        points = ", ".join(f"lr {lr:g} x{multiplier:g}" for lr, multiplier in wrong)
        raise InputError(
            f"semisup: the trials are not the grid of config/evaluation.yaml ({points} missing, repeated or "
            "not asked for); name each of its trials once with --trials"
        )
    return trials


def score_winner(
    paths: Sequence[str | Path], store: str | Path, settings: Mapping, device_name: str | None = None
) -> dict:
    """Choose a trial and score its network on the settings' split; the whole grid is kept.

    Args:
        paths: reports of every trial of the grid, each with its network beside it.
    """
    trials = read_grid(paths, settings)
    device, info, split = resolve_device(device_name), read_info(store), settings["split"]
    trained_on = trials[0]["subset"]["data"]
    if trained_on != info.checksum:
        raise InputError(
            f"{paths[0]}: was trained on another store ({trained_on[:12]} there, "
            f"{info.checksum[:12]} of {store}); name that store"
        )
    labels = complete_labels(store, split)
    best = winner(trials)
    network, config = load_network(paths[best], trials[best], info)
    logits = extract_features(network, store, split, info, device, config["image_size"], config["workers"])
    grades = accuracy(by_logits(logits.cpu()), labels)
    grid = [{name: trial[name] for name in GRID} for trial in trials]
    return {
        "run": trials[best]["run"],
        "seed": trials[best]["seed"],
        "metrics": grades["metrics"],
        "settings": dict(settings),
        "details": {
            "subset": trials[best]["subset"],
            "trained_by": trials[best]["trained_by"],
            "winner": grid[best],
            "grid": grid,
            **grades["details"],
        },
    }
