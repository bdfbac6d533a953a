"""A network that others trained, as a run of this project: found, renamed, checked, written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from torch import Tensor

from cld.checkpoints.choice import choose_network, find_layout
from cld.checkpoints.layouts import LAYOUTS
from cld.checkpoints.projections import Projection, find_projection
from cld.checkpoints.resnets import COUNTER, Network, out_features, shown, unwrapped
from cld.checkpoints.weights_file import read_weights
from cld.config import load_run
from cld.data.checksums import file_sha256
from cld.methods.encoder import Encoder, build_encoder
from cld.runtime.errors import InputError
from cld.runtime.files import write_json, write_text
from cld.runtime.provenance import provenance
from cld.training.checkpoint import save_checkpoint

_SHOWN = 5  # names that the report gives of each group


@dataclass(frozen=True)
class Wanted:
    """What an import is asked for.

    Attributes:
        preset, dataset: whose defaults (temperature, …) the run has, and what it will be scored on.
        name: of the network, for the run's name.
        layout: a key of ``LAYOUTS``, or ``auto``.
        prefix: of the backbone's names, without wrappers; None: the best that the file has.
        overrides: of the run's configuration.
    """

    preset: str
    dataset: str
    name: str
    layout: str = "auto"
    prefix: str | None = None
    overrides: Mapping[str, object] | None = None


def check_wanted(wanted: Wanted) -> None:
    """Refuse at once what no file could make right.

    Raises:
        InputError: an unknown layout, a key that is read from the file, or a key or value that is none.
    """
    if wanted.layout not in (*LAYOUTS, "auto"):
        raise InputError(f"--layout {wanted.layout}: unknown; choose one of auto, {', '.join(LAYOUTS)}")
    if not wanted.name or set(wanted.name) - set("abcdefghijklmnopqrstuvwxyz0123456789_.-"):
        raise InputError(f"--name '{wanted.name}': give lower-case letters, digits, '_', '.' or '-'")
    overrides = dict(wanted.overrides or {})
    for key, value in overrides.items():
        if (key == "head.kind" and value != "none") or key in ("head.dim", "head.hidden"):
            raise InputError(f"{key}: is read from the file; leave it out, or set head.kind=none")
        if key.startswith("backbone.") and key != "backbone.stem":
            raise InputError(f"{key}: is read from the file; leave it out (only backbone.stem is not in it)")
    load_run(wanted.preset, wanted.dataset, "npid", 0, {**overrides, "head.kind": "none"})


def import_checkpoint(path: str | Path, wanted: Wanted, run_dir: str | Path) -> dict:
    """Write ``checkpoint.pt``, ``config.yaml`` and the report ``import.json`` into ``run_dir``.

    Returns:
        the report.

    Raises:
        InputError: see :func:`check_wanted` and :func:`read_weights`; or the file has no ResNet that ours
            can hold, or several that are equally good, or weights that are not finite.
    """
    check_wanted(wanted)
    file = read_weights(path)
    state_dicts = {place: _unwrapped(path, tensors) for place, tensors in file.state_dicts.items()}
    network, others = choose_network(path, state_dicts, wanted.layout, wanted.prefix)
    tensors = {name: tensor for name, (_, tensor) in state_dicts[network.place].items()}
    layout = find_layout(tensors, network, file, wanted.layout)
    features = out_features(network.settings)
    projection = find_projection(tensors, network, layout, features)
    overrides = dict(wanted.overrides or {})
    if overrides.pop("head.kind", None) == "none" and projection.kind != "none":
        projection = Projection("none", features, why="head.kind=none was asked for")
    digest = file_sha256(path)
    config = _config(wanted, overrides, network, projection, layout, digest)
    ours_to_theirs = {f"backbone.{ours}": theirs for ours, theirs in network.names.items()}
    ours_to_theirs |= {f"head.{ours}": theirs for ours, theirs in projection.names.items()}
    encoder, missing = _filled(path, config, {ours: tensors[name] for ours, name in ours_to_theirs.items()})
    notes = [LAYOUTS[layout].note] if layout and LAYOUTS[layout].note else []
    if config["backbone"]["stem"] != "imagenet" and "backbone.stem" not in overrides:
        notes.append(
            "the stride of a 3x3 stem is not in the file: taken for 1; else backbone.stem=small_stride2"
        )
    original = {name: theirs for name, (theirs, _) in state_dicts[network.place].items()}
    used = set(ours_to_theirs.values())
    left = {name: theirs for name, theirs in original.items() if name not in used}
    report = {
        "file": {"name": Path(path).name, "sha256": digest, "beside_the_weights": list(file.entries)},
        "layout": layout,
        "network": {"place": network.place, "prefix": network.prefix, "passed_over": others},
        "backbone": config["backbone"],
        "head": {**config["head"], "why": projection.why or None},
        "matched": {ours: original[theirs] for ours, theirs in ours_to_theirs.items()},
        "unmatched_theirs": _grouped(left, network.prefix),
        "missing_ours": _grouped({name: name for name in missing}, "backbone."),
        "notes": notes,
    }
    run_dir = Path(run_dir)
    write_text(run_dir / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_json(run_dir / "import.json", {**report, "provenance": provenance()})
    save_checkpoint(
        run_dir / "checkpoint.pt",
        {
            "config": config,
            "data": None,
            "encoder": encoder.state_dict(),
            "method": {},
            "optimiser": {},
            "step": 0,
            "sums": {},
            "rows": [],
            "wall_time_s": 0.0,
            "provenance": provenance(),
        },
    )
    return report


def summary(report: Mapping) -> str:
    """The report in one line."""
    backbone, head, network = report["backbone"], report["head"], report["network"]
    blocks = f" {backbone['blocks']}" if backbone["blocks"] else ""
    head_line = f"head {head['kind']} {head['dim']}" + (f" ({head['why']})" if head["why"] else "")
    left = ", ".join(f"{group} {found['count']}" for group, found in report["unmatched_theirs"].items())
    n_missing = sum(found["count"] for found in report["missing_ours"].values())
    return (
        f"{report['layout'] or 'unknown layout'} ({shown(network['place'], network['prefix'])}): "
        f"{backbone['name']}{blocks}, width {backbone['width']}, stem {backbone['stem']}; {head_line}; "
        f"{len(report['matched'])} matched, unmatched theirs: {left or 'none'}, missing ours: {n_missing}"
        + "".join(f"; {note}" for note in report["notes"])
    )


def _unwrapped(path: str | Path, tensors: Mapping[str, Tensor]) -> dict[str, tuple[str, Tensor]]:
    """Their name and the tensor, by the name without wrappers."""
    found: dict[str, tuple[str, Tensor]] = {}
    for theirs, tensor in tensors.items():
        name = unwrapped(theirs)
        if name in found:
            raise InputError(
                f"{path}: {found[name][0]} and {theirs} are one name without 'module' and '_orig_mod'; "
                "save one of the two networks alone"
            )
        found[name] = (theirs, tensor)
    return found


def _config(
    wanted: Wanted,
    overrides: Mapping[str, object],
    network: Network,
    projection: Projection,
    layout: str | None,
    digest: str,
) -> dict:
    """The run's configuration: what the file says, then what was asked for."""
    stem = overrides.get("backbone.stem", network.settings["stem"])
    if (stem == "imagenet") != (network.settings["stem"] == "imagenet"):
        raise InputError(
            f"backbone.stem {stem}: the file's first convolution makes it {network.settings['stem']}; "
            "leave it out"
        )
    settings = {f"backbone.{key}": value for key, value in network.settings.items()}
    settings |= {"head.kind": projection.kind, "head.dim": projection.dim}
    settings["head.hidden"] = projection.hidden
    config = load_run(wanted.preset, wanted.dataset, "npid", 0, {**settings, **overrides, "cld.weight": 0})
    origin = {"name": wanted.name, "layout": layout, "prefix": network.prefix, "sha256": digest}
    return {**config, "method": f"imported-{wanted.name}", "imported": origin}


