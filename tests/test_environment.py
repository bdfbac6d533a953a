"""pyproject.toml, environment.yml, requirements.lock and the images install the same versions."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def declared():
    """Direct dependencies and those of all extras but ``bench``, which has other projects' packages."""
    extras = PROJECT["optional-dependencies"]
    others = [pin for name in extras if name != "bench" for pin in extras[name]]
    return [*PROJECT["dependencies"], *others]


def locked():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    return {pin.name.lower().replace("_", "-"): str(pin.specifier) for pin in pins}


def test_conda_installs_what_pyproject_names():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    assert sorted(pip) == sorted(declared())


@pytest.mark.parametrize("requirement", list(map(Requirement, declared())), ids=lambda r: r.name)
def test_the_lock_file_pins_the_same_version_and_it_is_installed(requirement):
    if requirement.marker and not requirement.marker.evaluate():
        return
    assert locked()[requirement.name.lower()] == str(requirement.specifier)
    assert requirement.specifier.contains(version(requirement.name))


def test_pre_commit_runs_the_pinned_formatters():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    pinned = {dependency for hook in hooks for dependency in hook["additional_dependencies"]}
    assert pinned <= set(declared())


def test_images_are_made_of_one_base_by_one_script_from_the_project_s_own_list():
    """The Dockerfile and the Apptainer definition, and with them conda's environment."""
    dockerfile, definition = (ROOT / "containers" / name for name in ("Dockerfile", "cld.def"))
    docker, apptainer = dockerfile.read_text(), definition.read_text()
    base = re.search(r"^FROM (\S+)$", docker, re.M)[1]
    assert re.search(r"^From: (\S+)$", apptainer, re.M)[1] == base
    python = re.fullmatch(r"python:([\d.]+)-slim-bookworm", base)[1]
    assert f"python={python}" in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    for text in (docker, apptainer):
        (command,) = re.findall(r"^(?:RUN|%post\n    cd /opt/cld\n   ) (.*)$", text, re.M)
        assert command == "containers/install.sh"
        assert "pip" not in text and "apt" not in text.replace("apptainer", "").replace("Apptainer", "")
        assert "PATH=/opt/venv/bin:$PATH" in text
    lines = (ROOT / "containers/install.sh").read_text().splitlines()
    assert "./install.sh /opt/venv '.[workflow,kitchen]'" in lines
    copied = re.findall(r"^COPY (.+) \S+$", docker, re.M)
    sources = {name for line in copied for name in line.split()}
    sources |= set(re.findall(r"^    (\S+) /opt/cld/\S+$", apptainer, re.M))
    build = {"pyproject.toml", "hatch_build.py", "requirements.lock"}
    assert {*build, "install.sh", "containers/install.sh"} <= sources
    assert all((ROOT / name).exists() for name in sources)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".git", ".venv", ".snakemake", "data", "results/*"} <= set(ignored)
