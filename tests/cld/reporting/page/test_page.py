"""What the index page gathers from a results folder."""

import json
import math
from dataclasses import replace

import pytest
from results_tree import write, write_cell

from cld.reporting.markup import filled
from cld.reporting.page.cells import MAX_POINTS, PresetFiles, curves
from cld.reporting.page.content import gather, main
from cld.reporting.tables.spec import Axis, load_table
from cld.reporting.times import duration
from cld.runtime.errors import InputError
from cld.runtime.files import read_json

KEY = "table_a1/10/kmeans"


def gathered(results, *tables):
    return gather(PresetFiles(results, "demo", results / "demo" / "index.html"), tables)


def test_a_complete_table_is_all_there(complete, table):
    page = gathered(complete, table)
    assert page["n_present"] == page["n_cells"] == len(table.cells)
    assert page["n_outdated"] == 0
    assert page["is_generated"]
    assert page["from"] == "1 November 2026, 10:00 UTC"
    assert page["versions"] == ["0.1.0 (1a2b3c4d)"]
    dataset = page["datasets"][0]
    assert dataset["facts"] == ["images: 32×32", "file: x.h5"]
    assert dataset["files"] == [{"label": "card.md", "href": "stores/kitchen_hc.card.md"}]
    assert {cell["status"] for cell in page["cells"].values()} == {"present"}
    assert [file["href"] for file in page["tables"][0]["files"]] == [
        "tables/table_a1.csv",
        "tables/table_a1.html",
    ]
    json.dumps(page, allow_nan=False)


def test_a_cell_tells_number_runs_curves_cost_and_configuration(complete, table):
    page = gathered(complete, table)
    cell = page["cells"][KEY]
    runs = table.cell("10", "kmeans").runs
    built = read_json(complete / table.cell("10", "kmeans").path, "")
    assert cell["value"] == built["value"]
    assert cell["text"] == f"{built['value']:.1f} ± {built['std']:.1f}"
    assert cell["published"] == "78.9"
    assert [run["run"] for run in cell["runs"]] == list(runs)
    assert [run["seed"] for run in cell["runs"]] == [config["seed"] for config in runs.values()]
    assert cell["runs"][0]["seconds"] == 3.5  # the score's own: the evaluation has no benchmark file
    run = page["runs"][cell["runs"][0]["run"]]
    assert run["seconds"] == 26.4
    assert run["curves"] == {
        "epoch": [1, 2, 3],
        "lr": 3 * [0.06],
        "images_per_s": 3 * [1000],
        "loss": [9.5, 8.5, 7.5],
    }
    assert {file["label"] for file in run["files"]} == {"configuration", "curves", "checkpoint"}
    assert cell["configuration"]["cld.n_groups"] == cell["overrides"]["cld.n_groups"] == "10"
    assert "seed" not in cell["configuration"]
    assert cell["settings"] == {"k": "20", "split": "test"}
    origin = {entry["label"]: entry["values"] for entry in cell["provenance"]}
    assert origin["data (SHA-256)"] == [64 * "d"]
    assert origin["code"] == ["0.1.0 (1a2b3c4d)"]


def test_commands_build_a_cell_train_it_again_or_score_a_store_again(complete, table):
    cells = gathered(complete, table)["cells"]
    path = complete / "demo/cells/table_a1/10/kmeans.json"
    assert cells[KEY]["build"] == f"snakemake --cores 2 {path}"
    assert cells[KEY]["rebuild"] == f"snakemake --cores 2 --forcerun pretrain -- {path}"
    assert "--forcerun evaluate_store -- " in cells["table_a1/reference/pixels"]["rebuild"]


def test_the_cost_of_a_run_that_cells_share_counts_once(complete, table):
    twins = {place: replace(cell, table="table_twin") for place, cell in table.cells.items()}
    twice = replace(table, name="table_twin", cells=twins)
    once = gathered(complete, table)["cost"]
    for cell in twice.cells.values():
        original = complete / table.cells[cell.row, cell.column].path
        write(complete / cell.path, original.read_text())
    assert gathered(complete, table, twice)["cost"] == once
    runs = {run for cell in table.cells.values() for run in cell.runs}
    assert once["n_runs"] == len(runs)
    assert math.isclose(once["train_s"], 26.4 * len(runs))


def test_an_empty_folder_gives_a_page_of_commands(tmp_path, table):
    page = gathered(tmp_path / "results", table)
    assert page["n_present"] == 0
    assert page["from"] is None
    cell = page["cells"][KEY]
    assert (cell["status"], cell["text"]) == ("missing", None)
    assert cell["configuration"]["cld.n_groups"] == "10"  # as planned
    assert [run["stage"] for run in cell["runs"]] == ["not begun"] * len(table.cell("10", "kmeans").seeds)
    assert page["figures"][0]["picture"] is None
    assert page["datasets"][0]["command"].endswith("demo/stores/kitchen_hc.card.md")
    html = filled("index.html.j2", page)
    assert html.count(">missing<") >= len(table.cells)


def test_a_partial_table_shows_how_far_it_is_and_marks_numbers_of_several_versions(partial, table):
    runs = list(table.cell("128", "kmeans").runs)
    write(partial / f"demo/runs/{runs[0]}/checkpoint.pt", "weights")
    write(partial / f"demo/runs/{runs[1]}/partial.pt", "weights")
    page = gathered(partial, table)
    assert page["n_present"] == 2
    stages = [run["stage"] for run in page["cells"]["table_a1/128/kmeans"]["runs"]]
    assert stages[:2] == ["trained", "begun"]
    (shown,) = page["tables"]
    assert [entry["version"] for entry in shown["versions"]] == ["0.1.0 (1a2b3c4d)", "0.2.0"]
    marks = {place["key"]: place["marks"] for row in shown["rows"] for place in row["places"]}
    assert marks[KEY] == "a"
    assert marks["table_a1/64/kmeans"] == "b"
    assert marks["table_a1/64/spectral"] == ""


