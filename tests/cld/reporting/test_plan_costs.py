"""What runs cost: their work, estimates against what was recorded, and the plan that is printed."""

import json

import pytest
import yaml

from cld.config import load_preset, load_protocol, load_run
from cld.reporting.cost_model import (
    CostModel,
    Images,
    backbone_macs,
    evaluation_macs,
    expected_images,
    gpu_model,
    run_macs,
)
from cld.reporting.needed_runs import SUPPLEMENT
from cld.reporting.plan import Plan, main, report
from cld.reporting.tables.spec import load_table
from cld.reporting.times import evaluation_seconds
from cld.runtime.errors import InputError

TINY = {"name": "resnet18", "blocks": [1, 1, 1, 1], "width": 4, "stem": "small"}


def test_the_work_of_a_backbone_counted_by_hand():
    # kernel² · channels in · channels out · pixels
    stem = 9 * 3 * 4 * 8**2
    stage1 = 2 * 9 * 4 * 4 * 8**2
    later = sum(
        (9 * c * 2 * c + 9 * 2 * c * 2 * c + c * 2 * c) * side**2 for c, side in ((4, 4), (8, 2), (16, 1))
    )
    assert backbone_macs(TINY, 8) == stem + stage1 + later


def test_every_network_of_torchvision_has_an_estimate_where_it_takes_such_images():
    # published: 4.09, 5.3 and 0.42 GMACs; regnet computes its widths with tensors
    names = {"resnet50": 4.09e9, "vit_b_16": 17.56e9, "regnet_x_400mf": 0.41e9}
    for name, published in names.items():
        settings = {"name": name, "blocks": None, "width": 64, "stem": "imagenet"}
        assert backbone_macs(settings, 224) == pytest.approx(published, rel=0.02)
    assert backbone_macs({**TINY, "name": "vit_b_16"}, 32) is None
    with pytest.raises(InputError, match="did you mean"):
        backbone_macs({**TINY, "name": "resnet51"}, 32)


@pytest.mark.parametrize(
    ("method", "overrides", "passes"),
    [
        ("npid", {"views": 2}, 2 * 3),
        ("moco", {}, 2 * 3 + 1),  # two queries and a key
        ("infomin", {}, 2 * 3 + 1 + 3),  # and the patches
        ("byol", {"views": 2}, 2 * (3 + 1)),  # each view through the target network, too
    ],
)
def test_the_work_of_a_run_grows_with_its_passes_images_and_epochs(method, overrides, passes):
    overrides = {"optimiser.epochs": 3, "image_size": "auto", **overrides}
    run = load_run("demo", "cifar10", method, 0, overrides)
    work = backbone_macs(run["backbone"], 32) * passes * 1000 * 3
    assert run_macs(run, Images(32, {"train": 1000})) == work
    assert run_macs(run, Images(None, {"train": 1000})) is None
    assert run_macs(run, Images(32, {})) is None


@pytest.mark.parametrize(
    ("preset", "dataset", "splits", "n"),
    [
        ("paper", "cifar10", ["train"], 50_000),
        ("paper", "cifar10_lt", ["train"], 12_406),
        ("paper", "stl10", ["train", "unlabelled"], 105_000),
        ("paper", "kitchen_hc", ["test"], 14_400),
        ("demo", "cifar10", ["train"], 3000),
        ("demo", "imagenet", ["train", "test"], 640 + 320),
        ("demo", "kitchen_hc", ["train"], None),
    ],
)
def test_the_number_of_images_is_the_published_or_generated_one(preset, dataset, splits, n):
    assert expected_images(preset, dataset).count(*splits) == n


IMAGES = Images(32, {"train": 1000, "test": 200})


