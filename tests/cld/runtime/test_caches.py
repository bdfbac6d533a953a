"""Nothing that is compiled is shared between processes, kept in the home folder or left behind."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cld.config import format_overrides
from cld.run_id import overrides_of
from cld.runtime.caches import CACHES, LONGEST, own_caches


@pytest.fixture(autouse=True)
def temporary(monkeypatch, tmp_path):
    """An empty folder for temporary files, with a shorter name than ``tmp_path``."""
    for name in (*CACHES, "SLURM_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_caches_are_the_process_s_own_and_end_with_it(temporary):
    places = []
    for _ in range(2):
        with own_caches():
            places.append([Path(os.environ[name]) for name in CACHES])
            assert Path(tempfile.mkdtemp()).is_relative_to(Path(os.environ["TMPDIR"]))
            assert all(place.is_relative_to(temporary) for place in places[-1])
            places[-1][0].mkdir(parents=True)
        assert not list(temporary.iterdir())
    assert not set(places[0]) & set(places[1])
    assert not CACHES.keys() & os.environ.keys()


def test_where_names_of_sockets_would_grow_too_long_temporary_files_stay_where_they_were(
    temporary, monkeypatch
):
    long = temporary / ("x" * LONGEST)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with own_caches():
        assert tempfile.gettempdir() == str(long)
        assert Path(os.environ["TRITON_CACHE_DIR"]).is_relative_to(long)


def test_they_end_with_an_error_too(temporary):
    with pytest.raises(ZeroDivisionError), own_caches():
        _ = 1 / 0
    assert not list(temporary.iterdir())


def test_what_the_user_has_set_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "mine"))
    with own_caches():
        assert os.environ["TRITON_CACHE_DIR"] == str(tmp_path / "mine")
    assert os.environ["TRITON_CACHE_DIR"] == str(tmp_path / "mine")


@pytest.mark.parametrize("is_there", [True, False])
def test_a_job_s_own_disk_is_taken_where_it_is_there(monkeypatch, tmp_path, temporary, is_there):
    disk = tmp_path / "disk"
    if is_there:
        disk.mkdir()
    monkeypatch.setenv("SLURM_TMPDIR", str(disk))
    with own_caches():
        assert Path(os.environ["CUDA_CACHE_PATH"]).is_relative_to(disk if is_there else temporary)


@pytest.mark.skipif(not shutil.which("g++"), reason="compiling on a CPU needs g++")
def test_a_training_that_compiles_leaves_nothing_behind(tiny_run, tiny_store, tmp_path, temporary):
    config = tiny_run("npid", {"optimiser.epochs": 1, "speed.compile": True})
    command = [sys.executable, "-m", "cld", "train", "--preset", "demo", "--dataset", "kitchen_hc"]
    command += [
        "--method",
        "npid",
        "--store",
        str(tiny_store),
        "--run-dir",
        str(tmp_path / "run"),
        "--device",
        "cpu",
    ]
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {"HOME": str(home), "TMPDIR": str(temporary), "TORCH_LOGS": "+inductor"}
    shared = Path(f"/tmp/torchinductor_{os.environ.get('USER', 'root')}")
    before = set(shared.rglob("*"))
    done = subprocess.run(
        [*command, *format_overrides(overrides_of(config, "demo"))],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"{temporary}/cld-" in done.stderr  # it did compile, there
    assert list(home.rglob("*")) == list(temporary.iterdir()) == []
    assert set(shared.rglob("*")) == before
