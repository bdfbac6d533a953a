"""Settings of the builders and generators: closed dataclasses made from configuration files."""

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from typing import TypeVar

from cld.config import load_dataset, load_source, unknown_key
from cld.runtime.errors import InputError

Settings = TypeVar("Settings")

#: By builder (a module of data_prep): where the settings of a dataset's section ``build`` are defined.
BUILDERS = {
    "cifar": ("data_prep.cifar.settings", "CifarSettings"),
    "image_folder": ("data_prep.image_folder.settings", "FolderSettings"),
    "imagenet": ("data_prep.imagenet.settings", "ImageNetSettings"),
    "kitchen_folder": ("data_prep.kitchen.settings", "KitchenSettings"),
    "kitchen_hc": ("data_prep.kitchen.settings", "KitchenSettings"),
    "stl10": ("data_prep.stl10.settings", "Stl10Settings"),
    "voc": ("data_prep.voc.settings", "VocSettings"),
}
#: By format of a source: where the settings of its section ``generate`` are defined.
GENERATORS = {
    "cifar10": ("data_prep.synthetic.pictures.settings", "CifarSettings"),
    "cifar100": ("data_prep.synthetic.pictures.settings", "CifarSettings"),
    "gmu_kitchens": ("data_prep.synthetic.kitchen.settings", "RenderSettings"),
    "imagenet": ("data_prep.synthetic.pictures.settings", "ImagenetSettings"),
    "stl10": ("data_prep.synthetic.pictures.settings", "Stl10Settings"),
    "voc": ("data_prep.synthetic.pictures.settings", "VocSettings"),
}


def build_settings(preset: str, dataset: str, overrides: Mapping[str, object] | None = None) -> object:
    """How a dataset's store is built at a preset's scale.

    Raises:
        InputError: a key or value that does not fit.
    """
    content = load_dataset(preset, dataset)
    return settings_from(
        _named(BUILDERS[content["builder"]]), content["build"] | (overrides or {}), "build settings"
    )


def generator_settings(preset: str, source: str, overrides: Mapping[str, object] | None = None) -> object:
    """How a source's files are generated at a preset's scale.

    Raises:
        InputError: the preset takes real files, the format has no generator, or a key or value does not fit.
    """
    content = load_source(preset, source)
    if content["format"] not in GENERATORS:
        raise InputError(
            f"{source} generator: no generator writes the format '{content['format']}'; those written: "
            f"{', '.join(GENERATORS)}"
        )
    if content["generate"] is None:
        raise InputError(
            f"{source} generator: the preset '{preset}' takes real files; fetch them "
            f"(python -m data_prep fetch), or set sources.{source}.generate in config/presets/{preset}.yaml"
        )
    kind = _named(GENERATORS[content["format"]])
    return settings_from(kind, content["generate"] | (overrides or {}), f"{source} generator")


def _named(place: tuple[str, str]) -> type:
    # imported when asked for: nothing of one family is loaded for another
    module, name = place
    return getattr(import_module(module), name)


def settings_from(kind: type[Settings], mapping: Mapping[str, object], where: str) -> Settings:
    """The dataclass ``kind`` from a configuration file's keys; ``where`` names them in messages.

    Raises:
        InputError: an unknown key, a missing one, or a value that does not fit.
    """
    fields = dataclasses.fields(kind)
    known = [field.name for field in fields]
    for key in mapping:
        if key not in known:
            raise unknown_key(str(key), known, where)
    for field in fields:
        no_default = field.default is field.default_factory is dataclasses.MISSING
        if no_default and field.name not in mapping:
            raise InputError(f"{where}: key '{field.name}' is missing; add it")
    return kind(**mapping)


def require_whole(where: str, settings: object, **limits: tuple[int, float]) -> None:
    """Check that fields are whole numbers between two limits, inclusive.

    Raises:
        InputError: names the field, its value and the limits.
    """
    for name, (low, high) in limits.items():
        value = getattr(settings, name)
        if type(value) is not int or not low <= value <= high:
            limit = f"{low} or more" if high == float("inf") else f"{low} to {high}"
            raise InputError(f"{where}: {name} is {value!r}; it must be a whole number, {limit}")


def require_share(where: str, settings: object, **limits: tuple[float, float]) -> None:
    """Check that fields are numbers between two limits, inclusive.

    Raises:
        InputError: names the field, its value and the limits.
    """
    for name, (low, high) in limits.items():
        value = getattr(settings, name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise InputError(f"{where}: {name} is {value!r}; it must be a number, {low} to {high}")


def require_flag(where: str, settings: object, *names: str) -> None:
    """Check that fields are true or false.

    Raises:
        InputError: names the field and its value.
    """
    for name in names:
        value = getattr(settings, name)
        if not isinstance(value, bool):
            raise InputError(f"{where}: {name} is {value!r}; it must be true or false")
