"""Commands in copies of a process that has the libraries loaded: as if each had been started by itself."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cld.runtime import warm

ROOT = Path(__file__).parents[3]

#: A command to run: what it finds itself to be, or what it is told to do.
COMMAND = """
import os, signal, sys, time
from pathlib import Path

if sys.argv[1] == "tell":
    print(Path(sys.argv[0]).name, sys.argv[1:], os.getcwd(), os.environ.get("GREETING"), __name__)
    print("torch" in sys.modules, file=sys.stderr)
    print(sys.stdin.read())
elif sys.argv[1] == "exit":
    sys.exit(eval(sys.argv[2]))
elif sys.argv[1] == "raise":
    raise ValueError("of the command")
elif sys.argv[1] == "kill":
    os.kill(os.getpid(), int(sys.argv[2]))
elif sys.argv[1] == "wait":
    signal.signal(signal.SIGUSR1, lambda number, _: sys.exit(40))
    Path(sys.argv[2]).write_text(str(os.getpid()))
    time.sleep(60)
"""

#: Starts the process, says where it is, and waits.
STARTER = "import os; from cld import warm; warm.start(); print(os.environ[warm.ADDRESS]); input()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    (folder / "command.py").write_text(COMMAND)
    return folder


@pytest.fixture(scope="module")
def environ(folder):
    """In which commands of one thread find the process; it ends with the one that started it."""
    starter = subprocess.Popen(
        [sys.executable, "-u", "-c", STARTER],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    address = starter.stdout.readline().strip()
    yield {**os.environ, **warm.THREADS, "PYTHONPATH": f"{folder}:{ROOT}", warm.ADDRESS: address}
    starter.kill()
    starter.wait()
    until(lambda: not Path(address).parent.exists())


@pytest.fixture(params=["in a copy", "by itself"])
def either(request, environ):
    """Where commands run: nothing but the libraries they find loaded may differ."""
    without = {name: value for name, value in environ.items() if name != warm.ADDRESS}
    return environ if request.param == "in a copy" else without


def started(environ, *arguments, **options):
    command = [sys.executable, "-m", "cld.runtime.warm", "command", *arguments]
    return subprocess.Popen(command, env=environ, text=True, **options)


def run(environ, *arguments, **options):
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process = started(environ, *arguments, **piped)
    output, errors = process.communicate()
    return process.returncode, output, errors


def until(holds, seconds=30):
    end = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return value


def waiting(environ, file, **options):
    """A command that waits to be stopped, and the process it runs in."""
    process = started(environ, "wait", str(file), **options)
    return process, int(until(lambda: file.exists() and file.read_text()))


def exists(process):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def test_a_command_has_its_own_arguments_folder_environment_and_streams(either, tmp_path):
    (tmp_path / "in").write_text("of stdin")
    with open(tmp_path / "in") as stdin:
        status, output, errors = run(
            {**either, "GREETING": "hello"}, "tell", "a b", "--c", cwd=tmp_path, stdin=stdin
        )
    assert status == 0
    assert output == f"command.py ['tell', 'a b', '--c'] {tmp_path} hello __main__\nof stdin\n"
    assert errors == f"{warm.ADDRESS in either}\n"


@pytest.mark.parametrize(("what", "status"), [("0", 0), ("None", 0), ("7", 7), ("'no'", 1)])
def test_its_status_is_the_commands(either, what, status):
    assert run(either, "exit", what) == (status, "", "no\n" if status == 1 else "")


def test_a_bug_keeps_its_traceback(either):
    status, _, errors = run(either, "raise")
    assert status == 1
    assert "Traceback" in errors
    assert errors.endswith("ValueError: of the command\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_what_ends_the_copy_ends_the_command(either, number):
    assert run(either, "kill", str(int(number)))[0] == -number


def test_signals_reach_the_copy(either, tmp_path):
    process, _ = waiting(either, tmp_path / "pid")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(30) == 40


def test_ctrl_c_ends_it(either, tmp_path):
    process, _ = waiting(either, tmp_path / "pid", stderr=subprocess.PIPE)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]
    assert process.returncode in (130, -signal.SIGINT)


def test_a_copy_ends_with_its_command(environ, tmp_path):
    process, copy = waiting(environ, tmp_path / "pid")
    assert copy != process.pid
    process.kill()
    process.wait()
    until(lambda: not exists(copy))


def test_copies_run_side_by_side(environ, tmp_path):
    running = [waiting(environ, tmp_path / f"pid{i}") for i in range(3)]
    assert len({copy for _, copy in running}) == 3
    for process, _ in running[::-1]:
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM


def test_several_threads_are_not_for_a_copy(environ):
    _, _, errors = run({**environ, "OMP_NUM_THREADS": "2"}, "tell", stdin=subprocess.DEVNULL)
    assert errors == "False\n"


def test_without_the_process_a_command_runs_by_itself(environ):
    gone = {**environ, warm.ADDRESS: "/no/such/socket"}
    assert run(gone, "exit", "7")[0] == 7


def test_who_hangs_up_or_talks_nonsense_does_no_harm(environ):
    for said in (b"", b"\0\0\1\0{", b"\0\0\0\2{}"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(environ[warm.ADDRESS])
            client.sendall(said)
    assert run(environ, "exit", "7")[0] == 7


def test_other_code_is_not_for_a_copy(environ, folder, tmp_path):
    shutil.copytree(ROOT / "cld", tmp_path / "cld")
    elsewhere = {**environ, "PYTHONPATH": f"{folder}:{tmp_path}"}
    _, _, errors = run(elsewhere, "tell", cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert errors == "False\n"


def test_running_commands_outlive_who_started_the_process(folder, tmp_path):
    script = """
        import subprocess, sys
        from cld.runtime import warm
        warm.start()
        subprocess.Popen([sys.executable, "-m", "cld.runtime.warm", "command", "wait", sys.argv[1]])
        input()
    """
    starter = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "pid")],
        cwd=ROOT,
        env={**os.environ, **warm.THREADS, "PYTHONPATH": f"{folder}:{ROOT}"},
        stdin=subprocess.PIPE,
    )
    copy = int(until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    starter.kill()
    starter.wait()
    time.sleep(0.2)
    assert exists(copy)
    os.kill(copy, signal.SIGKILL)
    until(lambda: not exists(copy))
