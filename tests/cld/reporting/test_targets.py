"""What a workflow's targets are made of: inputs and arguments, from names."""

import shlex
import shutil

import pytest

from cld import config
from cld.config import load_config, load_preset, load_protocol, load_run, parse_overrides
from cld.reporting import targets
from cld.reporting.tables import spec
from cld.reporting.targets import Targets
from cld.runtime.errors import InputError
from cld.training.run_id import run_id

CHECKPOINTS = {"theirs": {"file": "a.pth", "dataset": "cifar10", "set": {"temperature": 0.2}}}


@pytest.fixture
def made() -> Targets:
    content = load_config()
    data = {"root": "data", "mirror": None, "paths": {"imagenet": "/datasets/ILSVRC2012"}}
    return Targets({**content, "results": "out", "data": data, "checkpoints": CHECKPOINTS})


def test_generated_files_lie_under_the_results_and_real_ones_where_the_user_says(made):
    assert made.dataset_upstream("demo", "cifar10_lt") == "out/demo/data/cifar10"
    assert made.dataset_files("demo", "cifar10_lt") == "out/demo/data/cifar10"
    assert made.dataset_upstream("paper", "cifar10_lt") == "data/cifar10"
    assert made.dataset_files("paper", "cifar10_lt") == "out/paper/data/cifar10.json"
    assert made.dataset_upstream("paper", "imagenet100") == "/datasets/ILSVRC2012"


@pytest.mark.parametrize("preset", ["demo", "paper"])
def test_the_arguments_of_every_run_resolve_to_that_run(made, preset):
    for name in targets.runs(preset):
        words = shlex.split(made.run_arguments(preset, name))
        given = dict(zip(words[:6:2], words[1:6:2], strict=True))
        run = load_run(
            preset, given["--dataset"], given["--method"], int(given["--seed"]), parse_overrides(words[6:])
        )
        assert run_id(run) == name


def test_a_run_and_an_imported_one_have_the_store_of_their_dataset(made):
    run = next(name for name in targets.runs("demo") if name.startswith("kitchen_hc"))
    assert made.store("demo", run) == "out/demo/stores/kitchen_hc.h5"
    assert made.store("demo", "imported-theirs") == "out/demo/stores/cifar10.h5"
    assert made.semisup_subset("demo", "imported-theirs", "1") == "out/demo/stores/cifar10.semisup_1-s0.json"
    assert made.import_arguments("theirs") == "--dataset cifar10 --layout auto temperature=0.2"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda made: made.store("demo", "cifar10-npid-s0-00000000"),
            "no table asks for the run cifar10-npid",
        ),
        (lambda made: made.imported("thiers"), "did you mean 'checkpoints.theirs'?"),
        (
            lambda made: made.data["paths"].update(imagnet="/data") or made.check("demo"),
            "'data.paths.imagenet'",
        ),
    ],
)
def test_what_is_not_there_is_named(made, call, message):
    with pytest.raises(InputError, match=message):
        call(made)


def test_the_grid_of_trials_is_that_of_the_protocol(made):
    trials = made.semisup_trials("demo", "r", "10")
    grid = load_protocol("demo", "semisup")
    assert len(trials["reports"]) == len(grid["lr"]) * len(grid["head_multiplier"])
    assert trials["networks"] == [path.replace(".json", ".pt") for path in trials["reports"]]
    assert trials["reports"][0].startswith("out/demo/scores/r/semisup_10/lr")


def test_own_images_count_once_their_folder_is_named(made):
    assert "folder" not in made.available_datasets("demo") and "table_folder" not in made.available_tables(
        "demo"
    )
    made.data["paths"]["folder"] = "photos"
    assert "folder" in made.available_datasets("demo") and "table_folder" in made.available_tables("demo")


def test_objects_in_scenes_have_no_raw_pixel_score(made):
    assert made.pixel_knn("demo", "voc07") == []
    assert made.pixel_knn("demo", "stl10") == ["out/demo/scores/stl10/pixel_knn.json"]


@pytest.mark.parametrize("preset", ["demo", "paper"])
def test_the_supplements_tables_and_figures_are_what_it_prints(made, preset):
    assert made.supplement_tables(preset) == ["table_a1", "table_a2", "table_a3", "table_a4"]
    assert made.supplement_figures(preset) == ["fig_a1", "fig_a2", "fig_a3"]
    assert {"table_methods", "table_negatives"} < set(made.available_tables(preset))
    assert "fig_choice" in made.available_figures(preset)
    title = load_preset(preset)["title"]
    assert made.first_lines(preset)[0] == f"preset {preset}: {title}; results in out/{preset}"


