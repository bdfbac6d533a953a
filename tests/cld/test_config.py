"""Configuration: layers, closed keys, and what makes two runs the same."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cld import config
from cld.runtime.errors import InputError
from cld.training.run_id import overrides_of, run_id


@pytest.fixture
def own_config(tmp_path, monkeypatch):
    """A copy of the configuration; to be changed before it is read."""
    monkeypatch.setattr(config, "CONFIG", tmp_path / "config")
    return Path(shutil.copytree(config.ROOT / "config", tmp_path / "config"))


def run(**overrides):
    return config.load_run(
        "demo", "kitchen_hc", "npid", overrides={k.replace("__", "."): v for k, v in overrides.items()}
    )


@pytest.mark.parametrize(
    ("dataset", "method", "schedule", "milestones", "warmup"),
    [
        *(("imagenet100", method, "step", [120, 160], 0) for method in ("npid", "moco")),
        ("imagenet", "npid", "step", [120, 160], 0),
        ("imagenet_lt", "moco", "step", [120, 160], 0),
        ("stl10", "moco", "step", [120, 160], 0),
        ("imagenet", "moco_v2", "cosine", [], 0),
        ("cifar10", "moco", "cosine", [], 5),
        ("kitchen_hc", "npid", "cosine", [], 5),
    ],
)
def test_schedules_are_those_of_the_methods_papers_or_of_the_authors_runs(
    dataset, method, schedule, milestones, warmup
):
    optimiser = config.load_run("paper", dataset, method)["optimiser"]
    keys = ("schedule", "milestones", "warmup_epochs")
    assert [optimiser[key] for key in keys] == [schedule, milestones, warmup]


def test_layers_apply_in_order():
    paper = config.load_run("paper", "kitchen_hc", "npid")
    assert paper["optimiser"]["epochs"] == 80, "the dataset's file changes config/run.yaml"
    assert paper["temperature"] == 0.1, "so does the method's"
    assert run()["optimiser"]["epochs"] != 80, "the preset changes the dataset's"
    assert run(optimiser__epochs=3)["optimiser"]["epochs"] == 3, "and an override comes last"
    assert run(optimiser__epochs=3)["optimiser"]["lr"] == run()["optimiser"]["lr"], "leaving other keys"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cld.n_group", 3, "unknown key 'cld.n_group'; did you mean 'cld.n_groups'?"),
        ("cdl.weight", 1, "unknown key 'cdl'; did you mean 'cld'?"),
        ("optimiser", 3, "'optimiser' is a section"),
        ("cld.weight", -1, "cld.weight: -1 is less than the minimum of 0; it is lambda, 0 or more"),
        ("cld.clustering", "dbscan", "it is kmeans or spectral"),
        ("optimiser.lr", "fast", "optimiser.lr: 'fast' is not of type 'number'; it is above 0"),
        ("cld.n_groups", 257, "cld.n_groups 257 exceeds optimiser.batch_size"),
        ("backbone.blocks", [1, 2], "blocks per stage, four numbers, or null"),
        ("backbone.stem", "tiny", "it is small, small_stride2 or imagenet"),
        ("head.kind", "norm", "it is linear, norm_linear, mlp, norm_mlp, mlp_bn or none"),
        ("image_size", 7, "it is a side in pixels, 8 or more, or auto"),
        ("image_size", 32.5, "it is a side in pixels, 8 or more, or auto"),
        ("recipe", "publisht", "it is supplement or published"),
        ("augment.crop_scale", [0.9, 0.2], "augment.crop_scale [0.9, 0.2]: give [least, most]"),
        ("augment.jitter", [0.4, 0.4, 0.4, 0.6], "augment.jitter.3: 0.6 is greater than the maximum of 0.5"),
        ("augment.blur_p", [1.0, 0.1, 0.5], "augment.blur_p has 3 probabilities for 2 views; give one"),
        (
            "head.shared_hidden",
            True,
            "head.kind linear has no hidden layer that can be shared; set head.kind=mlp",
        ),
        ("optimiser.cosine_at", "epoch", "it is step, epoch_start or epoch_end"),
        ("augment.erasing_p", 1.5, "it is a probability, between 0 and 1"),
        ("train_on", ["trian"], "train_on.0: 'trian' is not one of"),
        ("cld.weight", float("nan"), "cld.weight: nan is not of type 'number'; it is lambda"),
        ("cld.weight", float("inf"), "cld.weight: inf is not of type 'number'; it is lambda"),
        ("queue.size", 2000.5, "queue.size: 2000.5 is not of type 'integer'"),
        ("queue.size", 2000.0, "queue.size: 2000.0 is not of type 'integer'"),
        ("optimiser.parts", 3, "optimiser.batch_size 128 cannot be cut into 3 equal parts"),
        ("optimiser.parts", 128, "optimiser.batch_size 128 cannot be cut into 128 equal parts of two images"),
        ("optimiser.parts", 64, "exceeds optimiser.batch_size 128, of which a part has 2"),
    ],
)
def test_a_bad_value_is_one_line_that_names_it_and_the_fix(key, value, message):
    with pytest.raises(InputError) as error:
        config.load_run("demo", "kitchen_hc", "npid", overrides={key: value}, where="table_x.yaml: cell a/b")
    assert message in str(error.value)
    assert str(error.value).startswith("table_x.yaml: cell a/b: ")
    assert "\n" not in str(error.value)


def test_a_file_that_does_not_exist_names_its_siblings():
    with pytest.raises(
        InputError, match=r"config/presets/demi\.yaml: no such file; presets that exist: demo, paper"
    ):
        config.load_preset("demi")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "not valid YAML"), ("- 1", "holds no keys"), ("a: 1\na: 2", "key 'a' stands twice")],
)
def test_damaged_yaml_is_one_line(tmp_path, text, message):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        config.read_yaml(path)
    assert "\n" not in str(error.value)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-12, max_value=1e12))
def test_numbers_on_the_command_line_are_numbers(number):
    for written in (repr(number), f"{number:e}"):
        (value,) = config.parse_overrides([f"optimiser.lr={written}"]).values()
        assert value == float(written)


def test_whole_numbers_may_have_exponents():
    overrides = config.parse_overrides(["queue.size=2e3", "optimiser.batch_size=1e2", "optimiser.lr=2e-1"])
    assert overrides == {"queue.size": 2000, "optimiser.batch_size": 100, "optimiser.lr": 0.2}
    assert {*map(type, overrides.values())} == {int, float}


def test_what_another_reader_gave_is_read_as_here():
    text = "checkpoints: {2021: {set: {temperature: 2e-1, queue.size: 4e3}, file: a.pth}, 1e2: {file: 7}}"
    theirs = yaml.safe_load(text)
    assert config.as_parsed(theirs) == config.parse_yaml(text)


@pytest.mark.parametrize("argument", ["cld.weight=[", "cld.weight={a: ", "cld=5"])
def test_a_broken_override_is_one_line(argument):
    with pytest.raises(InputError, match="cld") as error:
        config.load_run("demo", "cifar10", "npid", 0, config.parse_overrides([argument]))
    assert "\n" not in str(error.value)


def test_sections_and_dotted_keys_mean_the_same():
    for changes in (
        {"optimiser": {"lr": 0.1}, "optimiser.epochs": 7},
        {"optimiser.epochs": 7, "optimiser": {"lr": 0.1}},
        {"optimiser.epochs": 7, "optimiser.lr": 0.1},
    ):
        optimiser = config.load_run("demo", "cifar10", "npid", 0, changes)["optimiser"]
        assert (optimiser["epochs"], optimiser["lr"]) == (7, 0.1)
    with pytest.raises(InputError, match=r"'cld\.weight': cld has a value of its own"):
        config.load_run("demo", "cifar10", "npid", 0, {"cld": 5, "cld.weight": 1})


def test_a_dataset_of_ones_own_may_say_what_its_own_comment_proposes(own_config):
    """Whatever the preset says of it; a second folder of images has the first one's settings."""
    folder = own_config / "datasets/folder.yaml"
    text = folder.read_text().replace("run: {}", "run: {cld: {n_groups: 32}}")
    folder.write_text(text)
    (own_config / "datasets/photos.yaml").write_text(text)
    assert config.load_run("paper", "folder", "moco")["cld"]["n_groups"] == 32
    first, second = (config.load_run("demo", name, "moco") for name in ("folder", "photos"))
    assert first == {**second, "dataset": "folder"}
    assert first["queue"]["size"] == 256  # the demo's, of small folders


