"""The generators' command and folders; what each format holds is in test_generated_files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cld.runtime.errors import InputError
from data_prep.common.build_lock import only_build
from data_prep.common.settings import GENERATE_SCHEMAS, generator_settings
from data_prep.synthetic.generate_command import MARKER, WRITERS, generate


def make(name: str, out: Path, workers: int = 1) -> Path:
    generate(name, generator_settings("demo", name, {"train": 60, "test": 30}), out, workers)
    return out


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_every_format_has_a_writer():
    assert GENERATE_SCHEMAS.keys() == WRITERS.keys()


def test_earlier_files_are_replaced_and_anything_else_is_not(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    make("cifar100", root)  # an empty folder
    (root / "old").touch()
    make("cifar10", root)  # of another format, but generated
    assert {path.name for path in root.iterdir()} == {"cifar-10-batches-py", MARKER}
    marker = json.loads((root / MARKER).read_text())
    assert marker == {"format": "cifar10", "settings": {"train": 60, "test": 30, "seed": 0}}
    before = contents(root)
    with pytest.raises(ValueError, match="greater than 0"):
        make("cifar10", root, workers=0)
    assert contents(root) == before  # of a generator that failed, nothing is left
    (root / MARKER).unlink()  # now it could be the published data
    with pytest.raises(InputError, match="was not generated"):
        make("cifar10", root)
    assert contents(root).items() < before.items()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="was not generated"):
        make("cifar10", tmp_path / "file")
    with pytest.raises(InputError, match=r"file/data: cannot be written \("):
        make("cifar10", tmp_path / "file" / "data")
    assert {path.name for path in tmp_path.iterdir()} == {"data", "file"}


def test_two_generators_of_one_folder(tmp_path):
    root = tmp_path / "data"
    with only_build(root), pytest.raises(InputError, match=r"data: process \d+ of .* is building it now"):
        make("cifar10", root)


def test_command_says_what_is_wrong_in_one_line(tmp_path):
    command = [sys.executable, "-m", "data_prep", "generate", "--preset", "demo", "--source", "cifar10"]
    done = subprocess.run([*command, "--out", str(tmp_path / "x"), "trian=5"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: cifar10 generator: unknown key 'trian'; did you mean 'train'?")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x").exists()
