"""A run's name, and what distinguishes one run from another."""

import hashlib
import json
from collections.abc import Mapping

from cld.config import defaults, flat, others_sections

#: Keys that change how a run proceeds, not what it computes: left out of its identity.
NOT_IDENTITY = ("speed", "watch", "workers", "checkpoint_every_s")


def identity(run: Mapping) -> dict:
    """What distinguishes a run's result: its configuration less the keys that cannot matter to it."""
    ignored = {*NOT_IDENTITY, *others_sections(run["method"])}
    kept = {key: value for key, value in run.items() if key not in ignored}
    if not run["cld"]["weight"]:
        kept["cld"] = {"weight": 0}
        kept["head"] = {key: value for key, value in run["head"].items() if key != "shared_hidden"}
    return kept


def run_id(run: Mapping) -> str:
    """A run's name: what a person looks for, then a hash of its identity: ``kitchen_hc-npid-s0-1f0c9a2b``."""
    digest = hashlib.sha256(json.dumps(identity(run), sort_keys=True).encode()).hexdigest()[:8]
    parts = [run["dataset"], run["method"]]
    if run["cld"]["weight"]:
        parts += ["cld", f"{run['cld']['clustering']}{run['cld']['n_groups']}"]
    if run["optimiser"]["epochs"] == 0:
        parts.append("untrained")
    return "-".join([*parts, f"s{run['seed']}", digest])


def overrides_of(run: Mapping, preset: str) -> dict[str, object]:
    """The overrides that make ``run`` at a preset's scale: the same whichever cell asks for it."""
    base = flat(defaults(preset, run["dataset"], run["method"], run["recipe"]))
    relevant = flat({**identity(run), **{key: run[key] for key in NOT_IDENTITY}})
    return {key: value for key, value in relevant.items() if key in base and base[key] != value}
