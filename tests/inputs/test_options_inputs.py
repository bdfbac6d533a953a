"""Odd values of every key and every option on the command line, and of files in place of others."""

import pytest

from cld.config import flat, load_run

#: YAML that is rarely what a key wants.
ODD = (
    *("", "null", "true", "text", "'3'", "-1", "0", "1", "1.5", "1e2", "1e-400", "1e400", ".nan", ".inf"),
    *("-.inf", "10000000000000000000000", "0x10", "1_000", "2026-13-45", "!!bool x", 5000 * "1"),
    *("[]", "[1, [2]]", "[.nan, .nan]"),
    *("[1, 0.5]", "{}", "{a: {b: 1}}", "{1: 2, 1: 3}", "é\u202e日本", "'<img src=x>'", "${HOME}", "a: b: c"),
    *("[", "*a", "&a [*a]", "!!python/object/apply:os.system [id]", "!!binary aGk=", "!!set {a}", "'\\0'"),
    *("[" * 400, "%", "\t", "a\nb"),
)
#: Values of options; FILES of the world's folder ``odd`` are tried too.
TEXTS = ("", "-1", "nan", "inf", "1" + 30 * "0", "é\n日本", "no/such", "/dev/null")
FILES = ("empty", "bytes", "folder", "x.h5", "x.pt", "x.json")


@pytest.mark.parametrize("method", ("npid", "moco", "moco_v2", "infomin", "byol"))
def test_every_key_of_a_run(world, tried, method):
    run = load_run("tiny", "cifar10", method)
    keys = [*flat(run), *run, "no.such", "", "cld.", ".", "cld.weight.x"]
    if method != "npid":
        keys = [key for key in keys if key.startswith(("head", "queue", method))]
    arguments = world.tiny("--dataset", "cifar10", "--method", method)
    for key in keys:
        for value in ODD:
            tried(key, "cld", "config", *arguments, f"{key}={value}")


def commands(world):
    """Each command, with arguments that succeed."""
    path, out = world.path, world.out
    store, run = path("stores/cifar10.h5"), path(f"runs/{world.run}/checkpoint.pt")
    score = path(f"scores/{world.run}/knn.json")
    of_store = world.tiny("--store", store)
    picture = ["--figure", out / "a.png", "--csv", out / "a.csv"]
    name = ["--preset", "tiny", "--dataset", "cifar10"]
    yield "train", world.train_arguments("npid", out / "run", "cld.weight=0", "optimiser.epochs=0")
    for protocol in ("knn", "chance", "unsupervised"):
        yield protocol, world.evaluate_arguments(protocol, out / "score.json")
    yield "subset", ["semisup", "subset", *of_store, "--share", "0.3", "--out", out / "subset.json"]
    trial = ["--subset", path("subset.json"), "--lr", "0.1", "--head-multiplier", "1"]
    of_run = ["--checkpoint", run, "--out", out / "t.json", "--device", "cpu"]
    yield "trial", ["semisup", "trial", *of_store, *trial, *of_run]
    trials = ["--trials", path("trial.json"), "--score", out / "score.json", "--device", "cpu"]
    yield "choose", ["semisup", "choose", *of_store, *trials]
    yield "compare", ["compare", "--a", score, "--b", score, "--metric", "top1", "--out", out / "c.json"]
    yield "verify", ["verify", store]
    yield "config", ["config", *name, "--method", "npid", "--seed", "1"]
    imported = ["--name", "n", "--run-dir", out / "i", "--layout", "auto"]
    yield "import", ["import", world.folder / "odd/backbone.pth", *name, *imported]
    exported = ["--out", out / "e", "--scores", score, *of_store]
    yield "export", ["export", run, *exported]
    results = ["--preset", "tiny", "--results", world.folder / "results"]
    yield "plan", ["plan", *results, "--tables", "table_a1", "--seeds", "2", "--gpu", "a100"]
    yield "status", ["status", *results, "--run", world.run]
    cell = ["--table", "table_a1", "--row", "4", "--column", "kmeans", "--scores", score]
    yield "cell", ["cell", "--preset", "tiny", *cell, "--out", out / "cell.json"]
    yield "tables", ["tables", *results, "--tables", "table_a1", "--now"]
    yield "page", ["page", *results, "--tables", "table_a1", "--out", out / "p.html", "--now"]
    yield "pack", ["pack", *results, "--out", out / "r.tar.gz"]
    yield "unpack", ["unpack", world.folder / "odd/r.tar.gz", "--results", out / "unpacked"]
    kept = ["--pixel-knn", path("scores/cifar10/pixel_knn.json"), "--card", out / "c.md"]
    yield "card", ["card", "--store", store, *kept, "--figure", out / "c.png"]
    runs = ["--checkpoints", run, run, "--labels", "a", "b", "--queries", "2", "--split", "test"]
    yield "figure-a3", ["figure-a3", "--store", store, *runs, "--from", "train", "--device", "cpu", *picture]
    chosen = ["--key", "cld.weight", "--scores", *path("scores").glob("*/[ku]*.json")]
    yield "figure-choice", ["figure-choice", *chosen, "--metric", "top1", *picture]


def data_commands(world):
    """Those of data_prep."""
    out = world.out
    generated = ["--source", "cifar10", "--out", out / "g", "--workers", "1", "train=20", "test=10"]
    yield "generate", ["generate", *world.tiny(*generated)]
    yield "build", ["build", *world.build_arguments("cifar10", "cifar10", out / "s"), "--workers", "1"]
    receipt = ["--root", world.folder / "photos", "--receipt", out / "r.json", "--mirror", "http://[bad"]
    yield "fetch", ["fetch", *world.tiny("--source", "folder", *receipt)]


def variants(world, argv):
    """Each word but the first replaced by odd ones, or left out."""
    for i in range(1, len(argv)):
        head, equals, _ = str(argv[i]).rpartition("=")
        odd = [*TEXTS, *(world.folder / "odd" / name for name in FILES)]
        if not equals and head.startswith("--"):
            odd = ["--no-such"]
        elif "epochs" in head:  # so many that nobody sees the end
            odd = []
        for value in odd[i % 3 :: 3]:  # a third at each place: each is tried on many options
            yield [*argv[:i], f"{head}{equals}{value}", *argv[i + 1 :]]
        yield [*argv[:i], *argv[i + 1 :]]


@pytest.mark.parametrize("part", range(2))
def test_every_option_of_every_command(world, tried, part):
    """Half of the commands each: one process has one part."""
    for program, found in (("cld", commands(world)), ("data_prep", data_commands(world))):
        for name, argv in list(found)[part::2]:
            tried.fresh()
            done = tried(name, program, *argv)
            assert done.status == 0, f"{name}: {done}"
            for variant in variants(world, argv):
                tried.fresh()
                tried(name, program, *variant)