def _filled(path: str | Path, config: dict, tensors: Mapping[str, Tensor]) -> tuple[Encoder, list[str]]:
    """The encoder with ``tensors`` in it, and the names that it has and they have not."""
    for name, tensor in tensors.items():
        if not (tensor.is_floating_point() or name.endswith(COUNTER)):
            raise InputError(f"{path}: {name} is of {tensor.dtype}; name a checkpoint that is not quantised")
        if not tensor.isfinite().all():
            raise InputError(
                f"{path}: {name} is not finite; its training diverged: name an earlier checkpoint"
            )
    encoder = build_encoder(config)
    missing = [name for name in encoder.state_dict() if name not in tensors]
    encoder.load_state_dict(tensors, strict=False)
    assert all(name.endswith(COUNTER) for name in missing), missing
    return encoder, missing


def _grouped(names: Mapping[str, str], prefix: str) -> dict[str, dict]:
    """Names, as they stand in the file, by the first part of their name without wrappers."""
    groups: dict[str, dict] = {}
    for name, theirs in names.items():
        start = prefix if prefix and name.startswith(prefix) else ""
        group = groups.setdefault(
            start + name.removeprefix(start).partition(".")[0], {"count": 0, "first": []}
        )
        group["count"] += 1
        if group["count"] <= _SHOWN:
            group["first"].append(theirs)
    return groups
