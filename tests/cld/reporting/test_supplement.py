"""The supplement as one document: put together always, compiled where there is a LaTeX."""

import os
import re
import shutil
import zlib
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image
from results_tree import score
from system_packages import install

from cld.reporting.markup import tex
from cld.reporting.supplement import ENGINES, ORDER, assembled, compile_pdf
from cld.reporting.tables import render
from cld.reporting.tables.cell import summarise
from cld.reporting.tables.spec import load_table
from cld.runtime.errors import InputError

TABLES = [name for name in ORDER if name.startswith("table")]
FIGURES = [name for name in ORDER if name.startswith("fig")]
#: 40 s to install; the first engine that is there is used.
LATEX = ("texlive-latex-recommended", "texlive-latex-extra")


def keys(preset):
    """The addresses of all cells of the supplement's tables on the index page."""
    tables = [load_table(name, preset) for name in TABLES]
    return {"/".join(["cell", table.name, *place]) for table in tables for place in table.cells}


@pytest.fixture(scope="module", params=["demo", "paper"])
def made(request, tmp_path_factory):
    """A preset's name, and its folder with the supplement's tables and figures."""
    results = tmp_path_factory.mktemp("results")
    for name in TABLES:
        table = load_table(name, request.param)
        cells = {
            place: summarise(cell, [score(40.0, seed, f"r{seed}") for seed in cell.seeds or (None,)])
            for place, cell in table.cells.items()
        }
        render.write(table, cells, results)
    folder = results / request.param
    (folder / "figures").mkdir()
    for name in FIGURES:
        Image.new("RGB", (1380, 480), "navy").save(folder / f"figures/{name}.pdf")
    return request.param, folder


@pytest.fixture(scope="module")
def latex():
    """A TeX; in continuous integration it is installed where there is none."""
    if not any(map(shutil.which, ENGINES)) and os.environ.get("CI"):
        install(*LATEX)
    if not any(map(shutil.which, ENGINES)):
        pytest.skip(f"no TeX here; to compile the supplement: apt-get install {' '.join(LATEX)}")


def test_everything_stands_in_the_order_of_the_supplement(made):
    preset, folder = made
    text = assembled(preset, folder)
    places = [
        text.index(f"figures/{name}.pdf" if name in FIGURES else f"cell/{tex(name)}/") for name in ORDER
    ]
    assert places == sorted(places)
    assert "Checks of claims" in text or "Claims, which generated data" in text
    assert "Top-1 kNN accuracies on Kitchen-HC" in text and "Samples of multi-view" in text
    links = re.findall(r"\\cldcell\{(cell/.*?)\}\{", text)
    assert {unquote(re.sub(r"\\(.)", r"\1", link)) for link in links} == keys(preset)


def test_it_compiles_and_each_number_leads_to_its_cell(made, latex, tmp_path):
    preset, folder = made
    (folder / "supplement.tex").write_text(assembled(preset, folder))
    compile_pdf(folder / "supplement.tex")
    pdf = (folder / "supplement.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and {path.suffix for path in folder.glob("supplement*")} == {
        ".tex",
        ".pdf",
    }
    found = set()
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.S):
        try:
            found.update(re.findall(rb"/URI\s*\(index.html#(cell/[^)]*)\)", zlib.decompress(stream)))
        except zlib.error:
            continue
    assert {unquote(link.decode()) for link in found} == keys(preset)


def test_what_is_not_there_yet_is_named(tmp_path):
    with pytest.raises(InputError, match=r"fig_a1\.pdf: is not there yet; snakemake fig_a1 makes it"):
        assembled("demo", tmp_path)


def test_without_a_tex_it_ends_with_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        InputError, match="no TeX here to compile it; install one of tectonic, latexmk, pdflatex"
    ):
        compile_pdf(tmp_path / "a.tex")


def test_a_tex_that_fails_is_one_line(tmp_path, monkeypatch):
    engine = tmp_path / "tectonic"
    engine.write_text("#!/bin/sh\necho This is TeX\necho ! Undefined control sequence.\nexit 1\n")
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    Path(tmp_path / "a.tex").touch()
    with pytest.raises(InputError, match=r"a.tex: tectonic fails \(Undefined control sequence\.\); run it"):
        compile_pdf(tmp_path / "a.tex")
    assert not (tmp_path / "a.pdf").exists()
