"""Table files: cells, shared runs, and mistakes caught before anything runs."""

import pytest
import yaml
from documents import code_blocks

from cld import config
from cld.evaluation.protocol_names import METRICS
from cld.evaluation.protocols import PROTOCOLS
from cld.reporting.tables import render, spec
from cld.runtime.errors import InputError

PLAIN = {
    "title": "T",
    "caption": "C.",
    "dataset": "kitchen_hc",
    "method": "npid",
    "protocol": "knn",
    "metric": "top1",
    "rows": [{"key": "10", "set": {"cld.n_groups": 10}}, {"key": "64", "set": {"cld.n_groups": 64}}],
    "columns": [{"key": "a", "set": {"cld.weight": 1}}, {"key": "b", "set": {"cld.weight": 0}}],
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a table from a dictionary, in a configuration folder of its own."""
    for name in ("presets", "datasets", "methods", "run.yaml", "evaluation.yaml"):
        (tmp_path / name).symlink_to(config.CONFIG / name)
    (tmp_path / "tables").mkdir()
    monkeypatch.setattr(config, "CONFIG", tmp_path)
    monkeypatch.setattr(spec, "CONFIG", tmp_path)

    def load(name="table_t", **changes):
        (tmp_path / "tables" / f"{name}.yaml").write_text(yaml.safe_dump({**PLAIN, **changes}))
        config._read_yaml.cache_clear()
        return spec.load_table(name, "demo")

    return load


def test_row_column_and_cell_settings_add_up(load):
    table = load(set={"temperature": 0.5}, cells={"64/a": {"cld.n_iters": 9}})
    runs = table.cell("64", "a").runs.values()
    assert [run["seed"] for run in runs] == config.load_preset("demo")["seeds"]
    for run in runs:
        assert (run["temperature"], run["cld"]["n_groups"], run["cld"]["n_iters"]) == (0.5, 64, 9)
    assert all(run["cld"]["n_iters"] == 5 for run in table.cell("10", "a").runs.values())


def test_a_preset_without_data_got_by_hand_drops_their_lines_or_leaves_a_table_of_them_whole():
    mixed = spec.load_table("table_a4", "small")
    assert [column.key for column in mixed.columns] == ["cifar100"] and len(mixed.rows) == 6
    assert [reference.key for reference in mixed.references] == ["pixels100", "chance100"]
    assert {cell.dataset for cell in mixed.cells.values()} == {"cifar100"}
    assert mixed.claims and all("CIFAR-100" in claim.text for claim in mixed.claims)
    assert mixed.note
    alone = spec.load_table("table_a1", "small")  # for those who ask for it by its name
    assert len(alone.columns) == 2 and {cell.dataset for cell in alone.cells.values()} == {"kitchen_hc"}


def test_cells_that_ask_the_same_share_the_run_and_a_reference_may_need_none(load):
    table = load(seeds=[7], references=[{"key": "chance", "label": "chance", "protocol": "chance"}])
    assert set(table.cell("10", "b").runs) == set(table.cell("64", "b").runs)
    assert not set(table.cell("10", "a").runs) & set(table.cell("64", "a").runs)
    assert [run["seed"] for run in table.cell("10", "a").runs.values()] == [7]
    cell = table.cell("reference", "chance")
    assert (cell.runs, cell.scores) == ({}, ["demo/scores/kitchen_hc/chance.json"])


GROUPS = [{"key": "k", "label": "kitchen"}, {"key": "c", "label": "CIFAR-10", "dataset": "cifar10"}]


def test_rows_stand_under_every_row_group_that_they_do_not_leave_out(load):
    rows = [{"key": "10"}, {"key": "64", "groups": ["c"], "label": "sixty-four"}]
    table = load(row_groups=GROUPS, rows=rows)
    shown = [(row.key, row.label, row.group) for row in table.rows]
    assert shown == [
        ("k.10", "10", "kitchen"),
        ("c.10", "10", "CIFAR-10"),
        ("c.64", "sixty-four", "CIFAR-10"),
    ]
    assert [table.cell(row.key, "a").dataset for row in table.rows] == ["kitchen_hc", "cifar10", "cifar10"]
    assert table.cell("c.10", "a").path == "demo/cells/table_t/c.10/a.json"


def test_a_column_may_have_a_metric_and_a_protocol_of_its_own(load):
    columns = [{"key": "a"}, {"key": "b", "metric": "top5"}, {"key": "c", "protocol": "linear"}]
    table = load(columns=columns)
    scored = [(cell.protocol, cell.metric) for (row, _), cell in table.cells.items() if row == "10"]
    assert scored == [("knn", "top1"), ("knn", "top5"), ("linear", "top1")]
    assert table.cell("10", "a").scores == table.cell("10", "b").scores


def test_cells_that_do_not_apply_are_left_out(load):
    table = load(skip=["64/b"], claims=[{"text": "t", "better": "64/a", "than": ["64/b", "10/b"]}])
    assert ("64", "b") not in table.cells and ("64", "a") in table.cells
    ((_, other),) = [contrast.places for contrast in table.claims[0].contrasts]
    assert other == ("10", "b")


def test_a_preset_may_drop_rescore_relabel_and_change_settings_and_seeds(load):
    scale = {
        "note": "Half.",
        "seeds": [5],
        "protocol": "linear",
        "set": {"cld.n_iters": 2},
        "drop": ["k.64", "b"],
        "row_groups": {"c": {"set": {"cld.n_iters": 3}}},
        "rows": {"64": {"label": "64 (32)", "set": {"cld.n_groups": 32}}},
        "columns": {"a": {"label": "A", "set": {"cld.weight": 2}}},
    }
    changes = {"row_groups": GROUPS, "claims": [{"text": "t", "better": "k.10/a", "than": "k.10/b"}]}
    table = load(**changes, presets={"demo": scale})
    assert (table.note, table.claims) == ("Half.", [])
    assert [(row.key, row.label) for row in table.rows] == [
        ("k.10", "10"),
        ("c.10", "10"),
        ("c.64", "64 (32)"),
    ]
    assert [column.label for column in table.columns] == ["A"]
    settings = {}
    for (row, _), cell in table.cells.items():
        assert cell.protocol == "linear"
        (run,) = cell.runs.values()
        settings[row] = run["seed"], run["cld"]["n_groups"], run["cld"]["n_iters"], run["cld"]["weight"]
    assert settings == {"k.10": (5, 10, 2, 2), "c.10": (5, 10, 3, 2), "c.64": (5, 32, 3, 2)}
    whole = load(**changes, presets={"paper": scale})
    assert (whole.note, len(whole.cells)) == ("", 8)


def test_seeds_are_the_tables_the_datasets_or_the_presets(load, monkeypatch):
    preset = config.load_preset("demo")
    own = {**preset["datasets"], "cifar10": {**preset["datasets"]["cifar10"], "seeds": [3]}}
    monkeypatch.setattr(config, "load_preset", lambda name: preset | {"datasets": own})
    columns = [{"key": "a"}, {"key": "b", "dataset": "cifar10"}]

    def seeds(**changes):
        cells = load(columns=columns, **changes).cells
        return [cells["10", column].seeds for column in "ab"]

    assert seeds() == [(0, 1), (3,)]
    assert seeds(seeds=[4, 5]) == [(4, 5)] * 2
    assert seeds(seeds=[4, 5], presets={"demo": {"seeds": [6]}}) == [(6,)] * 2


def test_at_paper_scale_what_takes_hours_has_one_seed():
    table = spec.load_table("table_a4", "paper")
    assert table.cell("0.2", "cifar100").seeds == (0, 1, 2)
    assert table.cell("0.2", "imagenet100").seeds == (0,)


def test_claims_name_cells(load):
    claims = [
        {"text": "1", "better": "10/a", "than": "10/b", "by": 2},
        {"text": "2", "gap": ["10/a", "10/b"], "exceeds": ["64/a", "64/b"]},
        {"text": "3", "alike": ["10/a", "10/b", "64/a"], "within": 1.5},
    ]
    one, two, three = load(claims=claims).claims
    assert one.by == 2 and one.contrasts == (spec.Contrast((("10", "a"),), (("10", "b"),)),)
    assert two.contrasts == (spec.Contrast((("10", "a"), ("64", "b")), (("10", "b"), ("64", "a"))),)
    assert three.within == 1.5 and len(three.contrasts) == 3


def test_the_schema_knows_the_protocols_and_metrics_of_the_evaluation():
    schema = config.read_yaml(config.SCHEMAS / "table.schema.yaml")["$defs"]
    metrics = {metric for metrics in METRICS.values() for metric in metrics}
    assert set(schema["protocol"]["enum"]) == set(METRICS)
    assert set(schema["metric"]["enum"]) == metrics == set(render.METRICS)
    for protocol in METRICS:
        base = protocol if protocol in PROTOCOLS else protocol.rpartition("_")[0]
        assert base in {*PROTOCOLS, "semisup"}
        assert config.load_protocol("paper", config.section_of(protocol))


def test_the_guides_table_is_one(load):
    guide = code_blocks((config.ROOT / "docs/extending.md").read_text())
    block = next(block for block in guide if block.path == "config/tables/table_iterations.yaml")
    table = load("table_iterations", **config.parse_yaml(block.text))
    assert [len(cell.runs) for cell in table.cells.values()] == [2, 2, 2, 2, 2, 0]
    for row, n in (("1", 1), ("5", 5)):
        for run in table.cell(row, "moco").runs.values():
            assert (run["method"], run["cld"]["n_iters"], run["optimiser"]["epochs"]) == ("moco", n, 5)
    assert len(table.claims) == 2


PUBLISHED = {
    "table_a1": {"10": (77.1, 78.9), "256": (70.5, 70.8)},
    "table_a2": {"cross": (86.5, 57.5), "none": (80.8, 51.6)},
    "table_a3": {"0.25": (79.7, 95.1, 81.7, 95.7), "3": (76.6, 93.2, 78.4, 94.1)},
    "table_a4": {"0.2": (58.1, 81.7), "0.5": (57.2, 79.0)},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_tables_of_the_supplement_are_whole(name):
    table = spec.load_table(name, "paper")
    grid = [(row.key, column.key) for row in table.rows for column in table.columns]
    assert len(grid) == {"table_a1": 8, "table_a2": 8, "table_a3": 24, "table_a4": 12}[name]
    assert all(table.cells[place].published is not None for place in grid)
    for row, values in PUBLISHED[name].items():
        assert tuple(table.cell(row, column.key).published for column in table.columns) == values


def test_the_runs_of_the_supplement_vary_what_their_tables_say():
    for (row, column), cell in spec.load_table("table_a1", "paper").cells.items():
        for run in cell.runs.values() if row != spec.REFERENCE_ROW else []:
            assert (run["cld"]["n_groups"], run["cld"]["clustering"]) == (int(row), column)
            assert run["optimiser"]["epochs"] == 80
    table = spec.load_table("table_a2", "paper")
    runs = [next(iter(table.cell(row.key, "cifar10").runs.values())) for row in table.rows[1:]]
    switches = [(run["cld"]["subspace"], run["cld"]["cross_augmentation"]) for run in runs]
    assert switches == [("shared", False), ("separate", False), ("separate", True)]


@pytest.mark.parametrize("preset", ["demo", "paper"])
def test_tables_share_the_runs_that_the_supplement_shares(preset):
    def runs(table, row, column):
        return set(spec.load_table(table, preset).cell(row, column).runs)

    both = runs("table_a3", "0.25", "moco_top1")
    assert both == runs("table_a4", "0.2", "imagenet100") == runs("table_a3", "0.25", "moco_top5")
    assert runs("table_methods", "imagenet100-linear.moco", "cld") == both
    assert runs("table_methods", "cifar100-knn.npid", "cld") <= runs("table_a2", "cross", "cifar100")
    assert runs("table_methods", "kitchen_hc-knn.npid", "cld") <= runs("table_a1", "10", "kmeans")


def test_the_methods_have_every_dataset_and_protocol():
    table = spec.load_table("table_methods", "paper")
    cells = table.cells.values()
    unlabelled = {"folder", "voc07", "voc0712"}
    labelled = {path.stem for path in (config.CONFIG / "datasets").glob("*.yaml")} - unlabelled
    methods = {path.stem for path in (config.CONFIG / "methods").glob("*.yaml")}
    datasets = {"knn": labelled, "linear_published": labelled}
    for protocol in METRICS:
        if protocol.startswith(("semisup", "detection")):
            datasets[protocol] = {"imagenet"}
    for protocol, names in datasets.items():
        scored = {(cell.dataset, cell.method, cell.column) for cell in cells if cell.protocol == protocol}
        assert scored == {(d, m, c) for d in names for m in methods for c in ("alone", "cld")}
    for cell in cells:
        for run in cell.runs.values():
            assert (run["cld"]["weight"] == 0) == (cell.column == "alone")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colums": []}, "unknown key 'colums'; did you mean 'columns'?"),
        ({"metric": "top2"}, "top1 or top5"),
        ({"metric": "ap"}, "cell 10/a: protocol knn has no metric ap; it has top1, top5"),
        ({"skip": ["64/c"]}, "unknown key 'skip.64/c'; did you mean 'skip.64/b'?"),
        ({"rows": [{"key": "a", "groups": ["x"]}], "row_groups": GROUPS}, "unknown key 'rows.a.groups.x'"),
        ({"presets": {"demo": {"drop": ["65"]}}}, "unknown key 'presets.demo.drop.65'; did you mean"),
        ({"presets": {"demo": {"drop": ["a", "b"]}}}, "presets.demo.drop leaves no cell"),
        (
            {"claims": [{"text": "t"}]},
            "claims.0: {'text': 't'} is not valid under any of the given schemas; it is one claim",
        ),
        (
            {"claims": [{"text": "t", "better": "10/a", "than": "10/c"}]},
            "unknown key 'claims.0.10/c'; did you mean 'claims.0.10/b'",
        ),
        (
            {
                "columns": [{"key": "a"}, {"key": "b", "dataset": "cifar10"}],
                "claims": [{"text": "t", "better": "10/a", "than": "10/b"}],
            },
            "the claim 't' compares 10/a, 10/b, which differ in dataset, protocol or metric",
        ),
        ({"rows": [{"key": "a"}, {"key": "a"}]}, "rows: key 'a' occurs twice"),
        ({"rows": [{"key": "reference"}]}, "rows.0.key: 'reference' should not be valid"),
        ({"rows": [{"key": 10}]}, "quote numbers"),
        ({"cells": {"64/c": {"cld.n_iters": 9}}}, "unknown key 'cells.64/c'"),
        ({"presets": {"demo": {"rows": {"11": {}}}}}, "unknown key 'presets.demo.rows.11'"),
        ({"published": {"65": {"a": 1.0}}}, "unknown key 'published.65/a'; did you mean 'published.64/a'?"),
    ],
)
def test_mistakes_name_the_key(load, changes, message):
    with pytest.raises(InputError) as error:
        load(**changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_setting_that_cannot_be_names_the_cell(load):
    table = load(cells={"10/a": {"cld.n_itres": 1}, "64/a": {"cld.n_groups": 1000}})
    with pytest.raises(InputError, match=r"table_t.yaml: cell 10/a: unknown key 'cld.n_itres'; did you mean"):
        _ = table.cell("10", "a").runs
    with pytest.raises(InputError, match=r"cell 64/a: cld.n_groups 1000 exceeds optimiser.batch_size"):
        _ = table.cell("64", "a").runs
    with pytest.raises(InputError, match="no cell 10/c; it has 10/a, 10/b"):
        table.cell("10", "c")


def test_detection_is_shown_by_the_metric_of_the_published_numbers():
    """Detectron2's evaluator, as MoCo used it: 11 points on VOC 2007's test images."""
    cells = spec.load_table("table_methods", "paper").cells.values()
    shown = {cell.metric for cell in cells if cell.protocol.startswith("detection")}
    assert shown == {"ap50_07", "ap_07"}
    assert {render.METRICS[metric] for metric in shown} == {"AP50 by 11 points", "AP by 11 points"}