@pytest.mark.parametrize(
    ("protocol", "forward_passes"),
    [
        ("knn", 1200),
        ("linear", 1200),
        ("linear_published", 100 * 1000 + 200 + 1200),  # and the faster kind's result
        ("nmi", 200),
        ("retrieval", 200),
        ("unsupervised", 2 * 1000),
        ("semisup_1", 9 * (3 * 20 * 10 + 50) + 200),
    ],
)
def test_the_work_of_an_evaluation_in_forward_passes(protocol, forward_passes):
    run = load_run("paper", "cifar10", "npid")
    settings = load_protocol("paper", "semisup" if protocol == "semisup_1" else protocol)
    forward = backbone_macs(run["backbone"], 32)
    assert evaluation_macs(protocol, settings, run, IMAGES) == pytest.approx(forward * forward_passes)


def test_detection_takes_its_iterations_and_the_last_stage_of_each_proposal():
    run = load_run("paper", "imagenet", "moco")
    settings = load_protocol("paper", "detection")
    whole, last = backbone_macs(run["backbone"], 224), 0.81e9  # of 4.09
    image, tested = whole * 640 * 853 / 224**2, whole * 800 * 1067 / 224**2
    work = 3 * 9000 * 16 * (image + 512 * last) + 4952 * (tested + 1000 * last)
    found = evaluation_macs("detection_voc07", settings, run, expected_images("paper", "voc07"))
    assert found == pytest.approx(work, rel=0.02)


def test_recorded_runs_calibrate_the_speed_and_show_how_far_they_are_from_it():
    assert CostModel({"": 4e9}).training("fp32") == 4e9
    assert "assumed: 4e+09 multiply-accumulates" in str(CostModel({"": 4e9}))
    model = CostModel({"": 1.0}, recorded=[1e9, 2e9, 3e9])
    assert model.training("bf16") == model.evaluating("bf16") == 2e9
    assert "from 3 recorded run(s), which differ from it by a factor of 1.50 (median) to 2.00" in str(model)


def test_a_gpu_is_known_by_name_and_auto_is_its_mixed_precision():
    a100, old = gpu_model("a100"), gpu_model("rtx2080ti")
    assert a100.training("auto") == a100.training("bf16") == pytest.approx(3.1e13, rel=0.05)
    assert a100.training("fp32") < a100.training("auto")
    assert old.training("auto") == old.training("fp16") > old.training("bf16") == old.training("fp32")
    assert a100.evaluating("auto") == pytest.approx(a100.training("fp32"))  # whatever the run was trained in
    assert str(a100).startswith("assumed of a100")


