"""Cells and tables: the arithmetic, and the files read back."""

import csv
import html.parser
import io
import re
import sys
import warnings
from dataclasses import replace
from functools import cache
from statistics import fmean, stdev

import numpy as np
import pytest
import results_tree
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from cld.reporting.markup import tex
from cld.reporting.tables import picture, render
from cld.reporting.tables.cell import available_cells, built_cells, summarise
from cld.reporting.tables.picture import draw
from cld.reporting.tables.spec import TABLE_KINDS, load_table, table_names
from cld.runtime.errors import InputError
from cld.runtime.files import write_json
from cld.runtime.markdown import escaped

CODE = {"version": "0.1.0", "commit": "89abcdef01234567", "dirty": True}
OLDER = {**CODE, "commit": "fedcba9876543210"}


def score(value, seed=0, code=CODE):
    return results_tree.score(value, seed, f"r{seed}", code=code)


def made(name="table_a1", preset="demo", without=(), value=lambda number: 40 + number):
    table = load_table(name, preset)
    cells = {
        key: summarise(cell, [score(value(number), seed) for seed in cell.seeds or (None,)])
        for number, (key, cell) in enumerate(table.cells.items())
        if key not in without
    }
    return table, cells


def files_of(table, cells):
    return render.render(table, cells, render.view(table, cells), "results")


@cache
def rendered(name="table_a1", preset="demo", without=()):
    table, cells = made(name, preset, without)
    return table, cells, files_of(table, cells)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=5))
def test_a_cell_is_the_mean_over_seeds(values):
    cell = load_table("table_a1", "demo").cell("10", "kmeans")
    summary = summarise(cell, [score(value, seed) for seed, value in enumerate(values)])
    assert summary["value"] == pytest.approx(fmean(values), abs=1e-4)
    assert summary["n_seeds"] == len(values)
    if len(values) > 1:
        assert summary["std"] == pytest.approx(stdev(values), abs=1e-4)
    else:
        assert summary["std"] is None
    assert summary["published"] == 78.9


def test_a_score_without_the_metric_names_the_cell():
    cell = load_table("table_a3", "demo").cell("0.25", "npid_top5")
    with pytest.raises(
        InputError, match=r"cell 0\.25/npid_top5: the score of r0 has no metric top5, only top1"
    ):
        summarise(cell, [{**score(1.0), "metrics": {"top1": 1.0}}])


def test_a_note_says_how_many_seeds_numbers_with_and_without_a_deviation_have():
    table, cells = made("table_a4", "paper")
    (note,) = [line for line in render.view(table, cells)["notes"] if line.startswith("Ours: ")]
    assert "standard deviation over 3 seeds; without ±, one seed." in note


def test_csv_is_tidy_and_complete():
    table, cells, files = rendered(preset="paper")
    rows = list(csv.DictReader(io.StringIO(files["csv"])))
    assert files["csv"].splitlines()[0] == (
        "table,row,column,metric,published,value,std,n_seeds,preset,dataset,generated,cell,protocol,difference,best,"
        "code,precision"
    )
    assert len(rows) == len(table.cells)
    (row,) = [row for row in rows if (row["row"], row["column"]) == ("10", "kmeans")]
    assert row["cell"] == "results/paper/cells/table_a1/10/kmeans.json"
    assert row["generated"] == "0" and float(row["published"]) == 78.9
    assert float(row["value"]) == cells["10", "kmeans"]["value"]
    assert float(row["difference"]) == pytest.approx(cells["10", "kmeans"]["value"] - 78.9)
    assert row["code"] == "0.1.0 (89abcdef, changed)"
    assert [row["row"] for row in rows if row["best"] == "1"] == ["256", "256"]