def test_runs_are_the_same_when_their_results_must_be():
    same = run_id(run())
    assert run_id(run(checkpoint_every_s=1)) == same
    assert run_id(run(workers=7)) == same
    assert run_id(run(speed__channels_last=False, watch__knn_every=1)) == same
    assert run_id(run(queue__size=7)) == same, "NPID has no queue"
    assert run_id(run(bank__momentum=0.1)) != same
    baseline = run_id(run(cld__weight=0))
    assert run_id(run(cld__weight=0, cld__n_groups=10, cld__clustering="spectral")) == baseline
    assert baseline != same
    for method, key in (("moco_v2", "bank.momentum"), ("moco", "byol.momentum")):  # which they do not read
        plain, changed = (config.load_run("demo", "cifar10", method, 0, o) for o in ({}, {key: 1}))
        assert run_id(plain) == run_id(changed)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", 0.3),
        ("cld.n_groups", 7),
        ("image_size", 40),
        ("cld.weight", 1),
        ("optimiser.epochs", 1),
        ("optimiser.parts", 2),
        ("precision", "fp16"),
        ("head.kind", "mlp"),
        ("augment.erasing_p", 0.5),
        ("optimiser.cosine_from", "start"),
        ("optimiser.cosine_at", "epoch_end"),
    ],
)
def test_any_other_setting_makes_another_run(key, value):
    changed = config.load_run("demo", "kitchen_hc", "npid", overrides={key: value})
    assert run_id(changed) != run_id(run())