def write_files(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_damaged_benchmarks_are_passed_over_and_a_grid_is_added_up(tmp_path):
    times = {
        "a.knn": b"s\th:m:s\tmax_rss\n2.0\t0:00:02\tNA\n",
        "a.linear": b"half a fi",
        "a.linear_published": b"s\th:m:s\n4.0\t0:00:04\n",
        "a.semisup_1": b"s\th:m:s\n1.0\t0:00:01\n",
        "a.semisup_1.lr0.01-head10": b"s\th:m:s\n5.0\t0:00:05\n",
        "a.semisup_10": b"s\th:m:s\n7.0\t0:00:07\n",
    }
    write_files(tmp_path, {f"benchmarks/evaluate/{name}.tsv": content for name, content in times.items()})
    recorded = {name: evaluation_seconds(tmp_path, "a", name) for name in ("knn", "linear", "semisup_1")}
    assert recorded == {"knn": 2.0, "linear": None, "semisup_1": 6.0}


def test_the_plan_shows_what_exists_and_what_each_run_serves(tmp_path):
    table = load_table("table_a1", "demo")
    runs = table.cells["10", "kmeans"].runs
    done, partial, *_ = runs
    for name, file in ((done, "checkpoint.pt"), (partial, "partial.pt")):
        config = yaml.safe_dump(runs[name]).encode()
        write_files(tmp_path / "demo/runs" / name, {file: b"", "config.yaml": config})
    plan = Plan([table], "demo", tmp_path, with_evaluations=False)
    lines = report(plan)
    of = {line.split()[0]: line for line in lines if line.startswith("  kitchen_hc")}
    assert " trained " in of[done] and " begun " in of[partial]
    assert "table_a1/10/kmeans" in of[done]
    assert len(of) == len({run for cell in table.cells.values() for run in cell.runs})
    cost = plan.cost(plan.parts["table_a1"])
    assert cost.to_train == len(of) - 1 and cost.runs == len(of)
    n = cost.not_estimated
    assert n >= cost.to_train  # no store yet
    assert any(f"{n} runs and evaluations without an estimate" in line for line in lines)
    narrow = report(plan, width=80)
    assert max(map(len, lines)) > 80 >= max(map(len, narrow))
    assert {line.split()[0] for line in narrow if line.startswith("  kitchen_hc")} == set(of)


def test_what_was_recorded_calibrates_the_plan(tmp_path, tiny_store):
    table = load_table("table_a1", "demo")
    name, config = next(iter(table.cells["10", "kmeans"].runs.items()))
    files = {
        "stores/kitchen_hc.h5": tiny_store.read_bytes(),
        f"runs/{name}/checkpoint.pt": b"",
        f"runs/{name}/config.yaml": yaml.safe_dump(config).encode(),
        f"scores/{name}/knn.json": b"",
        f"benchmarks/pretrain/{name}.tsv": b"s\th:m:s\n600\t0:10:00\n",
        f"benchmarks/evaluate/{name}.knn.tsv": b"s\th:m:s\n240\t0:04:00\n",
    }
    write_files(tmp_path / "demo", files)
    plan = Plan([table], "demo", tmp_path, with_evaluations=False)
    lines = report(plan)
    assert "from 1 recorded run(s)" in lines[-1]
    others = [line for line in lines if line.startswith("  kitchen_hc") and "kmeans64" in line]
    assert others and all(" 10 min " in line for line in others)  # as long as the one that was recorded
    (knn,) = [line for line in lines if line.startswith("  knn")]
    assert knn.endswith(" 4 min each")
    cost = plan.cost(plan.needed)
    evaluating = 240 * (cost.to_evaluate - 2)  # pixels and chance take none
    assert 3600 * cost.gpu_hours == pytest.approx(
        sum(plan.run_seconds[run] for run in plan.stages if run != name) + evaluating, abs=40
    )
    by_name = Plan([table], "demo", tmp_path, with_evaluations=False, gpu="a100")
    assert "assumed of a100" in report(by_name)[-1]
    assert by_name.cost(by_name.needed).gpu_hours < cost.gpu_hours


def test_the_supplements_tables_cost_less_than_150_hours_of_an_a100(monkeypatch, tmp_path):
    preset = load_preset("paper")
    monkeypatch.setattr(
        "cld.config.load_preset",
        lambda name: preset | {"run": preset["run"] | {"precision": "bf16"}},  # what auto is on an A100
    )
    tables = [load_table(name, "paper") for name in SUPPLEMENT]
    cost = {n: Plan(tables, "paper", tmp_path, False, "a100", n) for n in (None, 3)}
    once, thrice = (plan.cost(plan.needed) for plan in cost.values())
    assert 100 < once.gpu_hours < 150 and once.not_estimated == 0
    assert thrice.runs > once.runs and thrice.gpu_hours > 2 * once.gpu_hours


def test_the_costs_as_json_by_table_and_target(tmp_path, monkeypatch, capsys):
    arguments = ["cld plan", "--results", str(tmp_path), "--preset", "paper", "--gpu", "h100", "--json"]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    costs = json.loads(capsys.readouterr().out)
    by = costs["by"]
    assert costs["gpu_hours"] == by["together"]["gpu_hours"] > by["all_tables"]["gpu_hours"]
    assert by["all_tables"]["runs"] < sum(by[name]["runs"] for name in SUPPLEMENT)  # A.3 and A.4 share one
    assert {"table_methods", "table_negatives", "all_evaluations"} < by.keys()


def test_the_command_plans_the_preset_of_the_configuration(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["cld plan", "--results", str(tmp_path), "--tables", "table_a1"])
    main()
    assert "runs of preset demo, each trained once" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["cld plan", "--seeds", "0"])
    with pytest.raises(InputError, match="argument --seeds: '0' is no whole number from 1 to"):
        main()
