"""A results folder with everything, one with half of it, an empty one; and a browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from results_tree import OTHER_CODE, write_cell, write_table
from system_packages import install

from cld.reporting.tables.spec import load_table

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def table():
    return load_table("table_a1", "demo")


@pytest.fixture(scope="session")
def complete(tmp_path_factory, table) -> Path:
    """The results folder with all of table_a1."""
    results = tmp_path_factory.mktemp("complete") / "results"
    write_table(results, table)
    return results


@pytest.fixture
def partial(tmp_path, table) -> Path:
    """The results folder with two cells, of different code; the runs of a third are under way."""
    results = tmp_path / "results"
    write_cell(results, table.cell("10", "kmeans"), 50.0)
    write_cell(results, table.cell("64", "kmeans"), 60.0, OTHER_CODE)
    return results


def installed_browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def can_be_driven() -> bool:
    """Whether the driver's shared library exists, which Chromium's package does not install."""
    return any(Path("/usr/lib").glob("*/libatomic.so.1"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium: the system's. In continuous integration it is installed where there is none."""
    if os.environ.get("CI") and (installed_browser() is None or not can_be_driven()):
        install("chromium", "libatomic1")
    executable = installed_browser()
    if executable is None or not can_be_driven():
        pytest.skip("no browser here; to test the page: apt-get install chromium libatomic1")
    with sync_playwright() as playwright:
        # a browser that root starts has no sandbox; this one reads our own files alone
        started = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield started
        started.close()
