"""What runs cost: their work, estimates against what was recorded, and the plan that is printed."""

import pytest
import yaml

from cld.config import load_run
from cld.reporting.cost_model import CostModel, backbone_macs, n_images, run_macs
from cld.reporting.plan import main, report
from cld.reporting.recorded_times import evaluation_seconds, job_seconds
from cld.reporting.tables.spec import load_table
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
    assert run_macs(run, 32, 1000) == backbone_macs(run["backbone"], 32) * passes * 1000 * 3
    assert run_macs(run, None, 1000) is None and run_macs(run, 32, None) is None


@pytest.mark.parametrize(
    ("preset", "dataset", "n"),
    [
        ("paper", "cifar10", 50_000),
        ("paper", "stl10", 105_000),
        ("paper", "kitchen_hc", 20_800),
        ("demo", "cifar10", 3000),
        ("demo", "imagenet", 640),
        ("demo", "kitchen_hc", None),
    ],
)
def test_the_number_of_images_is_the_published_or_generated_one(preset, dataset, n):
    assert n_images(preset, load_run(preset, dataset, "npid")) == n


def test_recorded_runs_calibrate_the_speed_and_show_how_far_they_are_from_it():
    assumed = CostModel([], 4e9)
    assert assumed.seconds(8e9) == 2 and "assumed" in str(assumed)
    model = CostModel([1e9, 2e9, 3e9], 1.0)
    assert model.seconds(8e9) == 4
    assert "from 3 recorded run(s), which differ from it by a factor of 1.50 (median) to 2.00" in str(model)


def test_damaged_benchmarks_are_passed_over(tmp_path):
    folder = tmp_path / "benchmarks/evaluate"
    folder.mkdir(parents=True)
    for name, text in {
        "a.knn.tsv": "s\th:m:s\tmax_rss\n2.0\t0:00:02\tNA\n",
        "b.knn.tsv": "s\th:m:s\n4.0\t0:00:04\n",
        "c.nmi.tsv": "half a fi",
        "d.nmi.tsv": "s\th:m:s\n",
    }.items():
        (folder / name).write_text(text)
    assert evaluation_seconds(tmp_path) == {"knn": 3.0}
    assert job_seconds(tmp_path / "none.tsv") is None


def test_the_plan_shows_what_exists_and_what_each_run_serves(tmp_path):
    table = load_table("table_a1", "demo")
    runs = table.cells["10", "kmeans"].runs
    done, partial, *_ = runs
    for name, file in ((done, "checkpoint.pt"), (partial, "partial.pt")):
        folder = tmp_path / "demo/runs" / name
        folder.mkdir(parents=True)
        (folder / file).write_bytes(b"")
        (folder / "config.yaml").write_text(yaml.safe_dump(runs[name]))
    lines = report([table], "demo", tmp_path, with_evaluations=False)
    of = {line.split()[0]: line for line in lines if line.startswith("  kitchen_hc")}
    assert " trained " in of[done] and " begun " in of[partial]
    assert "table_a1/10/kmeans" in of[done]
    assert len(of) == len({run for cell in table.cells.values() for run in cell.runs})
    assert any(line.startswith(f"{len(of) - 1} runs to train") for line in lines)
    assert any("runs without an estimate" in line for line in lines)  # no store yet
    assert any("evaluations without a recorded time are not in these hours" in line for line in lines)


def test_what_was_recorded_calibrates_the_plan(tmp_path, tiny_store):
    folder = tmp_path / "demo"
    table = load_table("table_a1", "demo")
    name, config = next(iter(table.cells["10", "kmeans"].runs.items()))
    for path, text in {
        "stores/kitchen_hc.h5": tiny_store.read_bytes(),
        f"runs/{name}/checkpoint.pt": b"",
        f"runs/{name}/config.yaml": yaml.safe_dump(config).encode(),
        f"benchmarks/pretrain/{name}.tsv": b"s\th:m:s\n600\t0:10:00\n",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text)
    lines = report([table], "demo", tmp_path, with_evaluations=False)
    assert "from 1 recorded run(s)" in lines[-1]
    others = [line for line in lines if line.startswith("  kitchen_hc") and "kmeans64" in line]
    assert others and all(" 10 min " in line for line in others)  # as long as the one that was recorded


def test_the_command_plans_the_preset_of_the_configuration(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["cld plan", "--results", str(tmp_path), "--tables", "table_a1"])
    main()
    assert "runs of preset demo, each trained once" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["cld plan", "--preset", "dmeo"])
    with pytest.raises(InputError, match=r"config/presets/dmeo.yaml: no such file"):
        main()