def test_a_demo_says_so_and_neither_compares_its_numbers_nor_decides_a_claim():
    table, cells, files = rendered(preset="demo")
    rows = list(csv.DictReader(io.StringIO(files["csv"])))
    assert {(row["generated"], row["difference"], row["best"]) for row in rows} == {("1", "", "0")}
    assert render.best_places(table, cells) == set()
    assert {each.verdict for each in render.view(table, cells)["checks"]} == {"not tested"}
    assert "| 64 (demo: 32) | 42.0 ± 0.0 | (74.5) | 43.0 ± 0.0 | (76.3) |" in files["md"]
    assert "| group | spectral, ours | paper's target | k-Means, ours | paper's target |" in files["md"]
    assert '<td class="other target">(74.5)</td>' in files["html"]
    assert "& (74.5) &" in files["tex"]
    said = [
        "Table A.1 (demo: generated data, no reproduction)",
        "demo scale",
        "not reproductions",
        "change with seed and machine",
        "Claims, which generated data cannot test:",
        "generated data, 2 seeds, too small to tell (difference here +1.0 points)",
    ]
    unsaid = ["ifference:", "ublished", "Bold: the best", "interval", "supported"]
    for kind in ("md", "tex", "html"):
        assert all(text in files[kind] for text in said)
        assert not any(text in files[kind] for text in unsaid)
        of_paper = rendered(preset="paper")[2][kind]
        assert "not reproductions" not in of_paper and "demo" not in of_paper


def test_markdown_has_ours_the_published_number_and_the_difference():
    _, _, files = rendered(preset="paper")
    lines = [line for line in files["md"].splitlines() if line.startswith(("| 64 |", "| 256 |"))]
    assert lines == [
        "| 64 | 42.0 ± 0.0 | 74.5 | −32.5 | 43.0 ± 0.0 | 76.3 | −33.3 |",
        "| 256 | **46.0 ± 0.0** | 70.5 | −24.5 | **47.0 ± 0.0** | 70.8 | −23.8 |",
    ]


@pytest.mark.parametrize(
    ("name", "best", "places"),
    [
        ("table_a1", "column", {("256", "spectral"), ("256", "kmeans")}),
        ("table_a1", "row", {(group, "kmeans") for group in ("10", "64", "128", "256")}),
        ("table_a1", "table", {("256", "kmeans")}),
        ("table_a1", "none", set()),
        # in A.4 a row has two datasets, which are not comparable
        ("table_a4", "row", set()),
    ],
)
def test_the_best_is_sought_where_the_table_says(name, best, places):
    table, cells = made(name, "paper")
    assert render.best_places(replace(table, best=best), cells) == places


def test_the_best_of_a_row_group_is_of_that_group():
    table, cells = made("table_methods", "paper", value=lambda number: number % 100)
    best = render.best_places(table, cells)
    groups = {row.key: row.group for row in table.rows}
    assert len({groups[row] for row, _ in best}) == len(set(groups.values()))
    for group in set(groups.values()):
        of_group = {place: cell["value"] for place, cell in cells.items() if groups.get(place[0]) == group}
        winners = {place for place in best if place in of_group}
        assert {of_group[place] for place in winners} == {max(of_group.values())}


def test_equal_numbers_are_equally_good():
    table, cells = made(preset="paper", value=lambda number: 50.0)
    assert len(render.best_places(table, cells)) == 8


