"""The site builds without a warning and loads nothing from elsewhere; README's links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_page_loads_nothing_from_another_host(site):
    pages = list(site.glob("**/*.html"))
    assert len(pages) > 15
    for page in pages:
        loaded = re.findall(
            r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=[\"']?(https?:[^\"' >]+)", page.read_text()
        )
        assert loaded == [], page.name


def test_the_reference_has_every_public_function_of_the_losses(site):
    text = (site / "api.html").read_text()
    names = re.findall(r"^def ([a-z]\w+)", (ROOT / "cld/losses.py").read_text(), re.M)
    assert names and all(f'id="cld.losses.{name}"' in text for name in names)


def test_links_of_the_readme_lead_to_files_and_headings(site):
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", text)
    assert len(links) > 20
    for link in map("".join, links):
        file, _, heading = link.partition("#")
        assert (ROOT / file).exists(), link
        if heading:
            assert (
                f'id="{heading}"' in (site / file.removeprefix("docs/").replace(".md", ".html")).read_text()
            ), link


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
