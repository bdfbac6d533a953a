"""Table files: cells, shared runs, and mistakes caught before anything runs."""

import pytest
import yaml

from cld import config
from cld.errors import InputError
from cld.tables import spec

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


def test_the_supplements_table_is_whole():
    table = spec.load_table("table_a1", "paper")
    published = {
        (r.key, c.key): table.cell(r.key, c.key).published for r in table.rows for c in table.columns
    }
    assert len(published) == 8
    assert published["10", "kmeans"] == 78.9
    assert published["256", "spectral"] == 70.5
    for (row, column), cell in table.cells.items():
        if row != spec.REFERENCE_ROW:
            for resolved in cell.runs("paper").values():
                assert resolved["cld"]["n_groups"] == int(row)
                assert resolved["cld"]["clustering"] == column
                assert resolved["optimiser"]["epochs"] == 80


def test_row_column_and_cell_settings_add_up(load):
    table = load(set={"temperature": 0.5}, cells={"64/a": {"cld.n_iters": 9}})
    runs = table.cell("64", "a").runs("demo").values()
    assert [run["seed"] for run in runs] == config.load_preset("demo")["seeds"]
    for run in runs:
        assert (run["temperature"], run["cld"]["n_groups"], run["cld"]["n_iters"]) == (0.5, 64, 9)
    assert all(run["cld"]["n_iters"] == 5 for run in table.cell("10", "a").runs("demo").values())


def test_a_preset_may_scale_rows_and_says_so(load):
    scale = {
        "note": "Half.",
        "set": {"cld.n_iters": 2},
        "rows": {"64": {"label": "64 (32)", "set": {"cld.n_groups": 32}}},
    }
    table = load(presets={"demo": scale})
    assert table.note == "Half."
    assert [row.label for row in table.rows] == ["10", "64 (32)"]
    groups = {key: run["cld"] for key in ("10", "64") for run in table.cell(key, "a").runs("demo").values()}
    assert (groups["10"]["n_groups"], groups["64"]["n_groups"]) == (10, 32)
    assert groups["10"]["n_iters"] == groups["64"]["n_iters"] == 2
    assert load(presets={"paper": scale}).note == ""


def test_cells_that_ask_the_same_share_the_run(load):
    table = load()
    assert set(table.cell("10", "b").runs("demo")) == set(table.cell("64", "b").runs("demo"))
    assert not set(table.cell("10", "a").runs("demo")) & set(table.cell("64", "a").runs("demo"))


def test_a_reference_may_need_no_run(load):
    table = load(references=[{"key": "chance", "label": "chance", "protocol": "chance"}])
    cell = table.cell("reference", "chance")
    assert cell.runs("demo") == {}
    assert cell.scores("demo") == ["demo/scores/kitchen_hc/chance.json"]


def test_seeds_of_a_table_replace_the_presets(load):
    assert [r["seed"] for r in load(seeds=[7]).cell("10", "a").runs("demo").values()] == [7]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colums": []}, "unknown key 'colums'; did you mean 'columns'?"),
        ({"metric": "top2"}, "top1 or top5"),
        ({"rows": [{"key": "a"}, {"key": "a"}]}, "row 'a' stands twice"),
        ({"rows": [{"key": "reference"}]}, "row key 'reference' is taken"),
        ({"rows": [{"key": "../x"}]}, "rows.0.key"),
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


def test_a_setting_that_does_not_exist_names_the_cell(load):
    table = load(cells={"10/a": {"cld.n_itres": 1}})
    with pytest.raises(InputError, match=r"table_t.yaml: cell 10/a: unknown key 'cld.n_itres'; did you mean"):
        table.cell("10", "a").runs("demo")


def test_more_groups_than_the_batch_holds_names_the_cell(load):
    table = load(cells={"10/a": {"cld.n_groups": 1000}})
    with pytest.raises(InputError, match=r"cell 10/a: cld.n_groups 1000 exceeds optimiser.batch_size"):
        table.cell("10", "a").runs("demo")


def test_a_cell_that_does_not_exist_names_those_that_do(load):
    with pytest.raises(InputError, match="no cell 10/c; it has 10/a, 10/b"):
        load().cell("10", "c")
