"""Every configuration file, changed in every way that hands and editors change one."""

import copy
import random

import pytest
import yaml

#: What may stand in place of a value.
VALUES = (
    *(None, True, -1, 0, 1.5, 1e400, float("nan"), 10**40, "", "text", "é日本\n", "a/b", "..", "<b>", "{x}"),
    *([], [[1, [2]]], {}, {"a": {"b": 1}}, {"set": {"cld": 1}}, {"key": "x"}, [None], ["train"] * 3, "1e2"),
)
#: What may stand in place of a file.
CONTENTS = (
    *(b"", b"\n", b"null", b"[]", b"- a\n- b", b"text", b"\xff\xfe\x00", b"\x00", b"a: b: c", b"a:\n\t- b"),
    *(b"{", b"[" * 3000, b"a: &a [*a]", b"&a {a: *a}", b"a: 1\na: 2", b"? [1]\n: 2", b"a: !!python/none x"),
    *(b"--- 1\n--- 2", b"a: 2026-13-45", b"<<: 1", b"a: &a [1,1]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]"),
)
KINDS = {
    "": ("config", "run", "evaluation"),
    "presets/": ("tiny",),
    "tables/": ("table_a1", "table_a3"),
    "methods/": ("npid", "moco_v2"),
    "sources/": ("cifar10", "folder"),
    "datasets/": ("cifar10", "kitchen_hc", "folder", "voc07", "imagenet100", "stl10"),
}
FILES = [f"config/{kind}{name}.yaml" for kind, names in KINDS.items() for name in names]


def places(tree, path=()):
    """The path of every value within a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(tree, rng):
    """A copy with a value replaced, removed, renamed, doubled or moved down a level; what was done to it."""
    tree = copy.deepcopy(tree)
    *path, key = rng.choice(list(places(tree)))
    parent = tree
    for name in path:
        parent = parent[name]
    act = rng.choice(["value"] * 4 + ["remove", "rename", "nest", "swap"])
    if act == "value":
        parent[key] = rng.choice(VALUES)
    elif act == "nest":
        parent[key] = {str(key): parent[key]}
    elif act == "swap":
        parent[key] = copy.deepcopy(tree)
    else:
        value = parent.pop(key)
        if act == "rename" and isinstance(parent, dict):
            parent[rng.choice([f"{key}x", str(key).upper(), 7, "", "a b", None])] = value
    return tree


def doors(world, file):
    """The commands that read a file, cheapest first."""
    kind, name = file.removesuffix(".yaml").split("/")[-2:]
    run = ["--dataset", name if kind == "datasets" else "cifar10"]
    run += ["--method", name if kind == "methods" else "npid"]
    yield ["cld", "config", *world.tiny(*run)]
    if kind == "sources":
        out = ["--receipt", world.out / "r.json"]
        yield ["data_prep", "fetch", *world.tiny("--source", name, "--root", world.folder / "photos"), *out]
    if kind == "datasets":
        yield ["data_prep", "build", *world.build_arguments(name, "none", world.out / "s")]
    if kind == "tables":
        yield ["cld", "plan", "--tables", name]
        yield ["cld", "tables", "--now", "--tables", name]
    if name in ("evaluation", "tiny"):
        yield ["cld", *world.evaluate_arguments("chance", world.out / "s.json")]
    if name == "config":
        yield ["cld", "status"]


@pytest.mark.parametrize("file", FILES)
def test_a_changed_file(world, tried, file):
    good = (world.folder / file).read_text()
    tree, rng = yaml.safe_load(good), random.Random(file)
    contents = [*CONTENTS, *(good[:n].encode() for n in range(7, len(good), 1 + len(good) // 8))]
    contents += [yaml.safe_dump(changed(tree, rng), allow_unicode=True).encode() for _ in range(40)]
    for number, content in enumerate(contents):
        with world.edited(file, content):
            for program, *argv in doors(world, file):
                tried.fresh()
                what = content.decode(errors="replace")[:80] if number < len(CONTENTS) else number
                tried(what, program, *argv)