def test_seeds_are_different_runs_and_ids_read_well():
    first, second = (run_id(config.load_run("paper", "kitchen_hc", "npid", seed)) for seed in (0, 1))
    assert first != second
    assert first.startswith("kitchen_hc-npid-cld-kmeans120-s0-")


# Characters up to U+D7FF: JSON escapes those beyond U+FFFF in two halves, which YAML does not join.
TEXT = st.text(st.characters(max_codepoint=0xD7FF))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(VALUES)
def test_overrides_survive_the_command_line(value):
    written = config.format_overrides({"a.b": value})
    assert config.parse_overrides(written) == {"a.b": value}


@pytest.mark.parametrize(
    ("method", "overrides"),
    [
        ("npid", {}),
        ("npid", {"cld.weight": 0}),
        ("moco", {"cld.weight": 0}),
        ("npid", {"backbone.blocks": [1, 1, 1, 2], "cld.clustering": "spectral", "checkpoint_every_s": 5}),
    ],
)
@pytest.mark.parametrize("preset", ["demo", "paper"])
def test_a_run_is_made_again_from_its_overrides(preset, method, overrides):
    run = config.load_run(preset, "kitchen_hc", method, 1, overrides)
    again = config.load_run(preset, "kitchen_hc", method, 1, overrides_of(run, preset))
    assert run_id(again) == run_id(run)
    assert again["checkpoint_every_s"] == run["checkpoint_every_s"]


def test_cells_that_share_a_run_ask_for_it_alike():
    runs = (run(cld__weight=0, cld__n_groups=n, queue__size=n) for n in (8, 16))
    first, second = (overrides_of(each, "demo") for each in runs)
    assert first == second


def test_methods_with_keys_see_three_views_with_cld():
    for method in ("moco", "moco_v2", "infomin"):
        assert config.load_run("paper", "imagenet", method)["views"] == 3
        assert config.load_run("paper", "imagenet", method, 0, {"cld.weight": 0})["views"] == 2
    assert config.load_run("paper", "imagenet", "byol")["views"] == 2


