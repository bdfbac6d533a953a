"""A network that others trained, as a run of this project: found, renamed, checked, written."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from torch import Tensor

from cld.checkpoints.backbones_in_file import COUNTER, backbone_on_meta, choose_backbone, shown
from cld.checkpoints.head_in_file import Projection, find_projection
from cld.checkpoints.layouts import LAYOUTS, find_layout
from cld.checkpoints.weights_file import read_weights
from cld.config import load_run
from cld.data.store_checksums import file_sha256
from cld.methods.encoder import Encoder, build_encoder
from cld.runtime.errors import InputError
from cld.runtime.files import write_json, write_text
from cld.runtime.provenance import provenance
from cld.training.checkpoint import save_checkpoint

_SHOWN = 5  # names that the report gives of each group


def import_checkpoint(
    path: str | Path,
    run_dir: str | Path,
    preset: str,
    dataset: str,
    name: str,
    layout: str = "auto",
    prefix: str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> dict:
    """Write ``checkpoint.pt``, ``config.yaml`` and the report ``import.json`` into ``run_dir``.

    Args:
        preset, dataset: whose defaults (temperature, …) the run has, and what it will be scored on.
        name: of the network, for the run's name.
        layout: a key of ``LAYOUTS``, or ``auto``.
        prefix: of the backbone's names, without wrappers; None: the best that the file has.
        overrides: of the run's configuration.

    Returns:
        the report.

    Raises:
        InputError: an unknown layout, a key that is read from the file, or a key or value that is none; see
            :func:`read_weights`; or the file has no ResNet that ours can hold, or several that are equally
            good, or weights that are not finite.
    """
    overrides = dict(overrides or {})
    _check_request(name, layout, overrides)
    # before the file is read, which may be large
    load_run(preset, dataset, "npid", 0, {**overrides, "head.kind": "none"})
    file = read_weights(path)
    backbone, others = choose_backbone(path, file, layout, prefix)
    tensors, originals = file.state_dicts[backbone.place], file.originals[backbone.place]
    found = find_layout(backbone.prefix, tensors, file.entries, layout)
    features = backbone_on_meta(backbone.settings).out_features
    projection = find_projection(tensors, backbone.prefix, found, features)
    if overrides.pop("head.kind", None) == "none" and projection.kind != "none":
        projection = Projection("none", features, why="head.kind=none was asked for")
    stem = overrides.get("backbone.stem", backbone.settings["stem"])
    if (stem == "imagenet") != (backbone.settings["stem"] == "imagenet"):
        raise InputError(
            f"backbone.stem {stem}: the file's first convolution makes it {backbone.settings['stem']}; "
            "leave it out"
        )
    settings = {f"backbone.{key}": value for key, value in backbone.settings.items()}
    settings |= {f"head.{key}": getattr(projection, key) for key in ("kind", "dim", "hidden")}
    digest = file_sha256(path)
    config = {
        **load_run(preset, dataset, "npid", 0, {**settings, **overrides, "cld.weight": 0}),
        "method": f"imported-{name}",
        "imported": {"name": name, "layout": found, "prefix": backbone.prefix, "sha256": digest},
    }
    theirs_by_ours = {f"backbone.{ours}": theirs for ours, theirs in backbone.names.items()}
    theirs_by_ours |= {f"head.{ours}": theirs for ours, theirs in projection.names.items()}
    encoder, missing = _filled(path, config, {ours: tensors[key] for ours, key in theirs_by_ours.items()})
    notes = [LAYOUTS[found].note] if found and LAYOUTS[found].note else []
    if stem != "imagenet" and "backbone.stem" not in overrides:
        notes.append(
            "the stride of a 3x3 stem is not in the file: taken for 1; else backbone.stem=small_stride2"
        )
    used = set(theirs_by_ours.values())
    report = {
        "file": {"name": Path(path).name, "sha256": digest, "beside_the_weights": list(file.entries)},
        "layout": found,
        "network": {"place": backbone.place, "prefix": backbone.prefix, "passed_over": others},
        "backbone": config["backbone"],
        "head": {**config["head"], "why": projection.why or None},
        "matched": {ours: originals[theirs] for ours, theirs in theirs_by_ours.items()},
        "unmatched_theirs": _grouped([key for key in tensors if key not in used], backbone.prefix, originals),
        "missing_ours": _grouped(missing, "backbone.", {key: key for key in missing}),
        "notes": notes,
    }
    run_dir, made_by = Path(run_dir), provenance()
    write_text(run_dir / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_json(run_dir / "import.json", {**report, "provenance": made_by})
    untrained = {"method": {}, "optimiser": {}, "step": 0, "sums": {}, "rows": [], "wall_time_s": 0.0}
    content = {"config": config, "data": None, "encoder": encoder.state_dict(), "provenance": made_by}
    save_checkpoint(run_dir / "checkpoint.pt", content | untrained)
    return report


def _check_request(name: str, layout: str, overrides: Mapping[str, object]) -> None:
    """Refuse what is wrong whatever the file holds."""
    if layout not in (*LAYOUTS, "auto"):
        raise InputError(f"--layout {layout}: unknown; choose one of auto, {', '.join(LAYOUTS)}")
    if not name or set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789_.-"):
        raise InputError(f"--name '{name}': give lower-case letters, digits, '_', '.' or '-'")
    for key, value in overrides.items():
        if (key == "head.kind" and value != "none") or key in ("head.dim", "head.hidden"):
            raise InputError(f"{key}: is read from the file; leave it out, or set head.kind=none")
        if key.startswith("backbone.") and key != "backbone.stem":
            raise InputError(f"{key}: is read from the file; leave it out (only backbone.stem is not in it)")


def summary(report: Mapping) -> str:
    """The report in one line."""
    backbone, head, network = report["backbone"], report["head"], report["network"]
    blocks = f" {backbone['blocks']}" if backbone["blocks"] else ""
    why = f" ({head['why']})" if head["why"] else ""
    left = ", ".join(f"{group} {found['count']}" for group, found in report["unmatched_theirs"].items())
    n_missing = sum(found["count"] for found in report["missing_ours"].values())
    parts = [
        f"{report['layout'] or 'unknown layout'} ({shown(network['place'], network['prefix'])}): "
        f"{backbone['name']}{blocks}, width {backbone['width']}, stem {backbone['stem']}",
        f"head {head['kind']} {head['dim']}{why}",
        f"{len(report['matched'])} matched, unmatched theirs: {left or 'none'}, missing ours: {n_missing}",
        *report["notes"],
    ]
    return "; ".join(parts)


def _filled(path: str | Path, config: dict, tensors: Mapping[str, Tensor]) -> tuple[Encoder, list[str]]:
    """The encoder with ``tensors`` in it, and the names that it has and they have not: counters alone."""
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
    return encoder, missing


def _grouped(names: Iterable[str], prefix: str, originals: Mapping[str, str]) -> dict[str, dict]:
    """Names by their first part behind ``prefix``: how many, and the first ones as they are in the file."""
    groups: dict[str, dict] = {}
    for name in names:
        start = prefix if prefix and name.startswith(prefix) else ""
        key = start + name.removeprefix(start).partition(".")[0]
        group = groups.setdefault(key, {"count": 0, "first": []})
        group["count"] += 1
        if group["count"] <= _SHOWN:
            group["first"].append(originals[name])
    return groups
