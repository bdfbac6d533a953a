"""Provenance: complete where it can be, silent where it cannot, cheap everywhere."""

import json
import platform
import subprocess
from datetime import datetime
from importlib import metadata

import pytest
import torch

from cld.runtime import provenance as module
from cld.runtime.provenance import provenance


def git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-m", "m")
    git(tmp_path, "tag", "v1")  # a tag does not take the commit's place
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def test_says_what_computed_and_when():
    record = provenance()
    assert set(record) == {"code", "libraries", "device", "threads", "date"}  # and not the machine's name
    assert record["code"]["version"] == metadata.version("cld")
    assert record["libraries"]["torch"] == metadata.version("torch")
    assert record["libraries"]["python"] == platform.python_version()
    assert record["threads"] == torch.get_num_threads()
    assert record["device"]
    assert datetime.fromisoformat(record["date"]).utcoffset().total_seconds() == 0
    assert json.loads(json.dumps(record)) == record


def test_names_the_commit_and_whether_the_code_differs_from_it(checkout):
    head = subprocess.run(
        ["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    code = provenance()["code"]
    assert (code["commit"], code["dirty"]) == (head, False)
    (checkout / "code.py").write_text("2")
    code = provenance()["code"]
    assert (code["commit"], code["dirty"]) == (head, True)


def test_does_without_git(checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    code = provenance()["code"]
    assert (code["commit"], code["dirty"]) == (None, None)


def test_an_installed_package_has_no_commit_even_inside_another_checkout(checkout, monkeypatch):
    packages = checkout / "venv/site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(module, "ROOT", packages)
    assert (provenance()["code"]["commit"], provenance()["code"]["dirty"]) == (None, None)
