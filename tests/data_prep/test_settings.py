"""The sections ``build`` and ``generate``: configured ones fit their schemas, and mistakes are named."""

from pkgutil import resolve_name

import pytest

from cld.config import CONFIG, load_dataset, load_source
from cld.runtime.errors import InputError
from data_prep.common.settings import (
    BUILDERS,
    GENERATE_SCHEMAS,
    build_schema,
    build_settings,
    generator_settings,
    settings_from,
)

DATASETS = sorted(path.stem for path in (CONFIG / "datasets").glob("*.yaml"))
VOC = {"train": [[2007, "trainval"]], "test": [[2007, "test"]]}
COLOUR = [0.5, 0.5, 0.5]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("preset", ["demo", "paper"])
def test_configured_builds_have_settings_and_a_builder(preset, dataset):
    settings, content = vars(build_settings(preset, dataset)), load_dataset(preset, dataset)
    assert settings.items() >= content["build"].items()
    assert callable(resolve_name(BUILDERS[content["builder"]]))


@pytest.mark.parametrize("source", GENERATE_SCHEMAS)
def test_demo_has_settings_for_every_generator(source):
    assert vars(generator_settings("demo", source)).items() >= load_source("demo", source)["generate"].items()


@pytest.mark.parametrize("schema", sorted({*map(build_schema, BUILDERS), *GENERATE_SCHEMAS.values()}))
def test_other_keys_have_their_defaults(schema):
    required = VOC if schema == "build/voc" else {}
    one, other = (vars(settings_from(schema, required, "here")) for _ in range(2))
    assert one == other
    for value in one.values():
        if isinstance(value, list | dict):
            value.clear()  # is no other settings' too
    assert vars(settings_from(schema, required, "here")) == other


@pytest.mark.parametrize(
    ("schema", "changes", "message"),
    [
        ("build/cifar", {"variant": "cifar1000"}, "variant: 'cifar1000' is not one of"),
        ("build/cifar", {"imbalence": 10}, "unknown key 'imbalence'; did you mean 'imbalance'?"),
        ("build/cifar", {"imbalance": 0.5}, "imbalance: 0.5 is less than the minimum of 1"),
        ("build/cifar", {"imbalance_seed": True}, "imbalance_seed: True is not of type 'integer'"),
        ("build/cifar", {"expect": {"trian": 1}}, "unknown key 'expect.trian'; did you mean 'expect.train'?"),
        ("build/cifar", {"expect": {"test": 0}}, "expect.test: 0 is less than the minimum of 1"),
        ("build/cifar", {"mean": COLOUR}, "std: None is not of type 'array'; .* give both"),
        ("build/stl10", {"mean": None}, "std: .* is not of type 'null'; .* give both"),
        ("build/stl10", {"mean": [0, 1, 1]}, "mean.0: 0 is less than"),
        ("build/stl10", {"std": [0.5, 0.5]}, "std: .* is too short"),
        ("build/imagenet", {"synsets": "imagenet10"}, "synsets: 'imagenet10' is not one of"),
        ("build/imagenet", {"lists": True, "synsets": "imagenet100"}, "synsets: .* null where lists is true"),
        ("build/imagenet", {"quality": 101}, "quality: 101 is greater than the maximum of 100"),
        ("build/imagenet", {"max_bad_share": 2}, "max_bad_share: 2 is greater than the maximum of 1"),
        ("build/imagenet", {"short_side": 7}, "short_side: 7 is less than the minimum of 8"),
        ("build/voc", {"train": []}, r"train: \[\] .*\[\[2007, trainval\]\]"),
        ("build/voc", {"test": [["trainval", 2007]]}, "test.0.0: 'trainval' is not of type 'integer'"),
        ("build/voc", {"test": [[2007]]}, r"test.0: \[2007\] is too short; it is a year and a name"),
        ("build/image_folder", {"fit": "pad"}, "fit: 'pad' is not one of"),
        ("build/image_folder", {"test_share": 1}, "test_share: 1 is greater than the maximum of 0.9"),
        ("build/image_folder", {"kind": "jpeg", "mean": COLOUR, "std": COLOUR}, "mean: .* kind is jpeg"),
        ("build/kitchen", {"classes": []}, r"classes: \[\] .* names to keep"),
        ("build/kitchen", {"classes": ["red_bull", "red_bull"]}, "classes: .* each once"),
        ("build/kitchen", {"aliases": ["a"]}, r"aliases: \['a'\] is not of type 'object'"),
        ("build/kitchen", {"scenes": [1, 12]}, "scenes.1: 12 is greater than the maximum of 9"),
        ("build/kitchen", {"scenes": [1], "test_scenes": [5]}, r"test_scenes: .* of scenes \(\[1\]\)"),
        ("build/kitchen", {"scenes": [2], "test_scenes": [2]}, "test_scenes: .* not all of them"),
        ("build/kitchen", {"test_scenes": []}, r"test_scenes: \[\]"),
        ("build/kitchen", {"geometry": False, "min_iou": 0.5}, "min_iou: 0.5 .* 0 where geometry is false"),
        ("generate/cifar", {"train": 61}, "train: 61 is not a multiple of 5"),
        ("generate/cifar", {"tset": 10}, "unknown key 'tset'; did you mean 'test'?"),
        ("generate/stl10", {"seed": -1}, "seed: -1 is less than the minimum of 0"),
        ("generate/imagenet", {"listed_synsets": 25}, "listed_synsets: 25 is greater than the maximum of 24"),
        ("generate/imagenet", {"train_per_synset": 5}, "lt_val: 5 .* less than train_per_synset"),
        ("generate/imagenet", {"lt_most": 36}, r"lt_most: 36 .* train_per_synset - lt_val \(35\)"),
        ("generate/imagenet", {"lt_least": 31}, r"lt_least: 31 .* lt_most \(30\)"),
        ("generate/voc", {"test_2007": 1}, "test_2007: 1 is less than the minimum of 2"),
        ("generate/gmu_kitchens", {"n_scenes": 10}, "n_scenes: 10 is greater than the maximum of 9"),
    ],
)
def test_bad_settings_are_named_in_one_line(schema, changes, message):
    required = VOC if schema == "build/voc" else {}
    with pytest.raises(InputError, match=f"^here: {message}") as error:
        settings_from(schema, required | changes, "here")
    assert "\n" not in str(error.value)


def test_an_unknown_builder_and_a_missing_key_are_named(monkeypatch):
    with pytest.raises(InputError, match=r"^here: key 'train' is missing; add it$"):
        settings_from("build/voc", {}, "here")
    monkeypatch.setattr("data_prep.common.settings.load_dataset", lambda *_: {"builder": "cfar", "build": {}})
    with pytest.raises(InputError, match=r"datasets/x\.yaml: builder: 'cfar' is unknown; .* cifar, image_"):
        build_settings("demo", "x")


@pytest.mark.parametrize(
    ("preset", "source", "message"),
    [
        ("demo", "folder", "folder generator: no generator writes the format"),
        ("paper", "voc", "voc generator: the preset 'paper' takes real files; fetch"),
    ],
)
def test_what_is_not_generated_is_named(preset, source, message):
    with pytest.raises(InputError, match=message):
        generator_settings(preset, source)