class Tags(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_data(self, data):
        self.text.append(data)

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        assert not {"src", "href"} & dict(attributes).keys()
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("preset", ["demo", "paper"])
@pytest.mark.parametrize("name", table_names())
def test_html_is_well_formed_and_needs_no_network(name, preset):
    table, _, files = rendered(name, preset)
    tags = Tags(files["html"])
    of_grid = len(table.rows) * len(table.columns)
    width = (2 if preset == "demo" else 3) if table.has_published else 1
    assert tags.seen.count("td") == of_grid * width + len(table.references)


def test_what_means_something_in_latex_and_markdown_is_escaped():
    assert escaped("a|b *c*\nd_e _f_ [x](y) `z`") == r"a\|b \*c\* d_e \_f\_ \[x](y) \`z\`"
    assert tex("50 % of a_b & λ ± 1 − 2") == r"50 \% of a\_b \& $\lambda$ $\pm$ 1 $-$ 2"
    assert tex("T_I ≤ τ, Ω,\n∞ #1") == r"T\_I $\leq$ $\tau$, $\Omega$, $\infty$ \#1"


HOSTILE = st.text(st.sampled_from("<>&\"'$%#_{}^~\\|*`[]()!\nτ猫ab "), min_size=1).map(
    lambda text: f"x{text}x"
)


@settings(max_examples=60)
@given(HOSTILE)
def test_labels_are_text_in_every_format(label):
    """HTML shows them as they are; in LaTeX nothing is left open; a Markdown row stays one row."""
    table, cells = made(preset="paper")
    table = replace(table, title=label, rows=[replace(row, label=label) for row in table.rows], claims=[])
    files = files_of(table, cells)
    plain = replace(table, title="x", rows=[replace(row, label="x") for row in table.rows])
    tags = Tags(files["html"])
    assert len(tags.seen) == len(Tags(files_of(plain, cells)["html"]).seen)
    assert " ".join(label.split()) in " ".join("".join(tags.text).split())
    body = re.sub(r"\\(?:[{}%&$#_]|\w+\{\})", "", files["tex"])
    assert body.count("{") == body.count("}") and body.count("$") % 2 == 0
    rows = [line for line in files["md"].splitlines() if line.startswith("| x")]
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows} == {2 + 3 * len(table.columns)}


@pytest.mark.parametrize("preset", ["demo", "paper"])
def test_long_names_of_columns_are_wrapped(preset):
    long = "separate subspaces, compared across augmentations"
    table, cells = made(preset=preset)
    width = picture.drawn(render.view(table, cells)).get_size_inches()[0]
    table = replace(table, columns=[replace(column, label=long) for column in table.columns])
    shown = render.view(table, cells)
    figure = picture.drawn(shown)
    assert figure.get_size_inches()[0] == pytest.approx(width, rel=0.1)
    texts = [text.get_text() for text in figure.axes[0].texts]
    for line in ("separate subspaces,", "compared across", "augmentations"):
        assert texts.count(line) == len(table.columns)
    tex = r"\shortstack{separate subspaces, \\ compared across \\ augmentations}"
    assert render.render(table, cells, shown, "results")["tex"].count(tex) == len(table.columns)


@pytest.mark.parametrize("name", ["table_a1", "table_a3", "table_methods", "table_negatives"])
def test_a_demo_s_picture_says_so_in_its_title_of_one_line(name):
    title, *others = picture.drawn(render.view(*made(name))).axes[0].texts
    assert title.get_text().endswith("(demo: generated data, no reproduction)")
    bold = [text for text in others if text.get_weight() == "bold" and text.get_size() > picture.SIZE]
    assert not bold


@pytest.mark.parametrize("label", ["US$$", "A$_{$", "猫", "$"])
def test_a_picture_draws_labels_as_they_are(label, tmp_path, capsys):
    table, cells = made(preset="paper")
    table = replace(table, rows=[replace(row, label=label) for row in table.rows])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(render.view(table, cells), tmp_path / "t.png")
    said = capsys.readouterr().err
    assert said == "" or ("drawn as boxes" in said and said.count("\n") == 1)


