"""Downloads from a server that misbehaves: what is asked for again, what is kept, what is said."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext

import fetch_sources
import pytest
from misbehaving_server import running_server

from cld.runtime.errors import InputError
from data_prep.fetch import disk, http
from data_prep.fetch.fetch_command import fetch_source
from data_prep.fetch.http import Patience

QUICK = Patience(timeout_s=0.3, retries=2, pause_s=0.01, longest_pause_s=1.0)
CONTENT = os.urandom(600_000)
ARCHIVE = fetch_sources.tar_bytes({"toy/a": CONTENT, "toy/b": b"b"}, "w")
FILE = "toy.tar"


@pytest.fixture
def server():
    with running_server() as server:
        server.files[FILE] = ARCHIVE
        yield server


@pytest.fixture
def source(server):
    return fetch_sources.source(server.address, {FILE: ARCHIVE}, {"toy/a": CONTENT, "toy/b": None})


@pytest.fixture
def root(tmp_path):
    return tmp_path / "toy"


def fetch(source, root, **options):
    return fetch_source("toy", source, root, patience=QUICK, **options)


def assert_whole(root):
    assert (root / "toy/a").read_bytes() == CONTENT
    assert {path.name for path in root.iterdir()} == {"toy", FILE, ".verified.json"}


def test_good_server_is_asked_once_and_never_again(server, source, root):
    receipt = fetch(source, root)
    assert_whole(root)
    assert server.requests == [(f"/{FILE}", None)]
    assert receipt["files"] == [
        {"path": "toy/a", "size": len(CONTENT), "md5": hashlib.md5(CONTENT).hexdigest()},
        {"path": "toy/b", "size": 1, "md5": None},
    ]
    assert fetch(source, root) == receipt
    assert len(server.requests) == 1


@pytest.mark.parametrize("step", ["stall", "truncate"])
def test_break_is_resumed_where_it_was(server, source, root, step):
    server.plan += [step, (503, {}), step, (429, {"Retry-After": "0"})]
    fetch(source, root)
    assert_whole(root)
    assert all(asked is not None for _, asked in server.requests[1:])
    # a break costs at most what was being read
    assert server.sent <= len(ARCHIVE) + 2 * http.CHUNK
    assert len(server.requests) == 5


def test_retry_after_is_obeyed(server, source, root, monkeypatch):
    pauses = []
    monkeypatch.setattr(http.time, "sleep", pauses.append)
    server.plan += [
        (503, {"Retry-After": "1"}),
        (503, {}),
        (503, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}),
    ]
    fetch_source("toy", source, root, patience=Patience(retries=3, pause_s=0.5, longest_pause_s=1.0))
    assert pauses == [1.0, 1.0, 0.0]
    assert_whole(root)


def test_pauses_grow_to_the_longest(server, source, root, monkeypatch):
    pauses = []
    monkeypatch.setattr(http.time, "sleep", pauses.append)
    server.plan += [(500, {})] * 5
    with pytest.raises(InputError, match=r"500 .*after 5 tries in vain.*data\.mirror"):
        fetch_source("toy", source, root, patience=Patience(retries=4, pause_s=1.0, longest_pause_s=5.0))
    assert pauses == [1, 2, 4, 5]


def test_wait_that_is_too_long_is_said_at_once(server, source, root):
    server.plan += [(503, {"Retry-After": "3600"})]
    with pytest.raises(InputError, match=r"503 .* come back in 3600 s; .*data\.mirror"):
        fetch(source, root)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refusal_is_said_at_once(server, source, root, status):
    server.plan += [(status, {})]
    with pytest.raises(InputError) as raised:
        fetch(source, root)
    message = str(raised.value)
    assert "\n" not in message
    for part in (
        f"{server.address}/{FILE}",
        str(status),
        "data.mirror",
        "config/config.yaml",
        str(root / FILE),
    ):
        assert part in message
    assert len(server.requests) == 1


def test_server_that_ignores_ranges_starts_over(server, source, root):
    server.plan += ["truncate", "no_range"]
    fetch(source, root)
    assert_whole(root)


def test_tries_that_bring_nothing_new_end(server, source, root):
    server.plan += ["stuck"] * 9  # each answer ends at the same place
    with pytest.raises(
        InputError, match=r"the connection .*, after 3 tries in vain; run again to go on with"
    ):
        fetch(source, root)
    assert len(server.requests) == 4  # the first brought something
    assert (root / f"{FILE}.part").stat().st_size > 0


def test_an_empty_answer_fails_its_checksum(server, source, root):
    server.files[FILE] = b""
    with pytest.raises(InputError, match=r"the MD5 of what came is d41d8cd98f00b204e9800998ecf8427e"):
        fetch(source, root)
    assert len(server.requests) == 1


@pytest.mark.parametrize("with_validators", [True, False])
@pytest.mark.parametrize("step", ["change", "ignore_if_range"])
def test_changed_file_is_not_spliced(server, source, root, step, with_validators):
    server.with_validators = with_validators
    server.changed_content = ARCHIVE
    server.files[FILE] = bytes(len(ARCHIVE))  # until it changes: as long, and another
    server.plan += ["truncate"]
    if step == "ignore_if_range":
        original = server.plan

        class Plan(type(original)):
            def popleft(self):
                if len(server.requests) == 2:
                    server.files[FILE], server.version = ARCHIVE, 1
                return super().popleft()

        server.plan = Plan([*original, step])
    else:
        server.plan += [step]
    fetch(source, root)
    assert_whole(root)


def test_part_of_another_length_is_dropped(server, source, root):
    root.mkdir()
    part = root / f"{FILE}.part"
    part.write_bytes(ARCHIVE + b"more")  # the server answers 416
    fetch(source, root)
    assert_whole(root)


@pytest.mark.parametrize("recorded", [True, False])
def test_complete_part_is_not_fetched_again(server, source, root, recorded):
    root.mkdir()
    part = root / f"{FILE}.part"
    part.write_bytes(ARCHIVE)
    if recorded:
        http.record_of(part).write_text(json.dumps({"url": "elsewhere", "length": len(ARCHIVE)}))
    fetch(source, root)
    assert_whole(root)
    assert server.sent == 0


def test_wrong_checksum_is_removed_and_the_next_try_starts_over(server, source, root):
    server.plan += ["corrupt"]
    with pytest.raises(InputError) as raised:
        fetch(source, root)
    bad = hashlib.md5(bytes([ARCHIVE[0] ^ 1]) + ARCHIVE[1:]).hexdigest()
    for part in (FILE, bad, hashlib.md5(ARCHIVE).hexdigest()):
        assert part in str(raised.value)
    assert not list(root.iterdir())
    fetch(source, root)
    assert_whole(root)


def test_mirror_replaces_all_before_the_name(server, source, root):
    source["archives"][0]["url"] = f"http://127.0.0.1:1/nowhere/{FILE}"
    fetch(source, root, mirror=f"{server.address}/some/where/")
    assert server.requests == [(f"/some/where/{FILE}", None)]


@pytest.mark.parametrize("mirror", ["nonsense", "ftp://nowhere", "http://", "http://[::1"])
def test_mirror_that_is_no_address_is_said_at_once(source, root, mirror):
    with pytest.raises(InputError, match=r"cannot be fetched .*data\.mirror"):
        fetch(source, root, mirror=mirror)


def test_server_that_is_not_there(source, root):
    with pytest.raises(
        InputError, match=r"^http://127.0.0.1:1/toy.tar: no connection \(Connection refused\), after 3"
    ):
        fetch(source, root, mirror="http://127.0.0.1:1")


def test_disk_that_is_too_small_is_said_before_a_byte_is_written(source, root, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    with pytest.raises(InputError, match=r"downloading toy.tar needs 1 MB and 0 MB are free"):
        fetch(source, root)
    assert (root / f"{FILE}.part").stat().st_size == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_full_disk_and_missing_permission_are_one_line(source, root, monkeypatch, number):
    def refuse(path, value):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(http, "write_json", refuse)
    with pytest.raises(
        InputError, match=rf"/toy\.tar\.part: cannot be written \({os.strerror(number)}\); "
    ) as raised:
        fetch(source, root)
    assert "\n" not in str(raised.value)


COMMAND = """
    import sys
    from pathlib import Path
    from cld import config
    from cld.runtime.errors import run_command
    config.CONFIG = Path(sys.argv.pop(1))
    from data_prep.fetch.fetch_command import main
    run_command(main)
