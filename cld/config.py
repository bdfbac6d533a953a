"""Configuration: YAML files in layers, merged into one resolved, validated dictionary.

A run is resolved from ``config/run.yaml`` (every key), then the method's file, the dataset's file, the
preset, a table's overrides and the command line, each changing keys of the one before. No layer can add a
key, but a method's file may add one section, of the method's own name: a misspelt key is an error that names
the nearest valid one. The workflow and the commands resolve alike.
"""

import copy
import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators

from cld.runtime.errors import InputError

SCHEMAS = Path(__file__).parent / "schemas"


def find_config() -> Path:
    """The folder of configuration files: ``$CLD_CONFIG``, ``./config``, the checkout's, or the package's."""
    if "CLD_CONFIG" in os.environ:
        return Path(os.environ["CLD_CONFIG"]).resolve()
    package = Path(__file__).resolve().parent
    folders = [Path("config").resolve(), package.parent / "config", package / "shipped_config"]
    return next((folder for folder in folders if (folder / "run.yaml").exists()), folders[0])


CONFIG = find_config()
ROOT = CONFIG.parent

#: The recipe that lays a dataset's section ``published`` over what the supplement states.
PUBLISHED = "published"
#: Defaults of a method file's section ``about``; ``config/README.md`` explains it.
ABOUT = {"key_views": 0, "sections": [], "passes_per_view": 3, "passes_per_image": 0}
#: Optional keys of a dataset's file.
OF_DATASET = {"plan": {}, "seeds": None}
#: Sections of a dataset that change runs. A preset's lie over all other layers, see :func:`defaults`.
OF_RUNS = ("run", "methods")
#: Optional keys of a source's file.
OF_SOURCE = {"check_md5": True}


class _Loader(yaml.SafeLoader):
    """YAML with ``1e-4`` and ``1e2`` as numbers (YAML 1.1 reads strings), and keys as they are written.

    ``1e2`` is a whole number, ``1.0e2`` is not. A repeated key is an error.
    """


_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|nan)")
_WHOLE = re.compile(r"([-+]?[0-9]+)[eE]\+?([0-9]{1,2})")

_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(f"^(?:{_NUMBER.pattern})$"), list("-+0123456789.")
)


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    whole = _WHOLE.fullmatch(node.value)
    return int(whole[1]) * 10 ** int(whole[2]) if whole else loader.construct_yaml_float(node)


def _mapping_without_repeats(loader: _Loader, node: yaml.MappingNode) -> dict:
    names = [key.value for key, _ in node.value]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise yaml.constructor.ConstructorError(None, None, f"key '{repeated}' stands twice", node.start_mark)
    loader.flatten_mapping(node)  # of "<<", whose keys may stand again
    return {str(key.value): loader.construct_object(value, deep=True) for key, value in node.value}


_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_repeats)


def parse_yaml(text: str) -> Any:
    """Parse YAML text as the configuration files are parsed.

    Raises:
        yaml.YAMLError: it is none, or holds what is no value, such as a 13th month or lists without end.
    """
    try:
        value = yaml.load(text, _Loader)
        json.dumps(value, default=str)  # a list that holds itself has no end
        return value
    except (ValueError, KeyError, OverflowError, RecursionError) as error:  # of the library's constructors
        raise yaml.YAMLError(f"{type(error).__name__}: {error}") from None


