"""What a run costs: its work against PyTorch's own count, and estimates against what was recorded."""

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from cld.config import CONFIG, load_run
from cld.evaluation.protocols import PROTOCOLS
from cld.models.backbones import build_backbone
from cld.reporting.plan.costs import CostModel, Record, evaluation_seconds, recorded_seconds
from cld.reporting.plan.plan_command import report
from cld.reporting.plan.work import n_images, resnet_macs, run_macs
from cld.reporting.tables.spec import load_table

CLUSTER = {"device": "GPU", "parallel_jobs": 2, "macs_per_s": 1e9}


@given(
    name=st.sampled_from(["resnet18", "resnet34", "resnet50"]),
    blocks=st.none() | st.lists(st.integers(1, 2), min_size=4, max_size=4),
    width=st.sampled_from([4, 16]),
    stem=st.sampled_from(["small", "small_stride2", "imagenet"]),
    side=st.integers(8, 40),
)
def test_the_work_of_a_backbone_is_what_pytorch_counts(name, blocks, width, stem, side):
    settings = {"name": name, "blocks": blocks, "width": width, "stem": stem}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        build_backbone(settings).eval()(torch.zeros(1, 3, side, side))
    assert resnet_macs(settings, side) == counter.get_total_flops() / 2


def test_other_networks_cannot_be_told():
    assert resnet_macs({"name": "convnext_tiny"}, 224) is None
    run = load_run("demo", "cifar10", "npid", 0, {"backbone.name": "convnext_tiny"})
    assert run_macs("demo", run, 32, 4000) is None


def test_the_work_of_a_run_grows_with_views_images_and_epochs():
    run = load_run("demo", "cifar10", "npid", 0, {"optimiser.epochs": 3, "image_size": "auto", "views": 2})
    view = resnet_macs(run["backbone"], 32)
    assert run_macs("demo", run, 32, 1000) == view * 2 * 3 * 1000 * 3
    changes = {"optimiser.epochs": 3, "image_size": "auto"}
    moco = load_run("demo", "cifar10", "moco", 0, changes)  # two queries and a key
    assert run_macs("demo", moco, 32, 1000) == view * (2 * 3 + 1) * 1000 * 3
    assert run_macs("demo", run, None, 1000) is None and run_macs("demo", run, 32, None) is None


@pytest.mark.parametrize(
    ("preset", "dataset", "n"),
    [("paper", "cifar10", 50000), ("paper", "stl10", 105000), ("demo", "cifar10", 3000)],
)
def test_the_number_of_images_is_the_published_or_generated_one(preset, dataset, n):
    assert n_images(preset, load_run(preset, dataset, "npid")) == n


def test_without_records_the_speed_is_the_assumed_one_and_says_so():
    model = CostModel.calibrated([], 4e9)
    assert model.seconds(8e9) == 2
    assert "assumed" in str(model)


def test_records_calibrate_the_speed_and_tell_how_far_it_was_off():
    model = CostModel.calibrated([Record(1e9, 1.0), Record(4e9, 2.0), Record(3e9, 1.5)], 1.0)
    assert model.macs_per_s == 2e9
    # each predicted by the median of the other two: 2/1, 2/1.5, 1.5/2
    assert (model.typical, model.worst) == (pytest.approx(4 / 3), pytest.approx(2.0))
    assert "off by a factor of 1.33 (median) and 2.00 (worst)" in str(model)


def test_damaged_benchmarks_are_passed_over(tmp_path):
    folder = tmp_path / "benchmarks/evaluate"
    folder.mkdir(parents=True)
    for name, text in {
        "a.knn.tsv": "s\th:m:s\n2.0\t0:00:02\n",
        "b.knn.tsv": "s\th:m:s\n4.0\t0:00:04\n",
        "c.nmi.tsv": "half a fi",
    }.items():
        (folder / name).write_text(text)
    assert evaluation_seconds(tmp_path) == {"knn": 3.0}
    assert recorded_seconds(tmp_path / "none.tsv") is None


def test_the_plan_tells_what_is_there_and_what_each_run_serves(tmp_path):
    table = load_table("table_a1", "demo")
    runs = table.cells["10", "kmeans"].runs("demo")
    done, partial, *_ = runs
    for name, file in ((done, "checkpoint.pt"), (partial, "partial.pt")):
        folder = tmp_path / "demo/runs" / name
        folder.mkdir(parents=True)
        (folder / file).write_bytes(b"")
        (folder / "config.yaml").write_text(yaml.safe_dump(runs[name]))
    lines = report([table], "demo", tmp_path, CLUSTER, with_evaluations=False)
    of = {line.split()[0]: line for line in lines if line.startswith("  kitchen_hc")}
    assert " trained " in of[done] and " begun " in of[partial]
    assert "table_a1/10/kmeans" in of[done]
    assert len(of) == len({run for cell in table.cells.values() for run in cell.runs("demo")})
    (left,) = [line for line in lines if line.startswith(f"{len(of) - 1} runs to train")]
    assert "GPU-hours of training" in left
    assert any("evaluations without a recorded time are not in these hours" in line for line in lines)


def test_kitchens_are_reckoned_with_as_many_crops_as_the_supplement_states():
    assert n_images("paper", load_run("paper", "kitchen_hc", "npid", 0, {})) == 20_800


def test_every_protocol_of_the_tables_is_one_that_exists():
    from cld.evaluation.protocol_names import METRICS

    stems = {name.split("_")[0] if name.startswith(("semisup", "detection")) else name for name in METRICS}
    assert stems <= PROTOCOLS.keys() | {"semisup"}
    assert (CONFIG / "evaluation.yaml").is_file()
