"""Stores, checkpoints, scores, archives, published files: cut short, with flipped bytes, of other content."""

import copy
import io
import json
import os
import pickle
import random
import sys

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from test_yaml_inputs import changed

from cld.data.store_checksums import combined, seal


def damaged(content, rng, n):
    """The bytes cut short, with something behind them; ``n`` times with a bit flipped and a piece zeroed."""
    yield from (b"", content[: len(content) // 2], content[:-1], content + b"\0" * 100)
    for _ in range(n):
        place = rng.randrange(len(content))
        yield content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
        yield content[:place] + bytes(40) + content[place + 40 :]


def hdf5_with(path, change):
    """A store's bytes with a change made by h5py, and checksums that say so."""
    file = io.BytesIO(path.read_bytes())
    with h5py.File(file, "r+") as store:
        change(store)
        try:
            seal(store)
            store.attrs["checksum"] = combined(store)
        except Exception:  # no longer a store that can be sealed
            pass
    return file.getvalue()


def store_changes(kind):
    """Stores that are valid HDF5 and no valid stores."""
    images = "images" if kind == "cifar10" else "jpeg"
    for name in ("train", "test", f"train/{images}", "test/labels", "train/offsets", "train/boxes"):
        yield lambda store, name=name: store.pop(name, None)
    described = ("format", "version", "kind", "classes", "mean", "preset", "dataset", "config")
    for name in (*described, "sources", "checksum"):
        yield lambda store, name=name: store.attrs.pop(name)
        for value in (3, "é", "[", b"\xff", np.nan, [1.0, 2.0]):
            yield lambda store, name=name, value=value: store.attrs.__setitem__(name, value)

    def replaced(name, value):
        def change(store):
            if name in store:
                del store[name]
                store[name] = value

        return change

    odd = (np.zeros(0, np.int64), np.arange(5.0), np.full((3, 2), 2**40), np.full(200, 99), np.full(200, -7))
    arrays = (images, "labels", "offsets", "boxes", "sha256")
    for name in ("test/labels", *(f"train/{name}" for name in arrays)):
        yield from (replaced(name, value) for value in odd)
    yield replaced("train/labels", 3)
    yield replaced("train", 3)


def tried_on(tried, world, file, contents, doors):
    """Try commands on contents of a file in its place."""
    for number, content in enumerate(contents):
        with world.edited(file, content):
            for program, *argv in doors:
                tried.fresh()
                tried(f"{file} {number}", program, *argv)


@pytest.mark.parametrize("dataset", ["cifar10", "voc07"])
def test_a_damaged_store(world, tried, dataset):
    path, rng = world.path(f"stores/{dataset}.h5"), random.Random(dataset)
    doors = [["cld", "verify", path], ["cld", "verify", "--info", path]]
    tried_on(tried, world, path, damaged(path.read_bytes(), rng, 20), doors)
    score, picture = world.out / "s.json", ["--card", world.out / "c.md", "--figure", world.out / "c.png"]
    doors += [["cld", *world.evaluate_arguments("knn", score, dataset)]]
    train = world.train_arguments("npid", world.out / "run", "optimiser.epochs=0", dataset=dataset)
    doors += [["cld", *train]]
    contents = [hdf5_with(path, change) for change in store_changes(dataset)]
    tried_on(tried, world, path, contents, doors)
    doors = [
        ["cld", "card", "--store", path, *picture],
        ["cld", *world.evaluate_arguments("chance", score, dataset)],
    ]
    tried_on(tried, world, path, contents[::7], doors)
    beside = path.with_name(f"{path.name}.sha256")
    tried_on(tried, world, beside, [b"", b"\xff", b"0" * 64, b"a b c\n" * 9], [["cld", "verify", path]])


def test_a_damaged_checkpoint(world, tried):
    path, rng = world.path(f"runs/{world.run}/checkpoint.pt"), random.Random(0)
    evaluate = ["cld", *world.evaluate_arguments("knn", world.out / "s.json")]
    export = ["cld", "export", path, "--preset", "tiny", "--out", world.out / "e"]
    train = ["cld", *world.train_arguments("npid", path.parent)]
    tried_on(tried, world, path, damaged(path.read_bytes(), rng, 15), [evaluate, export])
    content = torch.load(path, weights_only=True)
    contents = []
    for part in [None] * 25 + list(content) * 2:
        other = copy.deepcopy(content)
        if part is None:
            other["config"] = changed(content["config"], rng)
        else:
            odd = [None, 3, "x", {}, [1], {"a": torch.zeros(2)}, torch.full((2,), torch.nan)]
            other[part] = rng.choice(odd)
        torch.save(other, file := io.BytesIO())
        contents.append(file.getvalue())
    tried_on(tried, world, path, contents, [evaluate, export, train])


def test_an_odd_file_to_import(world, tried):
    good = torch.load(world.folder / "odd files/backbone.pth", weights_only=True)
    name = next(iter(good))
    contents = {
        "nothing": {},
        "a list": [1, 2],
        "a tensor": torch.zeros(3),
        "other names": {f"m.{key}x": value for key, value in good.items()},
        "another shape": good | {name: torch.zeros(2, 2)},
        "no numbers": good | {name: "text"},
        "one is missing": {key: value for key, value in good.items() if key != name},
        "NaN": good | {name: torch.full_like(good[name], torch.nan)},
        "keys that are none": {3: good[name], None: 4},
        "nested": {"state_dict": {"model": {"state_dict": good}}},
        "sparse": good | {name: good[name].to_sparse()},
        "complex": good | {name: good[name].to(torch.complex64)},
    }
    path = world.folder / "odd files/backbone.pth"
    arguments = ["--name", "n", *world.tiny("--dataset", "cifar10"), "--run-dir", world.out / "i"]
    saved = []
    for content in contents.values():
        torch.save(content, file := io.BytesIO())
        saved.append(file.getvalue())
    saved += [b"", b"PK\x03\x04", pickle.dumps(os.getcwd), *damaged(path.read_bytes(), random.Random(1), 8)]
    doors = [["cld", "import", path, *arguments], ["cld", "import", path, *arguments, "--prefix", "m"]]
    tried_on(tried, world, path, saved, doors)
    tensors = path.with_suffix(".safetensors")
    tensors.touch()
    heads = (b"\xff" * 8 + b"{}", (2).to_bytes(8, "little") + b"{}", (9).to_bytes(8, "little") + b'{"a": 1}x')
    odd = [b"", *heads]
    tried_on(tried, world, tensors, odd, [["cld", "import", tensors, *arguments]])


@pytest.mark.parametrize("file", ["score", "trial", "subset", "cell", "log", "config"])
def test_a_file_of_results_that_is_another(world, tried, file):
    """Each is read by what follows it, and by tables, page and status."""
    rng, results = random.Random(file), world.folder / "results"
    score, store = world.path(f"scores/{world.run}/knn.json"), world.path("stores/cifar10.h5")
    other = next(world.path("scores").glob("r2/knn.json"))
    place = ["--table", "table_a1", "--row", "8", "--column", "kmeans"]
    cell = ["cld", "cell"]
    cell += world.tiny(*place, "--scores", score, "--out", world.path("cells/table_a1/8/kmeans.json"))
    world.made(*cell)
    now = ["--now", "--tables", "table_a1"]
    look = [["cld", "tables", *now, "--results", results], ["cld", "page", *now], ["cld", "status"]]
    look += [["cld", "plan", "--tables", "table_a1"]]
    trial = ["--trials", world.path("trial.json"), "--score", world.out / "s.json"]
    path, doors = {
        "score": (score, [*look, ["cld", "compare", "--a", score, "--b", other], cell]),
        "trial": (
            world.path("trial.json"),
            [["cld", "semisup", "choose", *world.tiny("--store", store), *trial]],
        ),
        "subset": (
            world.path("subset.json"),
            [["cld", "semisup", "trial", *world.trial_arguments(world.out / "t.json")]],
        ),
        "cell": (world.path("cells/table_a1/8/kmeans.json"), look[1:]),
        "log": (world.path(f"runs/{world.run}/log.csv"), look[1:]),
        "config": (world.path(f"runs/{world.run}/config.yaml"), look[1:]),
    }[file]
    content = path.read_bytes()
    contents = [*damaged(content, rng, 3)]
    contents += [b"null", b"[]", b"{}", b"3", b"\xff", b"NaN", b"[" * 3000, b"a,b\n1"]
    if path.suffix == ".json":
        contents += [json.dumps(changed(json.loads(content), rng)).encode() for _ in range(15)]
    tried_on(tried, world, path, contents, doors)


def test_a_damaged_archive_of_results(world, tried):
    path = world.folder / "odd files/r.tar.gz"
    unpack = ["cld", "unpack", path, "--results", world.out / "u"]
    tried_on(tried, world, path, damaged(path.read_bytes(), random.Random(2), 15), [unpack])


def test_damaged_files_of_a_publisher(world, tried):
    rng = random.Random(3)
    for dataset, source in {"cifar10": "cifar10", "voc07": "voc"}.items():
        build = ["data_prep", "build", *world.build_arguments(dataset, source, world.out / "s")]
        files = sorted(path for path in world.path(f"data/{source}").rglob("*") if path.is_file())
        for path in rng.sample(files, 7):
            tried_on(tried, world, path, damaged(path.read_bytes(), rng, 2), [build])


def test_odd_images_of_ones_own(world, tried):
    def encoded(mode, size, kind, **options):
        Image.new(mode, size, 1).save(file := io.BytesIO(), kind, **options)
        return file.getvalue()

    good = encoded("RGB", (30, 20), "PNG")
    odd = [encoded(mode, (9, 9), "PNG") for mode in ("1", "L", "LA", "P", "RGBA", "I;16")]
    odd += [encoded("CMYK", (9, 9), "JPEG"), encoded("RGB", (1, 1), "PNG"), encoded("RGB", (3000, 2), "PNG")]
    odd += [encoded("RGB", (9, 9), "GIF"), encoded("F", (9, 9), "TIFF"), b"", b"text", b"\x89PNG\r\n\x1a\n"]
    odd += damaged(good, random.Random(4), 20)
    odd += damaged(encoded("RGB", (40, 40), "JPEG"), random.Random(5), 20)
    path, arguments = world.folder / "photos/a/0.png", world.build_arguments("folder", "", world.out / "s")
    arguments[arguments.index("--root") + 1] = world.folder / "photos"
    doors = [
        ["data_prep", "build", *arguments, f"kind={kind}", "max_bad_share=0.5"] for kind in ("arrays", "jpeg")
    ]
    tried_on(tried, world, path, odd, doors)


def test_in_processes_of_their_own(world, tried):
    """Some of all that, as a user starts it: the exit status is the process's."""
    store = world.path("stores/cifar10.h5")
    cases = [["cld", command] for command in ("nothing", "train", "config", "verify", "compare")]
    cases += [
        ["cld", "config", *world.tiny("--dataset", "cifar10", "--method", "npid", value)]
        for value in ("=", "x", "cld=[", "queue.size=é\n")
    ]
    cases += [["cld", "verify", file] for file in (store, world.folder / "odd/bytes")]
    cases += [["cld", "export", store, "--out", world.out / "e"], ["cld"], ["cld", "--help"]]
    cases += [["data_prep"], ["data_prep", "build", "--x"]]
    cases += [["data_prep", "fetch", *world.tiny("--source", "x", "--root", "r", "--receipt", "r")]]
    for program, *argv in cases:
        tried.fresh()
        tried("process", program, *argv, launcher=[sys.executable, "-m"])
