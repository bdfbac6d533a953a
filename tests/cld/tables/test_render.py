"""Cells and tables: the arithmetic, and the four files read back."""

import csv
import html.parser
import io
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cld.errors import InputError
from cld.tables import render
from cld.tables.cell import read_json, summarise
from cld.tables.spec import load_table

PROVENANCE = {
    "code": {"version": "0.1.0", "commit": "89abcdef01234567", "dirty": True},
    "data_checksum": "0123456789abcdef",
}


def score(value, seed=0):
    metrics = {"top1": value, "top5": 99.0}
    return {
        "run": f"r{seed}",
        "seed": seed,
        "metrics": metrics,
        "settings": {"k": 1},
        "provenance": PROVENANCE,
    }


def rendered(preset="demo", name="table_a1"):
    table = load_table(name, preset)
    cells = {
        key: summarise(cell, preset, [score(40 + number, seed) for seed in cell.seeds])
        for number, (key, cell) in enumerate(table.cells.items())
    }
    return table, cells, render.render(table, cells, preset, "results")


@given(st.lists(st.floats(0, 100), min_size=1, max_size=5))
def test_a_cell_is_the_mean_over_seeds(values):
    cell = load_table("table_a1", "demo").cell("10", "kmeans")
    summary = summarise(cell, "demo", [score(value, seed) for seed, value in enumerate(values)])
    assert summary["value"] == pytest.approx(fmean(values), abs=1e-4)
    assert summary["n_seeds"] == len(values)
    if len(values) > 1:
        assert summary["std"] == pytest.approx(stdev(values), abs=1e-4)
    else:
        assert summary["std"] is None
    assert summary["published"] == 78.9


def test_csv_is_tidy_and_complete():
    table, cells, files = rendered()
    rows = list(csv.DictReader(io.StringIO(files["csv"])))
    header = "table,row,column,metric,published,value,std,n_seeds,preset,dataset,cell"
    assert files["csv"].splitlines()[0] == header
    assert len(rows) == len(table.cells)
    (row,) = [row for row in rows if (row["row"], row["column"]) == ("10", "kmeans")]
    assert row["cell"] == "results/demo/cells/table_a1/10/kmeans.json"
    assert float(row["published"]) == 78.9
    assert float(row["value"]) == cells["10", "kmeans"]["value"]


def test_markdown_has_a_row_a_group_and_our_number_beside_the_published():
    _, cells, files = rendered("paper")
    lines = [line for line in files["md"].splitlines() if line.startswith("| 64 |")]
    kmeans, spectral = cells["64", "kmeans"], cells["64", "spectral"]
    assert lines == [f"| 64 | {spectral['value']:.1f} ± 0.0 | 74.5 | {kmeans['value']:.1f} ± 0.0 | 76.3 |"]


def test_html_is_well_formed_and_needs_no_network():
    class Tags(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.cells = [], 0

        def handle_starttag(self, tag, attributes):
            self.cells += tag == "td"
            assert not {"src", "href"} & dict(attributes).keys()
            if tag not in ("meta",):
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    tags = Tags()
    tags.feed(rendered()[2]["html"])
    assert tags.open == []
    assert tags.cells == 4 * 4 + 4


def test_demo_tables_say_demo_and_paper_tables_do_not():
    for kind in ("md", "tex", "html"):
        demo, paper = rendered("demo")[2][kind], rendered("paper")[2][kind]
        assert "demo scale" in demo and "not reproductions" in demo
        assert "not reproductions" not in paper and "demo" not in paper


def test_latex_is_escaped():
    assert render.tex("50 % of a_b & λ ± 1") == r"50 \% of a\_b \& $\lambda$ $\pm$ 1"


def test_a_damaged_score_says_how_to_make_it_again(tmp_path):
    path = tmp_path / "score.json"
    path.write_text("{")
    with pytest.raises(InputError, match=r"score\.json: cannot be read .*; evaluate that run again"):
        read_json(path, "evaluate that run again")


def test_a_table_without_published_numbers_has_no_column_for_them():
    files = rendered("paper", "table_folder")[2]
    assert "| NPID | 40.0 ± 0.0 | 41.0 ± 0.0 |" in files["md"]
    assert "\\begin{tabular}{lrr}" in files["tex"]
    assert ">published<" not in files["html"] and "ublished" not in files["md"] + files["tex"]