@pytest.mark.parametrize(
    ("method", "views", "weight", "message"),
    [
        ("npid", 1, 1, "npid with CLD takes 2, of which 0 for keys; set views=2 or more, or cld.weight=0"),
        ("moco", 2, 1, "moco with CLD takes 3, of which 1 for keys; set views=3 or more, or cld.weight=0"),
        ("infomin", 1, 0, "views 1: infomin takes 2, of which 1 for keys; set views=2 or more"),
    ],
)
def test_too_few_views_is_an_error_that_says_how_many(method, views, weight, message):
    with pytest.raises(InputError, match=message):
        config.load_run("demo", "kitchen_hc", method, 0, {"views": views, "cld.weight": weight})


def test_the_published_recipe_lies_over_the_supplements():
    ours = config.load_run("paper", "cifar100", "moco")
    theirs = config.load_run("paper", "cifar100", "moco", 0, {"recipe": "published"})
    assert (ours["optimiser"]["batch_size"], ours["optimiser"]["weight_decay"]) == (256, 1e-4)
    assert (theirs["optimiser"]["batch_size"], theirs["optimiser"]["weight_decay"]) == (128, 7e-4)
    assert theirs["cld"]["n_groups"] == 100
    assert run_id(ours) != run_id(theirs)
    changed = config.load_run("paper", "cifar100", "moco", 0, {"recipe": "published", "optimiser.lr": 0.5})
    assert changed["optimiser"]["lr"] == 0.5
    again = config.load_run("paper", "cifar100", "moco", 0, overrides_of(changed, "paper"))
    assert again == changed


#: What the authors' scripts set: scripts/cifar and scripts/imagenet of their repository.
SCRIPTS = config.parse_yaml("""
cifar10 npid:
  optimiser: {lr: 0.06, weight_decay: 7e-4}
  cld: {n_groups: 128, weight: 1.0}
cifar10 moco:
  optimiser: {lr: 0.06, weight_decay: 8e-4}
  head: {kind: norm_linear}
  cld: {n_groups: 200, weight: 0.8}
  augment: {jitter: [0.4, 0.4, 0.4, 0.1], jitter_p: 0.8, blur_p: 0.5, erasing_p: 1.0}
cifar100 moco:
  optimiser: {lr: 0.03, batch_size: 128, weight_decay: 7e-4}
  head: {kind: norm_linear}
  cld: {n_groups: 100, weight: 0.25}
  augment: {jitter: [0.4, 0.4, 0.4, 0.4], blur_p: 0.0, erasing_p: 0.0}
imagenet moco_v2:
  temperature: 0.2
  optimiser: {lr: 0.2, batch_size: 512, cosine_at: epoch_start, warmup_epochs: 0}
  head: {kind: norm_mlp, shared_hidden: true}
  cld: {n_groups: 120, temperature: 0.4, weight: 0.25}
imagenet infomin:
  temperature: 0.15
  optimiser: {lr: 0.2, batch_size: 512, epochs: 100, cosine_from: start, cosine_at: epoch_end}
  head: {kind: norm_mlp, shared_hidden: true}
  cld: {n_groups: 120, temperature: 0.8, weight: 0.25}
""")


@pytest.mark.parametrize("which", SCRIPTS)
def test_the_published_recipe_is_the_authors_scripts(which):
    scripts = config.flat(SCRIPTS[which])
    run = config.flat(config.load_run("paper", *which.split(), 0, {"recipe": "published"}))
    assert {key: run[key] for key in scripts} == scripts


def test_a_hidden_layer_that_no_group_head_shares_makes_no_other_run():
    alone, shared = (
        config.load_run("paper", "imagenet", "moco_v2", 0, {"cld.weight": 0, "head.shared_hidden": value})
        for value in (False, True)
    )
    assert run_id(alone) == run_id(shared)
    with_cld = [
        run_id(config.load_run("paper", "imagenet", "moco_v2", 0, {"head.shared_hidden": value}))
        for value in (False, True)
    ]
    assert len(set(with_cld)) == 2


def test_a_recipe_that_the_authors_do_not_have_is_refused():
    with pytest.raises(
        InputError, match=r"cifar10\.yaml: .* no recipe for byol on it, only for npid, moco; set"
    ):
        config.load_run("paper", "cifar10", "byol", 0, {"recipe": "published"})
    with pytest.raises(
        InputError, match=r"config/datasets/stl10\.yaml: .* no recipe for it; set recipe=supplement"
    ):
        config.load_run("paper", "stl10", "npid", 0, {"recipe": "published"})