@pytest.mark.parametrize("preset", ["demo", "paper"])
@pytest.mark.parametrize("name", table_names())
def test_latex_is_plain_balanced_and_as_wide_as_it_says(name, preset):
    text = rendered(name, preset)[2]["tex"]
    assert text.isascii(), [character for character in text if not character.isascii()]
    lines = (line for line in text.splitlines() if not line.startswith(("%", "\\providecommand")))
    body = "\n".join(lines)
    bare = re.sub(r"\\[{}%&$#_]", "", body)
    assert bare.count("{") == bare.count("}")
    assert not re.search(r"[%#]|(?<![a-zA-Z])_", re.sub(r"\$[^$]*\$", "", bare))
    opened, closed = (re.findall(rf"\\{word}\{{(\w+)\}}", body) for word in ("begin", "end"))
    assert sorted(opened) == sorted(closed)
    columns = len(re.search(r"\\begin\{(?:tabular|longtable)\}\{(lr*)\}", body)[1])
    for line in bare.splitlines():
        if line.endswith((r"\\", r"\\*")) and "caption" not in line:
            spans = [int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            assert line.count("&") + 1 + sum(spans) == columns, line


def test_only_a_long_table_runs_over_pages():
    assert r"\begin{longtable}" in rendered("table_methods", "paper")[2]["tex"]
    assert r"\begin{table}" in rendered("table_methods", "demo")[2]["tex"]


def test_a_table_without_published_numbers_has_no_column_for_them():
    files = rendered("table_folder", "paper")[2]
    assert "| NPID | 40.0 ± 0.0 | 41.0 ± 0.0 |" in files["md"]
    assert "\\begin{tabular}{lrr}" in files["tex"]
    assert ">published<" not in files["html"] and "ublished" not in files["md"] + files["tex"]


def test_gaps_are_marked_and_counted():
    files = rendered(preset="paper", without=(("10", "kmeans"), ("reference", "npid")))[2]
    assert "| 10 | 40.0 ± 0.0 | 77.1 | −37.1 | – (missing) | 78.9 | – |" in files["md"]
    assert "| NPID (no CLD) | – (missing) |" in files["md"]
    assert "Partial: of 12 cells 2 missing." in files["md"]
    assert files["html"].count('class="missing"') == 2
    assert "k-means beats spectral at 10 groups: **not checked**; 1 of its cells missing" in files["md"]
    assert "Partial" not in rendered()[2]["md"]
    table, cells = made()
    cells["10", "kmeans"] = summarise(table.cell("10", "kmeans"), [score(50.0, 0)])
    text = files_of(table, cells)["md"]
    assert "50.0 (1 of 2 seeds)" in text and "Partial: of 12 cells 1 of fewer seeds" in text


@pytest.mark.parametrize(
    ("things", "common", "odd", "shown"),
    [
        ("code versions", {}, OLDER, ("0.1.0 (89abcdef, changed)", "0.1.0 (fedcba98, changed)")),
        ("precisions", {"precision": "bf16"}, CODE | {"precision": "fp32"}, ("bf16", "fp32")),
    ],
)
def test_a_table_of_mixed_runs_names_what_differs_and_the_cells(things, common, odd, shown):
    table, cells = made()
    for cell in cells.values():
        for each in cell["scores"]:
            each["provenance"] = each["provenance"] | {"trained_by": CODE | common}
    assert "Mixed" not in files_of(table, cells)["md"]
    cells["64", "kmeans"]["scores"][1]["provenance"]["trained_by"] = odd
    files = files_of(table, cells)
    for kind in ("md", "tex", "html"):
        assert f"Mixed {things}: {shown[0]} in 12 cells; {shown[1]} in 64/kmeans." in files[kind]
    rows = csv.DictReader(io.StringIO(files["csv"]))
    (row,) = [row for row in rows if (row["row"], row["column"]) == ("64", "kmeans")]
    assert "; ".join(shown) in row.values()


def test_available_cells_come_from_the_scores_that_exist(tmp_path):
    table = load_table("table_a1", "demo")
    for seed, path in enumerate(table.cell("10", "kmeans").scores):
        write_json(tmp_path / path, score(50.0 + seed, seed))
    # a cell's file may be of other settings
    write_json(tmp_path / table.cell("64", "kmeans").path, {"value": 99.0})
    cells = available_cells(table, tmp_path)
    assert cells.keys() == {("10", "kmeans")}
    assert (cells["10", "kmeans"]["value"], cells["10", "kmeans"]["n_seeds"]) == (50.5, 2)
    with pytest.raises(InputError, match="build that cell first, or render with cld tables --now"):
        built_cells(table, tmp_path)


@pytest.mark.parametrize(("name", "without"), [("table_a3", {("0", "moco_top1")}), ("table_folder", set())])
def test_all_files_are_written_and_the_picture_shows_the_table(tmp_path, name, without):
    table, cells = made(name, without=without)
    render.write(table, cells, tmp_path)
    folder = tmp_path / "demo/tables"
    assert {path.name for path in folder.iterdir()} == {f"{name}.{kind}" for kind in TABLE_KINDS}
    pixels = imread(folder / f"{name}.png")[:, :, :3]
    lines = (pixels.max(axis=2) < 0.5).mean(axis=1) > 0.9  # rules from side to side
    n_rules = np.count_nonzero(np.diff(lines.astype(int)) == 1)
    assert n_rules == 4  # above and below, under the head, above the references
    edges = (pixels[:5], pixels[-5:], pixels[:, :5], pixels[:, -5:])
    assert min(edge.min() for edge in edges) == 1  # nothing is cut off
    before = (folder / f"{name}.png").read_bytes()
    render.write(table, cells, tmp_path)
    assert (folder / f"{name}.png").read_bytes() == before


def test_scores_by_other_settings_of_the_protocol_are_left_out_and_named(tmp_path, capsys):
    table = load_table("table_a1", "demo")
    paths = [tmp_path / path for path in table.cell("10", "kmeans").scores]
    for seed, path in enumerate(paths):
        settings = {"k": 20 if seed else 5, "temperature": 0.07, "split": "test"}  # null is what the run has
        write_json(path, score(50.0 + seed, seed) | {"settings": settings})
    assert available_cells(table, tmp_path)["10", "kmeans"]["value"] == 51.0
    assert capsys.readouterr().err == (
        f"{paths[0]}: left out: made with k 5, now 20; evaluate that run again\n"
    )


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"metrics": {"top1": "high"}},
        score(50.0) | {"metrics": {}},
        score(50.0) | {"provenance": None},
    ],
)
def test_a_score_of_wrong_content_is_one_line(tmp_path, content):
    table = load_table("table_a1", "demo")
    path = tmp_path / table.cell("10", "kmeans").scores[0]
    write_json(path, content)
    with pytest.raises(InputError) as caught:
        available_cells(table, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "; evaluate that run again" in message
    assert "\n" not in message


@pytest.mark.parametrize("change", [{"value": "99"}, {"scores": []}, {"n_seeds": None}, {"published": "?"}])
def test_a_cell_of_wrong_content_is_one_line(tmp_path, change):
    table, cells = made()
    for place, cell in cells.items():
        write_json(tmp_path / table.cells[place].path, cell)
    path = tmp_path / table.cell("10", "kmeans").path
    write_json(path, cells["10", "kmeans"] | change)
    with pytest.raises(InputError, match=f"kmeans.json: {next(iter(change))}.*; build that cell first"):
        built_cells(table, tmp_path)


def test_tables_now_renders_what_there_is_and_deletes_what_is_gone(tmp_path, monkeypatch, capsys):
    path = tmp_path / load_table("table_a1", "demo").cell("10", "spectral").scores[0]
    write_json(path, score(50.0))
    stale = tmp_path / "demo/tables_now/table_a2.md"
    stale.parent.mkdir(parents=True)
    stale.write_text("of scores that are gone")
    monkeypatch.setattr(sys, "argv", ["cld tables", "--now", "--results", str(tmp_path)])
    render.main()
    printed = capsys.readouterr().out
    assert "table_a1: 1 of 12 cells" in printed and "table_a2: 0 of 14 cells" in printed
    assert {file.name for file in stale.parent.iterdir()} == {f"table_a1.{kind}" for kind in TABLE_KINDS}
    assert "50.0 (1 of 2 seeds)" in (stale.parent / "table_a1.md").read_text()


def test_a_table_that_does_not_exist_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["cld tables", "--tables", "table_a9"])
    with pytest.raises(InputError, match=r"table_a9\.yaml: no such file; tables that exist: table_a1,"):
        render.main()