"""


@pytest.fixture
def command(tmp_path, source):
    """The command line that fetches the toy source."""
    folder = fetch_sources.write_config(tmp_path / "config", source)
    program = [sys.executable, "-c", textwrap.dedent(COMMAND), str(folder)]
    arguments = [
        "--preset",
        "paper",
        "--source",
        "toy",
        "--root",
        tmp_path / "toy",
        "--receipt",
        tmp_path / "r.json",
    ]
    return [*program, *map(str, arguments)]


def test_killed_command_goes_on_where_it_was(server, command, root, tmp_path):
    server.plan += ["stall"]
    half, part = len(ARCHIVE) // 2, root / f"{FILE}.part"
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        # what is in a half-filled buffer is lost with the process
        while not part.exists() or part.stat().st_size <= half - http.CHUNK:
            assert process.poll() is None, "ended before the kill"
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept, sent = part.stat().st_size, server.sent
    assert not (tmp_path / "r.json").exists()
    subprocess.run(command, check=True, capture_output=True)
    assert_whole(root)
    assert server.requests[1:] == [(f"/{FILE}", f"bytes={kept}-")]
    assert server.sent - sent == len(ARCHIVE) - kept
    assert json.loads((tmp_path / "r.json").read_text())["source"] == "toy"


def test_two_fetches_at_once_download_once(server, command, root):
    server.plan += ["stall"]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not server.requests:
        assert first.poll() is None
        time.sleep(0.02)
    second = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert f"process {first.pid} of" in (line := second.stderr.readline())
    assert line.startswith(f"{root}: ") and line.endswith(" is fetching into it; waiting for it\n")
    server.released.set()  # the first's connection breaks, and it goes on
    errors = [process.communicate(timeout=60)[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], errors
    assert_whole(root)
    assert server.sent <= len(ARCHIVE) + http.CHUNK


def test_two_fetches_at_once_that_do_not_see_each_other(server, source, root, monkeypatch):
    """The second runs from start to end while the first is in the middle of its download."""
    root.mkdir()
    monkeypatch.setattr("data_prep.fetch.fetch_command.only_fetch", nullcontext)
    whole = http._body
    started = []

    def body(response):
        chunks = whole(response)
        yield next(chunks)
        if not started:
            started.append(True)
            fetch(source, root)
        yield from chunks

    monkeypatch.setattr(http, "_body", body)
    fetch(source, root)
    assert (root / "toy/a").read_bytes() == CONTENT
    assert (root / FILE).read_bytes() == ARCHIVE


def test_command_says_what_is_wrong_in_one_line(server, command, root, tmp_path):
    server.plan += [(404, {})]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {server.address}/{FILE}: the server answers 404")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "r.json").exists()
