"""pyproject.toml, environment.yml and requirements.lock install the same versions."""

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["dev"]]


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
    assert locked()[requirement.name] == str(requirement.specifier)
    assert requirement.specifier.contains(version(requirement.name))


def test_pre_commit_runs_the_pinned_formatters():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    pinned = {dependency for hook in hooks for dependency in hook["additional_dependencies"]}
    assert pinned <= set(declared())
