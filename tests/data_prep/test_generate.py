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
    with pytest.raises(InputError, match="workers is 0"):
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


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "data_prep", "generate", *arguments], capture_output=True, text=True
    )


def test_command_writes_a_source(tmp_path):
    done = run("--preset", "demo", "--source", "cifar10", "--out", str(tmp_path / "x"), "train=10", "test=5")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "x" / MARKER).read_text())["settings"]["train"] == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--preset", "demo", "--source", "cifar10", "trian=5"],
            "cifar10 generator: unknown key 'trian'; did",
        ),
        (["--preset", "demo", "--source", "folder"], "folder generator: no generator writes the format"),
        (
            ["--preset", "paper", "--source", "voc"],
            "voc generator: the preset 'paper' takes real files; fetch",
        ),
        (["--preset", "demo", "--source", "gmu_kitchens", "frames=4"], "gmu_kitchens generator: unknown key"),
    ],
)
def test_command_says_what_is_wrong_in_one_line(arguments, message, tmp_path):
    done = run(*arguments[:4], "--out", str(tmp_path / "x"), *arguments[4:])
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x").exists()
