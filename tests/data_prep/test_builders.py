"""What every builder does alike, on a toy source of each family."""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import NamedTuple

import h5py
import numpy as np
import pytest
import toy_cifar
import toy_devkit
import toy_imagenet
import toy_stl10
from build_outputs import facts
from PIL import Image
from torchvision import datasets

from cld.config import load_source
from cld.data import read_info, verify
from cld.runtime.errors import InputError
from data_prep.common.build_lock import only_build
from data_prep.common.build_record import Target
from data_prep.common.settings import BUILDERS, build_schema, settings_from
from data_prep.common.source_files import published_md5s


def write_folder(root):
    for split, n in {"train": 5, "test": 2}.items():
        for label, name in enumerate(("apple", "pear")):
            for k in range(n):
                path = root / split / name / f"{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng((label, k, n)).integers(0, 256, (9, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(path)


class Family(NamedTuple):
    """A builder and a toy source: its images by split, a file that is needed, an image that may be bad."""

    builder: str
    write: Callable[[Path], object]
    settings: Mapping[str, object]
    sizes: Mapping[str, int]
    needed: str
    image: str | None = None


ANY_NUMBER = {"expect": {}}
VOC_SETS = {"train": [[2007, "trainval"]], "test": [[2007, "test"]]}
VOC_IMAGE = "VOCdevkit/VOC2007/JPEGImages/000007.jpg"
ARRAYS = {"kind": "arrays", "image_size": 8, "max_bad_share": 0.0}
JPEGS = {"kind": "jpeg", "max_bad_share": 0.0}
CIFAR = Family(
    builder="cifar",
    write=toy_cifar.write_cifar,
    settings=ANY_NUMBER,
    sizes={"train": 100, "test": 10},
    needed="cifar-10-batches-py/data_batch_3",
)
STL10 = Family(
    builder="stl10",
    write=toy_stl10.write_stl10,
    settings=ANY_NUMBER,
    sizes=toy_stl10.COUNTS,
    needed="stl10_binary/test_y.bin",
)
IMAGENET = Family(
    builder="imagenet",
    write=toy_imagenet.write_trees,
    settings=ANY_NUMBER,
    sizes={"train": 20, "test": 8},
    needed="val",
    image="train/n02012849/n02012849_20.JPEG",
)
VOC = Family("voc", toy_devkit.write_devkit, VOC_SETS, {"train": 6, "test": 3}, "VOCdevkit", VOC_IMAGE)
FOLDER = Family("image_folder", write_folder, ARRAYS, {"train": 10, "test": 4}, "", "train/apple/3.png")
FAMILIES = {
    "cifar": CIFAR,
    "stl10": STL10,
    "imagenet": IMAGENET,
    "voc": VOC,
    "folder of arrays": FOLDER,
    "folder of JPEGs": FOLDER._replace(settings=JPEGS),
}
COUNTED = [name for name, family in FAMILIES.items() if family.builder != "image_folder"]
SKIPPING = [name for name, family in FAMILIES.items() if family.image]


@pytest.fixture(params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


@pytest.fixture
def root(family, tmp_path):
    family.write(tmp_path / "source")
    return tmp_path / "source"


@pytest.fixture
def build(family, root, target):
    """Build the toy source; returns the store's description."""

    def run(target=target, workers=1, **changes):
        values = family.settings | changes
        settings = settings_from(build_schema(family.builder), values, "build settings")
        return resolve_name(BUILDERS[family.builder])(root, settings, target, workers)

    return run


def test_a_store_is_the_same_again_and_whole_until_a_byte_flips(family, build, root, target):
    info = build()
    report = facts(target)
    assert info.sizes == report["counts"]["splits"] == family.sizes
    assert (report["status"], report["source"]) == ("built", info.sources)
    assert (info.sources["root"], info.config) == ("source", report["settings"] | info.config)
    files = (target.store, target.manifest, target.report)
    first = [path.read_bytes() for path in files]
    target.store.unlink()
    build(workers=2)
    assert [path.read_bytes() for path in files] == first
    assert not any(str(root).encode() in content for content in first)
    assert ": whole (" in verify(target.store)
    written = {path.suffix for path in target.store.parent.iterdir()}
    assert written == {".h5", ".sha256", ".csv", ".md", ".json"}
    with h5py.File(target.store) as store:
        name = "train/jpeg" if "jpeg" in store["train"] else "train/images"
        place = store[name].id.get_offset() or store[name].id.get_chunk_info(0).byte_offset
    spoilt = bytearray(target.store.read_bytes())
    spoilt[place + 50] ^= 1
    target.store.write_bytes(spoilt)
    with pytest.raises(InputError, match=r"is damaged|cannot be read"):
        verify(target.store)


def test_what_is_missing_is_named(family, build, root, target):
    path = root / family.needed
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError, match=rf"{root}.*: (no such|neither a) f") as caught:
        build()
    assert "\n" not in str(caught.value)
    assert not target.store.exists()


@pytest.mark.parametrize("family", [FAMILIES[name] for name in COUNTED], ids=COUNTED)
def test_another_number_of_images_than_expected_is_named(family, build, target):
    n = family.sizes["train"]
    build(expect={"train": n, "test": None})
    target.store.unlink()
    with pytest.raises(InputError, match=f"{n} images in split 'train', expected 5011; fetch"):
        build(expect={"train": 5011})
    assert not target.store.exists()


