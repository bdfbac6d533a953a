"""``cld pack`` and ``cld unpack``: the round trip without Snakemake, and archives that must be refused."""

import gzip
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image
from results_tree import write_table

from cld.reporting import pack as packing
from cld.reporting import unpack as unpacking
from cld.reporting.pack import contents, write
from cld.reporting.tables.spec import load_table
from cld.reporting.unpack import unpack
from cld.runtime.errors import InputError

SCORE = "scores/a/knn.json"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """The results folder with all of table_a1 and a figure of pictures."""
    results = tmp_path_factory.mktemp("packed") / "results"
    write_table(results, load_table("table_a1", "demo"))
    return results


@pytest.fixture(scope="module")
def archive(results, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("archive") / "demo.tar.gz"
    write(file, "demo", contents("demo", results)[0])
    return file


def members(*files, preset="demo", **manifest):
    """An archive's members: a manifest, and these files of (name, content) with their checksums."""
    told = {
        "format": packing.FORMAT,
        "preset": preset,
        "code": {"version": "0.2.0", "commit": None, "dirty": None},
        "date": "2026-11-28T10:00:00+00:00",
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files},
    }
    content = [(packing.MANIFEST, json.dumps(told | manifest).encode()), *files]
    return [(tarfile.TarInfo(name), data) for name, data in content]


def pack(path: Path, *packed: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member, data in packed:
            member.size = member.size or len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def refused(path, tmp_path):
    """The message about an archive that leaves nothing behind."""
    with pytest.raises(InputError) as refusal:
        unpack(path, tmp_path / "out" / "results")
    assert not list((tmp_path / "out").rglob("*.*")) and not (tmp_path / "evil").exists()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_all_that_tables_are_rendered_from_travels_and_nothing_else(results, archive, tmp_path):
    manifest = unpack(archive, tmp_path)
    for name in manifest["files"]:
        there = results / "demo" / name
        if not name.startswith("config/"):
            assert (tmp_path / "demo" / name).read_bytes() == there.read_bytes()
            assert (tmp_path / "demo" / name).stat().st_mtime == pytest.approx(there.stat().st_mtime)
    found = {path.relative_to(tmp_path / "demo") for path in (tmp_path / "demo").rglob("*.*")}
    assert found == set(map(Path, manifest["files"]))
    suffixes = {"scores": {".json"}, "cells": {".json"}, "runs": {".yaml", ".csv"}, "figures": {".png"}}
    for kind, own in suffixes.items():
        assert {path.suffix for path in found if path.parts[0] == kind} == own
    assert Path("config/config.yaml") not in found and Path("config/tables/table_a1.yaml") in found
    unpack(archive, tmp_path)  # again: the same


def test_the_commands_say_what_is_missing_and_what_differs(results, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cld pack", "--preset", "demo", "--results", str(results)])
    packing.main()
    said = capsys.readouterr().out
    assert said.startswith("cld-demo.tar.gz: ") and "missing: " in said  # table_a2 and others
    old = {"version": "0.1.0", "commit": None, "dirty": None}
    files = ("config/methods/npid.yaml", b"a: 1"), ("config/methods/mine.yaml", b"a: 1"), (SCORE, b"{}")
    pack(tmp_path / "old.tar.gz", *members(*files, code=old))
    monkeypatch.setattr(sys, "argv", ["cld unpack", "old.tar.gz", "--results", "out"])
    unpacking.main()
    said = capsys.readouterr().out
    for part in (
        "3 files",
        "packed by cld 0.1.0; this is",
        "other content here: methods/npid.yaml",
        "not here: methods/mine.yaml",
    ):
        assert part in said


def test_images_that_must_not_be_passed_on_stay(results, monkeypatch):
    for figure, dataset in packing.IMAGES_OF.items():
        assert packing.is_restricted("paper", dataset) and not packing.is_restricted("demo", dataset)
        assert figure in ("fig_a1", "fig_a3")
    assert packing.is_restricted("paper", "folder")
    assert not packing.is_restricted("paper", "cifar10")
    assert isinstance(contents("demo", results)[0]["figures/fig_a1.png"], Path)
    monkeypatch.setattr(packing, "is_restricted", lambda preset, dataset: True)
    packed = contents("demo", results)[0]
    assert packed["figures/fig_a1.pdf"].startswith(b"%PDF")
    note = Image.open(io.BytesIO(packed["figures/fig_a1.png"]))
    assert note.size != Image.open(results / "demo/figures/fig_a1.png").size


def test_nothing_to_pack_is_one_line(tmp_path):
    with pytest.raises(InputError, match="has no scores that tables need"):
        contents("demo", tmp_path)


def test_files_that_are_there_are_not_replaced(archive, tmp_path):
    (name, *_) = (name for name in unpack(archive, tmp_path)["files"] if name.startswith("cells/"))
    (tmp_path / "demo" / name).write_text("mine")
    with pytest.raises(InputError, match="is there, with other content"):
        unpack(archive, tmp_path)
    assert (tmp_path / "demo" / name).read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    [
        "/tmp/evil.json",
        "../evil",
        "scores/../../evil/knn.json",
        "scores/../a.json",
        "scores/a/knn.pt",
        "runs/r/checkpoint.pt",
        "config/config.py",
        "index.html",
    ],
)
def test_names_that_no_archive_has_are_refused(name, tmp_path):
    path = pack(tmp_path / "a.tar.gz", *members((name, b"{}")))
    assert "which no such archive has" in refused(path, tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE])
