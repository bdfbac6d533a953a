"""Settings of the builders and generators: sections of configuration files, checked against their schemas.

A schema in ``cld/schemas/build`` or ``cld/schemas/generate`` explains each key and gives its range and
default.
"""

import copy
from collections.abc import Mapping
from types import SimpleNamespace

from cld.config import SCHEMAS, load_dataset, load_source, read_yaml, validate
from cld.runtime.errors import InputError

#: The schema of a dataset's section ``build``, by its builder.
BUILD_SCHEMAS = {
    "cifar": "build/cifar",
    "image_folder": "build/image_folder",
    "imagenet": "build/imagenet",
    "kitchen_folder": "build/kitchen",
    "kitchen_hc": "build/kitchen",
    "stl10": "build/stl10",
    "voc": "build/voc",
}
#: The schema of a source's section ``generate``, by its format.
GENERATE_SCHEMAS = {
    "cifar10": "generate/cifar",
    "cifar100": "generate/cifar",
    "gmu_kitchens": "generate/gmu_kitchens",
    "imagenet": "generate/imagenet",
    "stl10": "generate/stl10",
    "voc": "generate/voc",
}


class Settings(SimpleNamespace):
    """The settings of one build or generator: an attribute for each key of its schema, never changed."""


def build_settings(preset: str, dataset: str, overrides: Mapping[str, object] | None = None) -> Settings:
    """How a dataset's store is built at a preset's scale.

    Raises:
        InputError: a key or value that does not fit.
    """
    content = load_dataset(preset, dataset)
    schema = BUILD_SCHEMAS[content["builder"]]
    return settings_from(schema, content["build"] | (overrides or {}), f"build settings of {dataset}")


def generator_settings(preset: str, source: str, overrides: Mapping[str, object] | None = None) -> Settings:
    """How a source's files are generated at a preset's scale.

    Raises:
        InputError: the preset takes real files, the format has no generator, or a key or value does not fit.
    """
    content = load_source(preset, source)
    where = f"{source} generator"
    if content["format"] not in GENERATE_SCHEMAS:
        raise InputError(
            f"{where}: no generator writes the format '{content['format']}'; those written: "
            f"{', '.join(GENERATE_SCHEMAS)}"
        )
    if content["generate"] is None:
        raise InputError(
            f"{where}: the preset '{preset}' takes real files; fetch them (python -m data_prep fetch), or "
            f"set sources.{source}.generate in config/presets/{preset}.yaml"
        )
    return settings_from(GENERATE_SCHEMAS[content["format"]], content["generate"] | (overrides or {}), where)


def settings_from(schema: str, values: Mapping[str, object], where: str) -> Settings:
    """Settings from a configuration file's keys, the others by default.

    Args:
        schema: ``cld/schemas/<schema>.schema.yaml``.
        values: by key.
        where: the section, for messages.

    Raises:
        InputError: an unknown key, a missing one, or a value that does not fit.
    """
    keys = read_yaml(SCHEMAS / f"{schema}.schema.yaml")["properties"]
    defaults = {name: key["default"] for name, key in keys.items() if "default" in key}
    settings = defaults | copy.deepcopy(dict(values))
    validate(settings, schema, where)
    settings = Settings(**{name: settings[name] for name in keys if name in settings})
    for key, rule in _CROSS_CHECKS.get(schema, _no_checks)(settings).items():
        raise InputError(f"{where}: {key}: {getattr(settings, key)!r} does not fit; it must be {rule}")
    return settings


# What a schema cannot say: each function returns the keys at fault with what they must be.


def _kitchen(settings: Settings) -> dict[str, str]:
    tested, read = set(settings.test_scenes), set(settings.scenes)
    fits = tested < read
    return {} if fits else {"test_scenes": f"some of scenes ({settings.scenes}), and not all of them"}


def _rendered_kitchens(settings: Settings) -> dict[str, str]:
    shown = settings.frames_per_scene - settings.empty_per_scene
    if shown < 0:
        return {"empty_per_scene": f"at most frames_per_scene ({settings.frames_per_scene})"}
    if settings.unannotated_per_scene > shown:
        return {"unannotated_per_scene": f"at most frames_per_scene - empty_per_scene ({shown})"}
    return {}


def _imagenet_pictures(settings: Settings) -> dict[str, str]:
    spare = settings.train_per_synset - settings.lt_val
    if spare < 1:
        return {"lt_val": f"less than train_per_synset ({settings.train_per_synset})"}
    if settings.lt_most > spare:
        return {"lt_most": f"at most train_per_synset - lt_val ({spare})"}
    if settings.lt_least > settings.lt_most:
        return {"lt_least": f"at most lt_most ({settings.lt_most})"}
    return {}


def _no_checks(settings: Settings) -> dict[str, str]:
    return {}


_CROSS_CHECKS = {
    "build/kitchen": _kitchen,
    "generate/gmu_kitchens": _rendered_kitchens,
    "generate/imagenet": _imagenet_pictures,
}