def as_parsed(value: object) -> object:
    """What another YAML reader gave, as :func:`parse_yaml` gives it: keys are text, ``2e-1`` is a number."""
    if isinstance(value, Mapping):
        return {str(key): as_parsed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_parsed(item) for item in value]
    return parse_yaml(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


@cache
def _read_yaml(path: Path) -> dict:
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not (CONFIG / "run.yaml").exists():
            raise InputError(
                f"{CONFIG}: no run.yaml there; start in a checkout, or set CLD_CONFIG to a checkout's config"
            ) from None
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml"))) or "none"
        raise InputError(
            f"{display_path(path)}: no such file; {path.parent.name} that exist: {known}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{display_path(path)}: cannot be read ({error}); fix the file") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{display_path(path)}: not valid YAML ({reason}); fix that line") from None
    if not isinstance(content, dict):
        raise InputError(f"{display_path(path)}: holds no keys; see config/README.md for what belongs there")
    return content


def read_yaml(path: str | Path) -> dict:
    """Read a configuration file into a fresh dictionary.

    Raises:
        InputError: the file is missing or is not a YAML mapping; names its siblings or the line.
    """
    return copy.deepcopy(_read_yaml(Path(path)))


def display_path(path: Path) -> str:
    """A path as a message shows it: relative to the checkout where it lies inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


#: JSON's whole numbers include 4.0; Python's do not, and what takes a number of images needs one of Python's.
#: Neither infinity nor what is not a number is within any range.
_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ).redefine(
        "number",
        lambda _, value: isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value),
    ),
)


#: What has been found valid: schemas with contents.
_VALID: set[tuple[str, str]] = set()


def validate(value: object, schema: str, where: str, fix: str = "") -> None:
    """Check ``value`` against ``cld/schemas/<schema>.schema.yaml``.

    Args:
        where: the file or place that it comes from, for messages.
        fix: for messages of a file that nobody writes by hand.

    Raises:
        InputError: names ``where``, the key and, for an unknown key, the nearest valid one.
    """
    # A plan resolves a thousand runs from the same few files.
    content = (schema, json.dumps(value, default=repr))
    if content in _VALID:
        return
    validator = _Validator(_read_yaml(SCHEMAS / f"{schema}.schema.yaml"))
    error = min(validator.iter_errors(value), key=lambda e: (len(e.path), str(e.path)), default=None)
    if error is None:
        _VALID.add(content)
        return
    key = ".".join(map(str, error.path))
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(name for name in error.instance if name not in known)
        raise unknown_key(f"{key}.{unknown}".lstrip("."), known, where)
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        raise InputError(f"{where}: key '{f'{key}.{missing}'.lstrip('.')}' is missing; {fix or 'add it'}")
    hint = error.schema.get("description")
    hint = fix or (hint and f"it is {hint}")
    raise InputError(f"{where}: {key or 'value'}: {shortened(error.message)}" + (f"; {hint}" if hint else ""))


def shortened(text: str) -> str:
    """A message on one line, without the middle of what is long."""
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:120]} … {text[-60:]}"


def unknown_key(key: str, known: Iterable[str], where: str) -> InputError:
    """The error for a key that does not exist, with the nearest one that does."""
    known = list(known)
    prefix, _, name = key.rpartition(".")
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    fix = (
        f"did you mean '{f'{prefix}.{near[0]}'.lstrip('.')}'?" if near else f"valid keys: {', '.join(known)}"
    )
    return InputError(f"{where}: unknown key '{key}'; {fix}")


def merge(base: Mapping, changes: Mapping, where: str, prefix: str = "") -> dict:
    """``base`` with ``changes`` laid over it, section by section.

    Raises:
        InputError: ``changes`` has a key that ``base`` has not, or a value where a section belongs.
    """
    if not isinstance(changes, Mapping):
        keys = ", ".join(base)
        raise InputError(f"{where}: '{prefix.rstrip('.')}' is a section ({keys}); set one of its keys")
    merged = dict(base)
    for name, value in changes.items():
        key = f"{prefix}{name}"
        if name not in base:
            raise unknown_key(key, base, where)
        if isinstance(base[name], Mapping) and base[name]:
            merged[name] = merge(base[name], value, where, f"{key}.")
        else:
            merged[name] = value
    return merged


def nested(dotted: Mapping[str, object]) -> dict:
    """``{"cld.weight": 1}`` as ``{"cld": {"weight": 1}}``; sections may also be nested in part already."""
    tree: dict = {}
    for key, value in flat(dotted).items():
        *sections, name = str(key).split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
            if not isinstance(node, dict):
                raise InputError(f"'{key}': {section} has a value of its own already; give one of the two")
        node[name] = value
    return tree


def flat(tree: Mapping, prefix: str = "") -> dict[str, object]:
    """``{"cld": {"weight": 1}}`` as ``{"cld.weight": 1}``: the inverse of :func:`nested`."""
    leaves = {}
    for key, value in tree.items():
        is_section = isinstance(value, Mapping) and value
        leaves |= flat(value, f"{prefix}{key}.") if is_section else {f"{prefix}{key}": value}
    return leaves


def parse_overrides(arguments: Iterable[str]) -> dict[str, object]:
    """``["cld.weight=0.5"]`` as ``{"cld.weight": 0.5}``; values are YAML."""
    overrides = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise InputError(f"'{argument}': an override is written key=value, for example cld.weight=0.5")
        try:
            overrides[key] = parse_yaml(value)
        except yaml.YAMLError:
            raise InputError(f"'{argument}': the value is no YAML; put what is text in quotes") from None
    return overrides


def format_overrides(overrides: Mapping[str, object]) -> list[str]:
    """``{"cld.weight": 0.5}`` as ``["cld.weight=0.5"]``: the inverse of :func:`parse_overrides`."""

    def written(value: object) -> str:
        if isinstance(value, str) and "\n" not in value and _parses_to_itself(value):
            return value
        return json.dumps(value)

    return [f"{key}={written(value)}" for key, value in overrides.items()]


def _parses_to_itself(text: str) -> bool:
    try:
        return parse_yaml(text) == text
    except yaml.YAMLError:
        return False


def _load(path: Path, schema: str) -> dict:
    """A configuration file, validated."""
    content = read_yaml(path)
    validate(content, schema, display_path(path))
    return content


def load_config() -> dict:
    """``config/config.yaml``, validated."""
    return _load(CONFIG / "config.yaml", "config")


def load_preset(preset: str) -> dict:
    """``config/presets/<preset>.yaml``, validated."""
    return _load(CONFIG / "presets" / f"{preset}.yaml", "preset")


def load_dataset(preset: str, dataset: str) -> dict:
    """A dataset's settings at a preset's scale: every key that ``config/README.md`` has of it."""
    return _scaled(preset, "datasets", dataset, OF_DATASET)


def seeds_of(preset: str, dataset: str) -> list[int]:
    """The seeds of a dataset's cells at a preset's scale, where their table names no others."""
    return load_dataset(preset, dataset)["seeds"] or load_preset(preset)["seeds"]


def load_source(preset: str, source: str) -> dict:
    """Where a dataset's upstream files come from, at a preset's scale; ``config/README.md`` has the keys."""
    return _scaled(preset, "sources", source, OF_SOURCE)


def is_generated(preset: str, dataset: str) -> bool:
    """Whether a dataset's upstream files are generated at a preset's scale: its numbers are then a demo's."""
    source = load_dataset(preset, dataset)["source"]
    return load_source(preset, source)["generate"] is not None


def is_left_out(preset: str, dataset: str) -> bool:
    """Whether a preset does without a dataset, since its files have to be got by hand (key ``by_hand``)."""
    if load_preset(preset)["by_hand"] or is_generated(preset, dataset):
        return False
    source = load_dataset(preset, dataset)["source"]
    return source != "folder" and load_source(preset, source)["by_hand"] is not None


def is_available(preset: str, dataset: str, paths: Mapping[str, str]) -> bool:
    """Whether a dataset's files can be made, fetched or asked for: one's own folder is, once it is named.

    Args:
        paths: ``data.paths`` of ``config/config.yaml``.
    """
    return "folder" in paths if dataset == "folder" else not is_left_out(preset, dataset)


def load_method(method: str) -> tuple[dict, dict]:
    """A method's file: what it says of the method (ABOUT's keys), and what runs change in ``run.yaml``."""
    path = CONFIG / "methods" / f"{method}.yaml"
    changes, where = read_yaml(path), display_path(path)
    about = merge(ABOUT, changes.pop("about", {}), where, "about.")
    validate(about, "method", where)
    return about, changes


def others_sections(method: str) -> set[str]:
    """The sections of a run's configuration that other methods read and ``method`` does not."""
    names = [path.stem for path in (CONFIG / "methods").glob("*.yaml")]
    sections = {name: {name, *load_method(name)[0]["sections"]} for name in names}
    return set().union(*sections.values()) - sections.get(method, set())


def _scaled(preset: str, kind: str, name: str, optional: Mapping) -> dict:
    """``config/<kind>/<name>.yaml``, validated, with what the preset changes in it."""
    content = _load(CONFIG / kind / f"{name}.yaml", kind.removesuffix("s"))
    scale = _of_preset(preset, kind, name, content)
    own = {key: value for key, value in scale.items() if key not in OF_RUNS}
    return merge({**optional, **content}, own, f"config/presets/{preset}.yaml", f"{kind}.{name}.")


def _of_preset(preset: str, kind: str, name: str, content: Mapping) -> dict:
    """What a preset changes of a dataset or source: what it says of ``folder`` holds for all own images."""
    scales = load_preset(preset)[kind]
    return scales.get(name, scales.get("folder", {}) if content.get("builder") == "image_folder" else {})


def section_of(protocol: str) -> str:
    """The section of ``evaluation.yaml`` of a table's protocol: ``detection`` of ``detection_voc07``."""
    section, _, variant = protocol.partition("_")
    return section if section in ("semisup", "detection") and variant else protocol


def load_protocol(preset: str, protocol: str) -> dict:
    """The settings of an evaluation protocol at a preset's scale, validated."""
    protocols, where = read_yaml(CONFIG / "evaluation.yaml"), f"config/presets/{preset}.yaml"
    validate(protocols, "evaluation", "config/evaluation.yaml")
    protocols = merge(protocols, load_preset(preset)["evaluation"], where, "evaluation.")
    validate(protocols, "evaluation", f"{where}: evaluation")
    if protocol not in protocols:
        raise unknown_key(protocol, protocols, "config/evaluation.yaml")
    return protocols[protocol]


def load_run(
    preset: str,
    dataset: str,
    method: str,
    seed: int = 0,
    overrides: Mapping[str, object] | None = None,
    where: str = "command line",
) -> dict:
    """The fully resolved configuration of a pre-training run.

    Args:
        overrides: dotted keys of ``config/run.yaml`` with their values, applied last; from ``where``.

    Raises:
        InputError: an unknown key, a value outside its range, or values that do not fit each other.
    """
    changes = nested(overrides or {})
    recipe = changes.get("recipe", read_yaml(CONFIG / "run.yaml").get("recipe"))
    run = merge(defaults(preset, dataset, method, recipe), changes, where)
    key_views = load_method(method)[0]["key_views"]
    run = {"dataset": dataset, "method": method, "seed": seed, **run}
    described = read_yaml(CONFIG / "run.yaml").keys() | run.keys() - {method}
    validate({key: value for key, value in run.items() if key in described}, "run", where)
    if run["views"] == "auto":
        run["views"] = 2 + (key_views if run["cld"]["weight"] else 0)
    require_fitting(run, key_views, where)
    return run


def require_run(run: Mapping, where: str, fix: str) -> None:
    """Check a run's configuration that was read from a file of results.

    Raises:
        InputError: it is none of this version; ``fix`` says what to do.
    """
    known = _read_yaml(SCHEMAS / "run.schema.yaml")["properties"]
    validate({key: value for key, value in run.items() if key in known}, "run", where, fix)


def require_fitting(run: Mapping, key_views: int, where: str) -> None:
    """Refuse values of a run's configuration that do not fit each other.

    Args:
        key_views: of the run's views, those for keys.

    Raises:
        InputError: names the keys and their values.
    """
    views, has_cld = run["views"], run["cld"]["weight"] > 0
    needed = key_views + (2 if has_cld else 1)
    if views < needed:
        method, fix = (f"{run['method']} with CLD", ", or cld.weight=0") if has_cld else (run["method"], "")
        raise InputError(
            f"{where}: views {views}: {method} takes {needed}, of which {key_views} for keys; set "
            f"views={needed} or more{fix}"
        )
    for key in ("crop_scale", "blur_sigma"):
        low, high = run["augment"][key]
        if low > high:
            raise InputError(f"{where}: augment.{key} [{low}, {high}]: give [least, most]")
    for key in ("blur_p", "solarize_p"):
        given = run["augment"][key]
        if isinstance(given, list) and len(given) != views:
            raise InputError(
                f"{where}: augment.{key} has {len(given)} probabilities for {views} views; give one number, "
                "or one for each view"
            )
    kind = run["head"]["kind"]
    if run["head"]["shared_hidden"] and has_cld and kind not in ("mlp", "norm_mlp"):
        raise InputError(
            f"{where}: head.shared_hidden: head.kind {kind} has no hidden layer that can be shared; set "
            "head.kind=mlp or norm_mlp, or head.shared_hidden=false"
        )
    batch_size, parts = run["optimiser"]["batch_size"], run["optimiser"]["parts"]
    if batch_size % parts or batch_size < 2 * parts:
        raise InputError(
            f"{where}: optimiser.batch_size {batch_size} cannot be cut into {parts} equal parts of "
            "two images or more; change optimiser.parts"
        )
    if has_cld and run["cld"]["n_groups"] > batch_size // parts:
        part = f", of which a part has {batch_size // parts}" if parts > 1 else ""
        raise InputError(
            f"{where}: cld.n_groups {run['cld']['n_groups']} exceeds optimiser.batch_size {batch_size}"
            f"{part}; a batch is split into groups: lower one or raise the other"
        )


def defaults(preset: str, dataset: str, method: str, recipe: str) -> dict:
    """The layers below the overrides: what a dataset and a method ask for at a preset's scale."""
    settings, where = load_dataset(preset, dataset), f"config/datasets/{dataset}.yaml"
    run, (_, of_method) = read_yaml(CONFIG / "run.yaml"), load_method(method)
    if method in of_method:
        run.setdefault(method, of_method[method])
    run = merge(run, of_method, f"config/methods/{method}.yaml")
    run = merge(run, settings["run"], where, "run.")
    run = merge(run, settings["methods"].get(method, {}), where, f"methods.{method}.")
    if recipe == PUBLISHED:
        published = settings["published"]
        if published is None:
            raise InputError(
                f"{where}: the authors' published code has no recipe for it; set recipe=supplement"
            )
        if method not in published["methods"]:
            raise InputError(
                f"{where}: the authors' published code has no recipe for {method} on it, only for "
                f"{', '.join(published['methods'])}; set recipe=supplement"
            )
        run = merge(run, published["run"], where, "published.run.")
        run = merge(run, published["methods"][method], where, f"published.methods.{method}.")
    scale, where = load_preset(preset), f"config/presets/{preset}.yaml"
    run = merge(run, scale["run"], where, "run.")
    run = merge(run, scale["methods"].get(method, {}), where, f"methods.{method}.")
    own = _of_preset(preset, "datasets", dataset, settings)  # stands over what is for all
    section = f"datasets.{dataset}."
    run = merge(run, own.get("run", {}), where, f"{section}run.")
    return merge(run, own.get("methods", {}).get(method, {}), where, f"{section}methods.{method}.")