@pytest.mark.parametrize("family", [CIFAR, STL10], ids=["cifar", "stl10"])
def test_published_checksums_are_held_to(family, build, root, target, monkeypatch):
    name = DATASETS[family.builder]
    target = dataclasses.replace(target, dataset=name, preset="paper")
    fix = rf"its MD5 is \w{{32}}, the publisher's .*check_md5: false in config/sources/{name}\.yaml$"
    with pytest.raises(InputError, match=fix):
        build(target)
    source = load_source("paper", name)
    monkeypatch.setattr("cld.config.OF_SOURCE", {"check_md5": False})
    build(target)
    assert any("not held to their published MD5s" in note for note in facts(target)["notes"])
    monkeypatch.undo()
    md5s = {
        path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }
    monkeypatch.setattr("data_prep.common.source_files.load_source", lambda *_: source | {"expects": [md5s]})
    build(target)
    assert not any("MD5" in note for note in facts(target)["notes"])
    path = max((root / name for name in md5s), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[5000] ^= 4  # a pixel: nothing but the checksum can tell
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path.name}: its MD5 is"):
        build(target)


@pytest.mark.parametrize("source", ["cifar10", "cifar100", "stl10"])
def test_published_checksums_are_torchvisions(source):
    theirs = getattr(datasets, source.upper())
    listed = [*theirs.train_list, *theirs.test_list]
    if hasattr(theirs, "meta"):
        listed.append((theirs.meta["filename"], theirs.meta["md5"]))
    expected = {f"{theirs.base_folder}/{name}": md5 for name, md5 in listed}
    ours = {path: published.md5 for path, published in published_md5s("paper", source).items()}
    assert ours.items() >= expected.items()
    assert not published_md5s("demo", source)  # generated


@pytest.mark.parametrize("family", [FAMILIES[name] for name in SKIPPING], ids=SKIPPING)
def test_a_bad_image_ends_the_build_unless_the_settings_allow_it(family, build, root, target):
    os.truncate(root / family.image, 40)
    n = sum(family.sizes.values())
    with pytest.raises(InputError, match=rf"^source: 1 of {n} images are bad .*; fix the files") as caught:
        build()
    assert f"1 × image unreadable: {family.image}" in str(caught.value)
    assert not target.store.exists()
    assert facts(target)["status"] == "failed"
    info = build(max_bad_share=0.2)
    assert info.sizes == family.sizes | {"train": family.sizes["train"] - 1}
    (problem,) = facts(target)["problems"]["reasons"]["image unreadable"]
    assert problem["path"] == family.image
    assert family.image not in target.manifest.read_text()
    assert str(root) not in json.dumps(facts(target))


# the command

DATASETS = {
    "cifar": "cifar10",
    "stl10": "stl10",
    "imagenet": "imagenet",
    "voc": "voc07",
    "image_folder": "folder",
}


def command(family, root, target: Target, *overrides, before="", workers=2):
    options = {
        "--preset": "demo",
        "--dataset": DATASETS[family.builder],
        "--root": root,
        "--workers": workers,
    }
    options |= {f"--{name}": getattr(target, name) for name in ("store", "manifest", "report")}
    words = [str(word) for pair in options.items() for word in pair]
    run = f"{before}\nimport runpy; runpy.run_module('data_prep', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", run, "build", *words, *overrides], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("name", ["cifar", "voc"])
def test_the_command_builds_and_ends_bad_settings_in_one_line(name, tmp_path, target):
    family = FAMILIES[name]
    family.write(tmp_path / "source")
    done = command(family, tmp_path / "source", target, workers=1)
    assert done.returncode == 0, done.stderr
    info = read_info(target.store)
    assert (info.dataset, info.preset, info.sizes) == (DATASETS[family.builder], "demo", family.sizes)
    done = command(family, tmp_path / "source", target, "expectations={}")
    assert done.returncode == 2
    where = f"build settings of {DATASETS[family.builder]}"
    assert done.stderr.startswith(f"error: {where}: unknown key 'expectations'; ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("name", "most"), [("cifar", 100_000), ("imagenet", 5_000)])
def test_a_file_size_limit_ends_in_one_line(name, most, tmp_path, target):
    """A write that really fails, in mid-store, as on a full disk."""
    FAMILIES[name].write(tmp_path / "source")
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))"
    done = command(FAMILIES[name], tmp_path / "source", target, before=limit)
    assert done.returncode == 2, done.stderr
    assert re.search(r"/s\.h5.*: cannot be written", done.stderr) and "Traceback" not in done.stderr
    assert not target.store.exists()


def test_a_second_build_at_once_is_refused(tmp_path, target):
    toy_cifar.write_cifar(tmp_path)
    with only_build(target.store):
        done = command(CIFAR, tmp_path, target)
    assert done.returncode == 2
    assert re.search(r"s\.h5: process \d+ of .* is building it now; wait for it", done.stderr)


def test_a_killed_build_leaves_no_store(tmp_path, target):
    toy_cifar.write_cifar(tmp_path)
    kill = "import os, cld.data.store_format as f; f.seal = lambda _: os.kill(os.getpid(), 9)"
    assert command(CIFAR, tmp_path, target, before=kill).returncode == -signal.SIGKILL
    assert not target.store.exists()
    assert {path.suffix for path in target.store.parent.glob(".*")} == {".h5", ".lock"}
    assert command(CIFAR, tmp_path, target).returncode == 0
    assert not list(target.store.parent.glob(".*"))
