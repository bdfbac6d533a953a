"""A small ImageNet as published: trees, archives, development kit, a table of words, ImageNet-LT's lists."""

import io
from functools import cache

import numpy as np
from fetch_sources import tar_bytes
from jpeg_sources import encoded, pixels
from scipy.io import savemat

#: In no order: n02012849 and n03126707 are both called crane upstream.
WORDS = {
    "n03126707": "crane",
    "n01440764": "tench, Tinca tinca",
    "n02012849": "crane",
    "n13037406": "gyromitra",
}
SYNSETS = sorted(WORDS)
N_TRAIN, N_VAL = 5, 2
KIT = "ILSVRC2012_devkit_t12"


@cache
def contents():
    """The files of both trees: bytes by name, ``train/<synset>/<file>`` and ``val/<synset>/<file>``."""
    train = {
        f"train/{synset}/{synset}_{10 * i}.JPEG": encoded(pixels(100 * label + i, 40 + i, 30))
        for label, synset in enumerate(SYNSETS)
        for i in range(N_TRAIN)
    }
    shown = [SYNSETS[i % len(SYNSETS)] for i in range(N_VAL * len(SYNSETS))]
    val = {
        f"val/{synset}/ILSVRC2012_val_{number:08d}.JPEG": encoded(pixels(1000 + number, 30, 40))
        for number, synset in enumerate(shown, start=1)
    }
    return train | val


def write_trees(root, flat_val=False):
    for name, content in contents().items():
        folder, _, file = name.split("/")
        path = root / folder / file if flat_val and folder == "val" else root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def write_mapping(root):
    lines = (f"{synset} {words}\n" for synset, words in WORDS.items())
    (root / "LOC_synset_mapping.txt").write_text("".join(lines))


def write_solution(root):
    names = [name.split("/") for name in contents() if name.startswith("val")]
    lines = [f"{file.removesuffix('.JPEG')},{synset} 1 2 30 40 \n" for _, synset, file in reversed(names)]
    (root / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(lines))


def write_kit(root, changes=()):
    """The kit numbers the classes in an order of its own, and has synsets that are no classes.

    ``changes`` are other contents of its files by name, None to leave one out.
    """
    numbers = {synset: number for number, synset in enumerate(WORDS, start=1)}
    types = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(numbers[synset], synset, words, "gloss", 0) for synset, words in WORDS.items()]
    rows.append((len(rows) + 1, "n00001740", "entity", "gloss", 4))
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array(rows, dtype=types).reshape(-1, 1)})
    shown = [name.split("/")[1] for name in contents() if name.startswith("val")]
    truth = "".join(f"{numbers[synset]}\n" for synset in shown).encode()
    files = {"meta.mat": meta.getvalue(), "ILSVRC2012_validation_ground_truth.txt": truth} | dict(changes)
    packed = {f"{KIT}/data/{name}": content for name, content in files.items() if content is not None}
    (root / f"{KIT}.tar.gz").write_bytes(tar_bytes(packed))


def write_archives(root):
    root.mkdir(parents=True, exist_ok=True)
    files = [(*name.split("/"), content) for name, content in contents().items()]
    inner = {}
    for synset in WORDS:
        members = {file: content for folder, of, file, content in files if (folder, of) == ("train", synset)}
        inner[f"{synset}.tar"] = tar_bytes(dict(reversed(members.items())), "w")
    val = {file: content for folder, _, file, content in files if folder == "val"}
    (root / "ILSVRC2012_img_train.tar").write_bytes(tar_bytes(inner, "w"))
    (root / "ILSVRC2012_img_val.tar").write_bytes(tar_bytes(val, "w"))
    write_kit(root)
    return root


def write_lists(root, flat_val=True):
    """One to four training images a class, one for val; all of the validation images for test."""
    lines = {"train": [], "val": [], "test": []}
    names = [name.split("/") for name in contents()]
    for label, synset in enumerate(SYNSETS):
        files = [file for folder, of, file in names if (folder, of) == ("train", synset)]
        lines["train"] += [f"train/{synset}/{file} {label}" for file in files[: label + 1]]
        lines["val"].append(f"train/{synset}/{files[4]} {label}")
    for folder, synset, file in names:
        if folder == "val":
            lines["test"].append(f"val/{'' if flat_val else f'{synset}/'}{file} {SYNSETS.index(synset)}")
    (root / "ImageNet_LT").mkdir(exist_ok=True)
    for split, text in lines.items():
        (root / "ImageNet_LT" / f"ImageNet_LT_{split}.txt").write_text("\n".join(text) + "\n")