def test_what_a_preset_says_of_one_dataset_stands_over_what_it_says_of_all():
    small, imagenet = (config.load_run("demo", name, "npid") for name in ("cifar10", "imagenet100"))
    assert (small["image_size"], imagenet["image_size"]) == (24, 40)
    assert imagenet["backbone"] == small["backbone"]


def test_a_datasets_seeds_in_a_preset_are_checked():
    preset = config.load_preset("paper")
    preset["datasets"]["stl10"] = {"seeds": 3}
    with pytest.raises(InputError, match=r"paper\.yaml: datasets\.stl10\.seeds: 3 is not of type 'array'"):
        config.validate(preset, "preset", "config/presets/paper.yaml")


@pytest.mark.parametrize("how", ["variable", "folder"])
def test_an_installed_package_takes_the_configuration_that_is_named(tmp_path, how):
    """Run from another folder: $CLD_CONFIG, or ./config, stands over what lies beside the package."""
    folder = tmp_path / ("config" if how == "folder" else "theirs")
    shutil.copytree(config.CONFIG, folder)
    (folder / "methods/npid.yaml").write_text("about: {sections: [bank]}\ntemperature: 0.123\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(config.__file__).parents[1])}
    if how == "variable":
        environment["CLD_CONFIG"] = str(folder)
    command = [sys.executable, "-m", "cld", "config", "--preset", "demo", "--dataset", "kitchen_hc"]
    done = subprocess.run(
        [*command, "--method", "npid"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "temperature: 0.123\n" in done.stdout, done.stderr


def test_a_folder_without_configuration_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CONFIG", tmp_path)
    with pytest.raises(InputError, match=r"no run\.yaml there; start in a checkout, or set CLD_CONFIG"):
        config.load_preset("demo")


@pytest.mark.parametrize("seed", [1.0, 10**20, -1])
def test_a_seed_that_none_can_take_is_refused(seed):
    with pytest.raises(InputError, match=r"here: seed: "):
        config.load_run("demo", "cifar10", "npid", seed, where="here")


@pytest.mark.parametrize("key", ["gpu_model", "gres"])
def test_a_gpu_whose_name_the_slurm_plugin_does_not_take_is_refused_at_the_start(key):
    content = config.load_config()
    for text in ("'a100'", "'gpu:a100:1'", "'a100' if attempt - 1 else 'h100'", 1):
        config.validate({**content, "resources": {"pretrain": {key: text}}}, "config", "here")
    wrong = {**content, "resources": {"pretrain": {key: "'gpu:nvidia_a100-sxm4-80gb:2'"}}}
    with pytest.raises(
        InputError, match=rf"here: resources\.pretrain\.{key}: .*by constraint \(docs/cluster\.md\)"
    ):
        config.validate(wrong, "config", "here")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("knn: {k: 20}", "knn: {k: twenty}", "evaluation: knn.k: 'twenty' is not of type 'integer'"),
        ("knn: {k: 20}", "linear: {l2: -1}", "evaluation: linear.l2: -1 is less than"),
        ("knn: {k: 20}", "nmi: {features: pixels}", "evaluation: nmi.features: 'pixels' is not one of"),
        ("iterations: 140", "iterations: 1.5", "detection.schedule.voc07.iterations: 1.5 is not of type"),
        ("lr: [0.01, 0.1]", "lr: [0.01, -0.1]", "semisup.lr.1: -0.1 is less than"),
    ],
)
def test_settings_of_a_protocol_are_checked_before_a_training(own_config, old, new, message):
    text = (own_config / "presets/demo.yaml").read_text()
    assert old in text
    (own_config / "presets/mine.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=re.escape(message)):
        config.load_protocol("mine", "chance")


def test_every_key_of_a_protocol_has_a_schema():
    schema = config.read_yaml(config.SCHEMAS / "evaluation.schema.yaml")["properties"]
    for name, settings in config.read_yaml(config.CONFIG / "evaluation.yaml").items():
        assert settings.keys() <= schema[name]["properties"].keys()
