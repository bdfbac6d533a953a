"""Settings of the builders and generators: sections of configuration files, checked against their schemas.

A schema in ``cld/schemas/build`` or ``cld/schemas/generate`` explains each key and gives its range and
default.
"""

import copy
from collections.abc import Mapping
from types import SimpleNamespace

from cld.config import SCHEMAS, load_dataset, load_source, read_yaml, validate
from cld.runtime.errors import InputError

#: What builds a dataset's store, by the builder that its file names: a function (root, settings, target,
#: workers). The schema of its settings is named after its folder, see :func:`build_schema`.
BUILDERS = {
    "cifar": "data_prep.cifar.build:build_cifar",
    "image_folder": "data_prep.image_folder.build:build_image_folder",
    "imagenet": "data_prep.imagenet.build:build_imagenet",
    "kitchen_folder": "data_prep.kitchen.build_from_folder:build_from_folder",
    "kitchen_hc": "data_prep.kitchen.build_from_scenes:build_from_scenes",
    "stl10": "data_prep.stl10.build:build_stl10",
    "voc": "data_prep.voc.build:build_voc",
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

Settings = SimpleNamespace
"""The settings of one build or generator: an attribute for each key of its schema, never changed."""


def build_schema(builder: str) -> str:
    """The schema of a builder's settings: ``build/cifar`` of a builder in ``data_prep/cifar``."""
    return f"build/{BUILDERS[builder].split('.')[1]}"


def build_settings(preset: str, dataset: str, overrides: Mapping[str, object] | None = None) -> Settings:
    """How a dataset's store is built at a preset's scale.

    Raises:
        InputError: no such builder, or a key or value that does not fit.
    """
    content = load_dataset(preset, dataset)
    if content["builder"] not in BUILDERS:
        raise InputError(
            f"config/datasets/{dataset}.yaml: builder: '{content['builder']}' is unknown; the builders are "
            f"{', '.join(BUILDERS)}"
        )
    schema = build_schema(content["builder"])
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
    """Settings from a configuration file's keys, the others by default of the schema.

    Raises:
        InputError: an unknown key, a missing one, or a value that does not fit.
    """
    keys = read_yaml(SCHEMAS / f"{schema}.schema.yaml")["properties"]
    defaults = {name: key["default"] for name, key in keys.items() if "default" in key}
    settings = defaults | copy.deepcopy(dict(values))
    validate(settings, schema, where)
    checked = Settings(**{name: settings[name] for name in keys if name in settings})
    wrong = _CROSS_CHECKS[schema](checked) if schema in _CROSS_CHECKS else None
    if wrong:
        key, rule = wrong
        raise InputError(f"{where}: {key}: {getattr(checked, key)!r} does not fit; it must be {rule}")
    return checked


# What a schema cannot say: each function returns the first key at fault with what it must be.


def _kitchen(settings: Settings) -> tuple[str, str] | None:
    if not set(settings.test_scenes) < set(settings.scenes):
        return "test_scenes", f"some of scenes ({settings.scenes}), and not all of them"
    return None


def _rendered_kitchens(settings: Settings) -> tuple[str, str] | None:
    shown = settings.frames_per_scene - settings.empty_per_scene
    if shown < 0:
        return "empty_per_scene", f"at most frames_per_scene ({settings.frames_per_scene})"
    if settings.unannotated_per_scene > shown:
        return "unannotated_per_scene", f"at most frames_per_scene - empty_per_scene ({shown})"
    return None


def _imagenet_pictures(settings: Settings) -> tuple[str, str] | None:
    spare = settings.train_per_synset - settings.lt_val
    if spare < 1:
        return "lt_val", f"less than train_per_synset ({settings.train_per_synset})"
    if settings.lt_most > spare:
        return "lt_most", f"at most train_per_synset - lt_val ({spare})"
    if settings.lt_least > settings.lt_most:
        return "lt_least", f"at most lt_most ({settings.lt_most})"
    return None


_CROSS_CHECKS = {
    "build/kitchen": _kitchen,
    "generate/gmu_kitchens": _rendered_kitchens,
    "generate/imagenet": _imagenet_pictures,
}