def test_the_small_preset_leaves_out_what_has_to_be_got_by_hand_and_says_so(made):
    assert made.supplement_tables("small") == ["table_a2", "table_a4"]
    assert made.supplement_figures("small") == ["fig_a2"]
    assert {"cifar10", "cifar100"} < set(made.available_datasets("small"))
    assert not {"kitchen_hc", "imagenet100"} & set(made.available_datasets("small"))
    _, left_out = made.first_lines("small")
    assert "makes no table_a1, table_a3, fig_a1, fig_a3" in left_out


def test_the_jobs_of_cheap_tables_come_first_and_those_of_imagenet_last():
    """By the priorities of runs, and of the stores and files that they need."""

    def of_cells(table, column):
        cells = [cell for place, cell in targets.tables("paper")[table].cells.items() if place[1] == column]
        return {targets.priority("paper", run) for cell in cells for run in cell.runs}

    cheap = [
        of_cells("table_a1", "kmeans") | {targets.priority("paper", "kitchen_hc")},
        of_cells("table_a2", "cifar10") | of_cells("table_a2", "cifar100"),
        of_cells("table_a4", "cifar100"),
        of_cells("table_negatives", "nmi"),
    ]
    assert [len(stage) for stage in cheap] == [1, 1, 1, 1]
    order = [stage.pop() for stage in cheap]
    assert order == sorted(order, reverse=True)
    own = of_cells("table_methods", "alone")  # some of its runs are other tables'
    on_imagenet100 = of_cells("table_a3", "npid_top1") | of_cells("table_a4", "imagenet100")
    assert order[-1] > max(own - set(order) - on_imagenet100) > max(on_imagenet100) > min(own) > 0
    assert targets.priority("paper", "gmu_kitchens") == order[0] and targets.priority("paper", "none") == 0


@pytest.fixture
def own_config(tmp_path, monkeypatch):
    """A copy of the configuration, read afresh."""
    shutil.copytree(config.CONFIG, tmp_path / "config")
    for module in (config, spec, targets):
        monkeypatch.setattr(module, "CONFIG", tmp_path / "config")
    monkeypatch.setattr(config, "ROOT", tmp_path)
    caches = (config._read_yaml, targets.tables, targets.runs, targets.priorities)
    [cache.cache_clear() for cache in caches]
    yield tmp_path / "config"
    [cache.cache_clear() for cache in caches]


def test_a_table_that_does_not_fit_a_preset_blocks_no_other_and_is_named(made, own_config):
    preset = (own_config / "presets/demo.yaml").read_text()
    text = preset.replace("batch_size: 128", "batch_size: 96").replace("n_groups: 64, ", "n_groups: 32, ")
    (own_config / "presets/mine.yaml").write_text(text)
    made.check("mine")
    assert made.store("mine", next(iter(targets.runs("mine"))))
    (line,) = [line for line in made.first_lines("mine") if "table_a1" in line]
    assert line.startswith(
        "table_a1 is left out: config/tables/table_a1.yaml: cell 128/spectral: cld.n_groups 128"
    )
    assert made.table_cells("mine", "table_a2")
    with pytest.raises(InputError, match="cell 128/spectral"):  # who asks for it is told
        made.table_cells("mine", "table_a1")
    assert "table_a1" in made.supplement_tables("mine")


def test_a_mistake_that_all_tables_have_in_common_is_an_error(made, own_config):
    preset = (own_config / "presets/demo.yaml").read_text()
    (own_config / "presets/mine.yaml").write_text(preset.replace("batch_size: 128", "batch_size: 1"))
    with pytest.raises(InputError, match=r"optimiser\.batch_size: 1 is less than the minimum"):
        made.check("mine")


@pytest.mark.parametrize(
    ("key", "message"),
    [("resnet99", "backbone.name 'resnet99' is unknown; did you mean"), ("vit_b_16", "set image_size=224")],
)
def test_a_backbone_that_there_is_not_is_refused_before_any_job(made, own_config, key, message):
    preset = (own_config / "presets/demo.yaml").read_text().replace("blocks: [1, 1, 1, 1]", f"name: {key}")
    (own_config / "presets/mine.yaml").write_text(preset)
    with pytest.raises(InputError, match=message):
        made.check("mine")


def test_real_files_that_a_preset_does_not_read_are_named(made):
    assert made.first_lines("demo")[1:] == [
        "preset demo generates imagenet: data.paths of config/config.yaml is for presets that take real "
        "files, or for this one with sources.imagenet.generate: null in its file"
    ]
    assert len(made.first_lines("paper")) == 1