def test_a_cell_of_other_runs_than_the_table_asks_for_is_outdated(partial, table):
    cell = table.cell("10", "kmeans")
    changed = replace(cell, overrides={**cell.overrides, "cld.n_iters": 9})
    page = gathered(partial, replace(table, cells={**table.cells, ("10", "kmeans"): changed}))
    assert page["cells"][KEY]["status"] == "outdated"
    assert page["n_outdated"] == 1
    assert not page["tables"][0]["has_best"]  # only one cell is left to compare
    assert [run["run"] for run in page["cells"][KEY]["runs"]] == list(cell.runs)  # those it was made of


def test_the_best_stand_out_and_claims_are_held_against_the_numbers(tmp_path):
    table = load_table("table_a1", "paper")
    for key, value in (("spectral", 45.0), ("kmeans", 50.0)):
        write_cell(tmp_path, table.cell("10", key), value)
    write_cell(tmp_path, table.cell("64", "spectral"), 60.0)
    page = gather(PresetFiles(tmp_path, "paper", tmp_path / "index.html"), [table])
    (shown,) = page["tables"]
    assert shown["has_best"]
    best = {place["key"] for row in shown["rows"] for place in row["places"] if place["is_best"]}
    assert "table_a1/10/spectral" not in best
    verdicts = {check["text"]: check["verdict"] for check in shown["checks"]}
    assert verdicts["k-means beats spectral at 10 groups"] == "supported"
    assert set(verdicts.values()) == {"supported", "not checked"}
    html = filled("index.html.j2", page)
    assert ", published 78.9" in html and '<span class="published">78.9</span>' in html
    assert "the smaller number is the published one" in html and "published target" not in html


def test_generated_data_have_a_target_no_best_and_test_no_claim(complete, table):
    page = gathered(complete, table)
    (shown,) = page["tables"]
    assert not shown["has_best"] and {check["verdict"] for check in shown["checks"]} == {"not tested"}
    html = filled("index.html.j2", page)
    assert (
        ", target at the paper&#39;s scale 78.9" in html
        and '<span class="published target">(78.9)</span>' in html
    )
    assert "Claims, which generated data cannot test" in html and "supported" not in html


def test_a_damaged_cell_is_one_line_with_its_fix(partial, table):
    path = partial / table.cell("10", "kmeans").path
    path.write_text("{")
    with pytest.raises(InputError, match=rf"{path}: .*make it again: snakemake --cores 2 --force"):
        gathered(partial, table)


def test_a_place_without_a_cell_stays_empty(partial, table):
    fewer = {place: cell for place, cell in table.cells.items() if place != ("64", "spectral")}
    (shown,) = gathered(partial, replace(table, cells=fewer))["tables"]
    assert shown["rows"][1]["places"][0] is None


def test_labels_stay_text(tmp_path, table):
    hostile = "</script><img src=x onerror=alert(1)>\"'&"
    rows = [Axis(axis.key, hostile) for axis in table.rows]
    page = filled(
        "index.html.j2",
        gathered(tmp_path, replace(table, rows=rows, title=hostile, caption=hostile, note=hostile)),
    )
    assert "<img" not in page
    assert page.count("</script>") == 2  # the data's and the program's


def test_figures_beyond_the_supplements_are_shown_by_their_names(complete, table):
    figures = {figure["name"]: figure for figure in gathered(complete, table)["figures"]}
    assert figures["fig_a1"]["title"] == "Figure A.1"
    assert figures["fig_a1"]["picture"]["width"] == 1200
    assert figures["fig_a1"]["picture"]["height"] == 240
    (complete / "demo/figures/own_choice.png").write_bytes(
        (complete / "demo/figures/fig_a1.png").read_bytes()
    )
    assert gathered(complete, table)["figures"][-1]["title"] == "own choice"


def test_links_lead_from_wherever_the_page_lies(complete, table, tmp_path):
    page = gather(PresetFiles(complete, "demo", tmp_path / "elsewhere" / "page.html"), [table])
    href = page["cells"][KEY]["files"][0]["href"]
    assert (tmp_path / "elsewhere" / href).resolve() == (
        complete / "demo/cells/table_a1/10/kmeans.json"
    ).resolve()


def test_long_curves_are_thinned_and_keep_their_ends(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(
        "epoch,step,lr,images_per_s,ended,loss,late\n"
        + "".join(f"{i},{i},1,1,1,{i / 3},{i if i > 500 else ''}\n" for i in range(1000))
    )
    thinned = curves(log)
    assert len(thinned["epoch"]) == MAX_POINTS
    assert (thinned["epoch"][0], thinned["epoch"][-1]) == (0, 999)
    assert thinned["loss"][-1] == 333.0
    assert thinned["late"][0] is None
    log.write_text("epoch,step,loss\n")
    assert curves(log) == curves(tmp_path / "none.csv") == {}


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (12240, "3.4 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("arguments", [[], ["--now"]])
def test_the_command_writes_the_page_of_what_exists(partial, monkeypatch, arguments):
    monkeypatch.setattr(
        "sys.argv", ["cld page", "--results", str(partial), "--tables", "table_a1", *arguments]
    )
    main()
    page = (partial / "demo/index.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and ">missing<" in page
