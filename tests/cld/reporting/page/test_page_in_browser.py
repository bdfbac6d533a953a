"""The index page in a headless browser, opened from the file system."""

import shutil
from dataclasses import replace

import pytest

from cld.reporting.markup import filled
from cld.reporting.page.cells import PresetFiles
from cld.reporting.page.content import gather
from cld.reporting.tables.cell import built_cells
from cld.reporting.tables.render import write
from cld.runtime.files import read_json

pytestmark = pytest.mark.browser

FIRST = "table_a1/10/spectral"
SECOND = "table_a1/10/kmeans"
PHONE = {"width": 390, "height": 844}


def write_page(results, table):
    path = results / "demo" / "index.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        filled("index.html.j2", gather(PresetFiles(results, "demo", path), [table])), encoding="utf-8"
    )
    return path


@pytest.fixture(scope="session")
def complete_page(complete, table):
    return write_page(complete, table)


@pytest.fixture
def opened(browser):
    """``opened(path, ...)``: a page; it must neither load anything nor fail in its program."""
    contexts, requests, failures = [], [], []

    def open_page(path, address="", **settings):
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda message: failures.append(message.text) if message.type == "error" else None)
        page.goto(path.as_uri() + address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert failures == []
    assert {url.partition("#")[0].partition(":")[0] for url in requests} <= {"file", "data"}
    assert len([url for url in requests if url.startswith("file")]) == len(contexts)  # the pages themselves


def cell(page, key):
    return page.locator(f"[data-cell='{key}']")


def focused_cell(page):
    return page.evaluate("document.activeElement.dataset.cell")


def wait_for_focus(page, key):
    page.wait_for_function("key => document.activeElement.dataset.cell === key", arg=key)


def wait_for_address(page, address):
    page.wait_for_function("address => location.hash === address", arg=address)


def test_a_click_on_a_cell_shows_where_its_number_comes_from(opened, complete_page, table):
    page = opened(complete_page)
    cell(page, SECOND).click()
    dialog = page.locator("dialog[open]")
    text = dialog.inner_text()
    runs = table.cell("10", "kmeans").runs
    built = read_json(complete_page.parent / "cells" / f"{SECOND}.json", "")
    assert dialog.locator(".number").inner_text() == f"{built['value']:.1f} ± {built['std']:.1f} %"
    for part in (
        "10 · k-Means",
        "target at the paper's scale: 78.9 %",
        "Demo number, generated data, not a reproduction. It changes with seed and machine.",
        "snakemake --cores 2 --forcerun pretrain -- ",
        "26 s",
        "cld.n_groups",
        "a processor",
        "0.1.0 (1a2b3c4d)",
    ):
        assert part in text
    lines = dialog.get_by_role("img", name="loss over epochs 1 to 3, between 7.5 and 9.5").locator("polyline")
    assert lines.count() == len(runs)
    dialog.get_by_text("settings of its runs").click()
    assert "optimiser.batch_size" in dialog.inner_text()


def test_the_keyboard_alone_goes_from_cell_to_cell(opened, complete_page, table):
    page = opened(complete_page)
    reached = []
    for _ in range(100):
        page.keyboard.press("Tab")
        if focused_cell(page):
            reached.append(focused_cell(page))
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert set(reached) == {f"table_a1/{row}/{column}" for row, column in table.cells}
    cell(page, FIRST).focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog[open] h2").inner_text() == "10 · spectral"
    page.keyboard.press("Escape")
    wait_for_focus(page, FIRST)
    assert page.locator("dialog[open]").count() == 0
    page.keyboard.press("Tab")
    wait_for_focus(page, SECOND)
    page.keyboard.press("Enter")
    assert page.locator("dialog[open] h2").inner_text() == "10 · k-Means"
    for _ in range(60):  # Tab stays in the dialog, whatever it passes
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
        )
    page.keyboard.press("Escape")
    wait_for_focus(page, SECOND)


