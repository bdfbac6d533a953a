"""A run's backbone as others read it: a plain torchvision state dict, safetensors, and a model card."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import safetensors.torch
import torch
import yaml

from cld.config import CONFIG, is_generated, load_preset
from cld.data import StoreInfo, read_info
from cld.evaluation.compare import read_score
from cld.models.backbones import RESNETS
from cld.runtime.errors import InputError
from cld.runtime.files import atomic_path, write_text
from cld.training.checkpoint import load_checkpoint, load_encoder
from cld.training.run_id import run_id

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("cld.checkpoints"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def export_run(
    checkpoint: str | Path,
    folder: str | Path,
    scores: Sequence[str | Path] = (),
    store: str | Path | None = None,
    preset: str | None = None,
) -> list[Path]:
    """Write ``<run>.pth``, ``<run>.safetensors`` and ``README.md`` into ``folder``.

    Args:
        checkpoint: a run's checkpoint.
        folder: made if it is not there.
        scores: JSON files of this run's scores, or folders of them.
        store: what the run was trained on.
        preset: its scale; None: as the store, the scores or else the checkpoint's path say.

    Returns:
        the three paths.

    Raises:
        InputError: a file cannot be read, or belongs to another run, store or preset.
    """
    content = load_checkpoint(checkpoint)
    encoder, config = load_encoder(checkpoint)
    run = run_id(config)
    found = _read_scores(scores, run)
    info = _read_store(store, content["data"]) if store else None
    preset = _preset(checkpoint, preset, info, found)
    tensors = {name: tensor.contiguous() for name, tensor in encoder.backbone.state_dict().items()}
    paths = [Path(folder) / name for name in (f"{run}.pth", f"{run}.safetensors", "README.md")]
    metadata = {"format": "pt", "run": run, "config": json.dumps(config)}
    card = _TEMPLATES.get_template("card.md.j2").render(
        run=run,
        config=config,
        imported=config.get("imported"),
        method=_method(config),
        features=encoder.backbone.out_features,
        torchvision_name=torchvision_name(config["backbone"]),
        preset=preset and f"{preset}: {load_preset(preset)['title']}",
        generated=is_generated(preset, config["dataset"]) if preset else None,
        scores=found,
        info=info,
        backbone=repr(config["backbone"]),
        configuration=yaml.safe_dump(config, sort_keys=False),
        provenance=yaml.safe_dump(content["provenance"], sort_keys=False),
    )
    with atomic_path(paths[0]) as temporary, open(temporary, "wb") as file:
        torch.save(tensors, file)  # by name, PyTorch would write the temporary name into the file
    with atomic_path(paths[1]) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata)
    write_text(paths[2], card)
    return paths


def torchvision_name(settings: Mapping) -> str | None:
    """torchvision's function that builds this ResNet, None where there is none."""
    name = settings["name"]
    if name not in RESNETS or settings["blocks"] not in (None, list(RESNETS[name][1])):
        return None
    return name if settings["width"] == 64 and settings["stem"] == "imagenet" else None


def _method(config: Mapping) -> str:
    if "imported" in config:
        return f"trained by others ({config['imported']['layout'] or 'unknown layout'})"
    name, cld = config["method"], config["cld"]
    if cld["weight"]:
        name += f" + CLD, {cld['n_groups']} groups by {cld['clustering']}"
    return name if config["optimiser"]["epochs"] else f"{name}, untrained"


def _read_scores(paths: Sequence[str | Path], run: str) -> list[dict]:
    scores = []
    for path in map(Path, paths):
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: has no scores (*.json); name the run's folder of scores")
        for file in files:
            scores.append(read_score(file))
            if (theirs := scores[-1]["run"]) != run:
                raise InputError(f"{file}: is a score of {theirs}, not of {run}; name this run's scores")
    return scores


def _read_store(path: str | Path, checksum: str | None) -> StoreInfo:
    info = read_info(path)
    if checksum not in (None, info.checksum):
        raise InputError(
            f"{path}: is not what the run was trained on (checksum {info.checksum[:12]}, the run's is "
            f"{checksum[:12]}); name its store"
        )
    return info


def _preset(
    checkpoint: str | Path, asked: str | None, info: StoreInfo | None, scores: Sequence[Mapping]
) -> str | None:
    """The run's scale by whatever names it; None where nothing does.

    Raises:
        InputError: they name different ones.
    """
    named = {"--preset": asked, "the store": info.preset if info else None}
    named |= {f"score {score['protocol']}": score["preset"] for score in scores}
    named = {who: preset for who, preset in named.items() if preset is not None}
    if len(set(named.values())) > 1:
        different = ", ".join(f"{who} is of preset {preset}" for who, preset in named.items())
        raise InputError(f"{different}; name one preset's")
    if named:
        return next(iter(named.values()))
    folders = Path(checkpoint).resolve().parts  # results/<preset>/runs/<run>/checkpoint.pt
    is_run = len(folders) > 4 and folders[-3] == "runs"
    return folders[-4] if is_run and (CONFIG / "presets" / f"{folders[-4]}.yaml").is_file() else None
