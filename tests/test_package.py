"""What someone gets who installs the package without a checkout, and without the extras."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
#: Modules of the extras.
BLOCKED = ("snakemake", "open3d", "libusb_package", "pandas", "requests")
BLOCKER = f"""
import sys

finders = list(sys.meta_path)

class WithoutExtras:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in {BLOCKED}:
            return next(filter(None, (finder.find_spec(name, path, target) for finder in finders)), None)

sys.meta_path[:] = [WithoutExtras]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The project's wheel, unpacked as an installation unpacks it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("cld-*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def installed(wheel, code, *arguments):
    """Run Python code with the wheel's packages, in another folder, where the extras are missing."""
    environment = {**os.environ, "PYTHONPATH": str(wheel)}
    environment.pop("CLD_CONFIG", None)
    command = [sys.executable, "-c", BLOCKER + code, *arguments]
    return subprocess.run(command, cwd=wheel.parent, env=environment, capture_output=True, text=True)


def test_a_wheel_has_every_file_of_the_packages_and_the_configuration(wheel):
    expected = {
        str(path.relative_to(ROOT))
        for package in ("cld", "data_prep")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {
        f"cld/shipped_config/{path.relative_to(ROOT / 'config')}"
        for path in (ROOT / "config").rglob("*")
        if path.is_file()
    }
    found = {str(path.relative_to(wheel)) for path in wheel.rglob("*") if path.is_file()}
    assert {name for name in found if "dist-info" not in name} == expected


def test_the_package_needs_no_extra(wheel):
    modules = ("cld", "cld.losses", "cld.clustering", "cld.methods", "cld.training.loop")
    commands = ("cld.training.train_command", "cld.evaluation.evaluate_command")
    code = f"import {', '.join((*modules, *commands))}; print(cld.__file__)"
    done = installed(wheel, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(wheel / "cld/__init__.py")


def test_the_command_works_in_any_folder(wheel):
    run = ["--preset", "demo", "--dataset", "cifar10", "--method", "npid"]
    done = installed(wheel, "from cld.__main__ import main; main()", "config", *run)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["method"] == "npid"


def test_a_command_that_needs_an_extra_names_it(wheel):
    done = installed(wheel, "from cld.__main__ import main; main()", "figure-a2")
    assert done.returncode == 2
    assert done.stderr == "error: cld figure-a2: needs the package pandas; pip install 'cld[workflow]'\n"


def test_version_of_the_package_and_of_the_citation():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)[1] == version