def test_a_cell_has_an_address(opened, complete_page):
    page = opened(complete_page, f"#cell/{SECOND}")
    assert page.locator("dialog[open] h2").inner_text() == "10 · k-Means"
    page.get_by_role("button", name="Next cell").click()
    wait_for_address(page, "#cell/table_a1/64/spectral")
    page.get_by_role("button", name="Close").click()
    wait_for_address(page, "#table_a1")
    wait_for_focus(page, "table_a1/64/spectral")
    cell(page, FIRST).click()
    wait_for_address(page, f"#cell/{FIRST}")
    page.go_back()
    page.locator("dialog[open]").wait_for(state="detached")
    for address in ("#cell/table_a1/10/none", "#cell/%E0%A4%A", "#cell/__proto__", "#cell"):
        assert opened(complete_page, address).locator("dialog[open]").count() == 0


def test_a_missing_cell_shows_the_command_that_makes_it(opened, partial, table):
    page = opened(write_page(partial, table))
    assert cell(page, FIRST).inner_text().startswith("missing")
    cell(page, FIRST).click()
    text = page.locator("dialog[open]").inner_text()
    assert f"snakemake --cores 2 {partial}/demo/cells/table_a1/10/spectral.json" in text
    assert "not begun" in text
    assert "--forcerun" not in text


def test_text_of_a_hostile_table_file_does_nothing(opened, complete, table, tmp_path):
    text = "<img src=x onerror='window.hit = 1'></td></script><script>window.hit = 1</script>"
    results = shutil.copytree(complete, tmp_path / "results")
    rows, columns = ([replace(axis, label=text) for axis in axes] for axes in (table.rows, table.columns))
    hostile = replace(table, rows=rows, columns=columns, title=text, caption=text, note=text, row_header=text)
    write(hostile, built_cells(hostile, results), results)
    for path in (write_page(results, hostile), results / "demo/tables/table_a1.html"):
        page = opened(path)
        assert page.evaluate("window.hit") is None
        assert text in page.evaluate("document.body.textContent")


def test_nothing_is_wider_than_a_phone(opened, complete_page, table, tmp_path):
    page = opened(write_page(tmp_path / "results", table), viewport=PHONE)  # everything is missing
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page = opened(complete_page, viewport=PHONE)
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for key in (SECOND, "table_a1/reference/pixels"):
        cell(page, key).click()
        for summary in page.locator("dialog summary").all():
            summary.click()
        assert page.evaluate("document.getElementById('details').scrollWidth") <= PHONE["width"]
        page.keyboard.press("Escape")


def test_text_can_be_read_in_the_light_and_in_the_dark(opened, complete_page):
    contrast = """() => {
        const luminance = (colour) => {
            const channels = colour.match(/[0-9.]+/g).slice(0, 3).map((c) => c / 255)
                .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
            return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2];
        };
        const ground = luminance(getComputedStyle(document.body).backgroundColor);
        return ["h1", ".made", ".notes", ".published", "nav a"].map((selector) => {
            const ink = luminance(getComputedStyle(document.querySelector(selector)).color);
            return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
        });
    }"""
    grounds = set()
    for scheme in ("light", "dark"):
        page = opened(complete_page, color_scheme=scheme)
        assert min(page.evaluate(contrast)) >= 4.5  # WCAG 2.1, AA
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


def test_a_command_is_copied_and_links_lead_to_files_that_exist(opened, complete_page):
    page = opened(complete_page, permissions=["clipboard-read", "clipboard-write"])
    cell(page, SECOND).click()
    page.locator("dialog[open] button.copy").first.click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").endswith("demo/cells/table_a1/10/kmeans.json")

    addresses = page.eval_on_selector_all("a", "links => links.map((link) => link.getAttribute('href'))")
    files = [address for address in addresses if not address.startswith("#")]
    assert len(files) > 10
    assert all((complete_page.parent / file).exists() for file in files)
