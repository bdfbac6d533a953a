"""The generators' command and folders; what each format holds is in test_generate_formats."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from data_prep.synthetic.generated_folder import MARKER

from cld.runtime.errors import InputError
from data_prep.common.lock import only_build
from data_prep.common.settings import GENERATE_SCHEMAS, generator_settings
from data_prep.synthetic.generate_command import WRITERS, generate

TINY = {
    "cifar10": {"train": 60, "test": 30},
    "cifar100": {"train": 60, "test": 30},
    "stl10": {"train": 10, "unlabelled": 30, "test": 10},
    "imagenet": {
        "listed_synsets": 3,
        "other_synsets": 1,
        "train_per_synset": 6,
        "val_per_synset": 2,
        "lt_most": 4,
        "lt_least": 1,
        "lt_val": 2,
    },
    "voc": {"trainval_2007": 10, "test_2007": 4, "trainval_2012": 10},
    "gmu_kitchens": {
        "n_scenes": 1,
        "frames_per_scene": 2,
        "unannotated_per_scene": 0,
        "width": 64,
        "height": 36,
    },
}


def make(name: str, out: Path, workers: int = 1, **changes: object) -> Path:
    generate(name, generator_settings("demo", name, TINY[name] | changes), out, workers)
    return out


def digests(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_format_is_tested():
    assert TINY.keys() == GENERATE_SCHEMAS.keys() == WRITERS.keys()


@pytest.mark.parametrize("name", ["cifar10", "stl10", "imagenet", "voc"])
def test_same_bytes_with_two_workers_and_others_with_another_seed(name, tmp_path):
    first = digests(make(name, tmp_path / "first"))
    assert digests(make(name, tmp_path / "again", workers=2)) == first
    other = digests(make(name, tmp_path / "other", seed=1))
    assert not {path for path in first.keys() & other.keys() if first[path] == other[path]} - {
        path for path in first if not path.endswith((".JPEG", ".jpg", "_X.bin", "batch_1", "test_batch"))
    }


def test_archives_are_the_same_bytes_again(tmp_path):
    first, again = (digests(make("imagenet", tmp_path / part, archives=True)) for part in ("1", "2"))
    assert first == again


@pytest.mark.parametrize("name", ["cifar10", "imagenet", "voc"])
def test_no_two_pictures_are_the_same(name, tmp_path):
    files = digests(make(name, tmp_path / "data"))
    pictures = [digest for path, digest in files.items() if path.endswith((".JPEG", ".jpg", "_batch", "_1"))]
    assert len(set(pictures)) == len(pictures) > 1


@pytest.mark.parametrize("name", GENERATE_SCHEMAS)
def test_marker_says_what_was_generated(name, tmp_path):
    marker = json.loads((make(name, tmp_path / "data") / MARKER).read_text())
    assert marker["format"] == name
    assert marker["settings"].items() >= TINY[name].items()
    assert marker["settings"]["seed"] == 0


def test_earlier_files_are_replaced_and_anything_else_is_not(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    make("cifar100", root)  # an empty folder
    (root / "old").touch()
    make("cifar10", root)  # of another format, but generated
    assert {path.name for path in root.iterdir()} == {"cifar-10-batches-py", MARKER}
    (root / MARKER).unlink()  # now it could be the published data
    before = digests(root)
    with pytest.raises(InputError, match="was not generated"):
        make("cifar10", root)
    assert digests(root) == before
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="was not generated"):
        make("cifar10", tmp_path / "file")
    assert {path.name for path in tmp_path.iterdir()} == {"data", "file"}


def test_two_generators_of_one_folder(tmp_path):
    root = tmp_path / "data"
    with only_build(root), pytest.raises(InputError, match=r"data: process \d+ of .* is building it now"):
        make("cifar10", root)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/data: cannot be written \("):
        make("cifar10", tmp_path / "file" / "data")


def test_failed_generator_leaves_the_earlier_files(tmp_path):
    root = make("cifar10", tmp_path / "data")
    before = digests(root)
    with pytest.raises(InputError, match="workers is 0"):
        make("cifar10", root, workers=0)
    assert digests(root) == before
    assert list(tmp_path.iterdir()) == [root]


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