def test_only_plain_files_are_unpacked(kind, tmp_path):
    manifest, (file, _) = members((SCORE, b""))
    file.type, file.linkname = kind, "../../../evil"
    assert "which no such archive has" in refused(
        pack(tmp_path / "a.tar.gz", manifest, (file, b"")), tmp_path
    )


def test_a_file_twice_or_unannounced_is_refused(tmp_path):
    twice = members((SCORE, b"{}"))
    assert "no such archive has" in refused(pack(tmp_path / "a.tar.gz", *twice, twice[1]), tmp_path)
    more = [*members(), members((SCORE, b"{}"))[1]]
    assert "no such archive has" in refused(pack(tmp_path / "b.tar.gz", *more), tmp_path)


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "LIMIT", 1 << 20)
    path = pack(tmp_path / "a.tar.gz", *members((SCORE, bytes(1 << 22))))
    assert path.stat().st_size < 1 << 14
    assert "more than 1 MB" in refused(path, tmp_path)


def test_what_is_damaged_is_refused(archive, tmp_path):
    manifest, _ = members((SCORE, b"{}"))
    other = pack(tmp_path / "a.tar.gz", manifest, (tarfile.TarInfo(SCORE), b"[]"))
    assert f"{SCORE} does not match its checksum" in refused(other, tmp_path)
    assert f"{SCORE} is missing" in refused(pack(tmp_path / "b.tar.gz", manifest), tmp_path)
    short = tmp_path / "c.tar.gz"
    short.write_bytes(archive.read_bytes()[:-5000])
    refused(short, tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not unpacked"),
        (b"text", "not unpacked"),
        (gzip.compress(b"text"), "not unpacked"),
        (None, "no such file"),
    ],
    ids=["empty", "text", "gzip", "missing"],  # gzip's bytes hold the time: no names for tests
)
def test_what_is_no_archive_is_one_line(content, reason, tmp_path):
    if content is not None:
        (tmp_path / "a.tar.gz").write_bytes(content)
    assert reason in refused(tmp_path / "a.tar.gz", tmp_path)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"format": 2}, "of format 2, by cld 0.2.0; this version reads 1"),
        ({"preset": "../demo"}, "does not match"),
        ({"preset": ".."}, "does not match"),
        ({"files": ["a"]}, "files: "),
        ({"code": None}, "code: "),
    ],
)
def test_a_manifest_of_another_kind_is_one_line(told, reason, tmp_path):
    assert reason in refused(pack(tmp_path / "a.tar.gz", *members(**told)), tmp_path)


def test_without_a_manifest_first_it_is_no_archive_of_results(tmp_path):
    path = pack(tmp_path / "a.tar.gz", members((SCORE, b"{}"))[1])
    assert "no archive of cld pack" in refused(path, tmp_path)
