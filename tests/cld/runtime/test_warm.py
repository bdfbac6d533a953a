"""Commands in forks of a server that has the libraries loaded: as if each had been started by itself."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cld.runtime import warm

#: Adds a command to ``cld`` in every process that has the folder on its path.
SITE = 'from cld.__main__ import COMMANDS; COMMANDS["act"] = ("act", "for tests")'
#: What the command does.
ACT = """
import os, signal, sys, time
from pathlib import Path
from cld.runtime.errors import InputError

def main():
    action, *arguments = sys.argv[1:]
    if action == "print":
        print(sys.argv[0], arguments, os.getcwd(), os.environ.get("GREETING"), sys.stdin.read())
        print("torch" in sys.modules, file=sys.stderr)
    elif action == "exit":
        sys.exit(eval(arguments[0]))
    elif action == "raise":
        raise eval(arguments[0])
    elif action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "wait":
        for number in (signal.SIGUSR1, signal.SIGURG):
            signal.signal(number, lambda number, _: sys.exit(40))
        Path(arguments[0]).write_text(str(os.getpid()))
        time.sleep(60)
"""


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    """An environment with a server and one thread, in which ``cld act`` exists."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "sitecustomize.py").write_text(SITE)
    (folder / "act.py").write_text(ACT)
    root = str(Path(__file__).parents[3])
    environ = {**os.environ, **warm.ONE_THREAD, "PYTHONPATH": f"{folder}:{root}"}
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from {warm.__name__} import *; start(); print(os.environ[ADDRESS], flush=True); input()",
        ],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    address = Path(starter.stdout.readline().strip())
    yield {**environ, warm.ADDRESS: str(address)}
    starter.kill()
    starter.wait()
    until(lambda: not address.parent.exists())


@pytest.fixture(params=["fork", "own process"])
def either(request, environ):
    """Where commands run: only the loaded libraries may differ."""
    if request.param == "fork":
        return environ
    return {name: value for name, value in environ.items() if name != warm.ADDRESS}


def started(environ, *arguments, **options):
    command = [sys.executable, "-m", "cld.runtime.warm", "act", *arguments]
    return subprocess.Popen(command, env=environ, text=True, **options)


def run(environ, *arguments, **options):
    process = started(environ, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    output, errors = process.communicate()
    return process.returncode, output, errors


def until(holds):
    end = time.monotonic() + 60
    while not (value := holds()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return value


def waiting(environ, file, **options):
    """A command that waits, and the process it runs in."""
    process = started(environ, "wait", str(file), **options)
    return process, int(until(lambda: file.exists() and file.read_text()))


def test_a_command_has_its_own_arguments_folder_environment_and_streams(either, tmp_path):
    (tmp_path / "in").write_text("of stdin")
    with open(tmp_path / "in") as stdin:
        result = run({**either, "GREETING": "hello"}, "print", "a b", "--c", cwd=tmp_path, stdin=stdin)
    printed = f"cld act ['a b', '--c'] {tmp_path} hello of stdin\n"
    assert result == (0, printed, f"{warm.ADDRESS in either}\n")


@pytest.mark.parametrize(
    ("arguments", "status", "errors"),
    [
        (["exit", "None"], 0, ""),
        (["exit", "7"], 7, ""),
        (["raise", "InputError('x.h5: bad')"], 2, "error: x.h5: bad\n"),
    ],
)
def test_the_exit_status_is_the_commands(either, arguments, status, errors):
    assert run(either, *arguments) == (status, "", errors)


def test_a_bug_keeps_its_traceback(either):
    status, _, errors = run(either, "raise", "ValueError('of the command')")
    assert status == 1
    assert "Traceback" in errors and errors.endswith("ValueError: of the command\n")


def test_a_killed_fork_is_a_failure(environ):
    assert run(environ, "kill")[0] == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGURG])
def test_signals_reach_the_command(either, tmp_path, number):
    process, _ = waiting(either, tmp_path / "pid")
    process.send_signal(number)
    assert process.wait(60) == 40


def test_ctrl_c_is_one_line(either, tmp_path):
    process, _ = waiting(either, tmp_path / "pid", stderr=subprocess.PIPE)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "interrupted\n"
    assert process.returncode == 130


def test_a_fork_ends_when_its_client_is_gone(environ, tmp_path):
    process, fork = waiting(environ, tmp_path / "pid")
    assert fork != process.pid
    process.kill()
    process.wait()
    until(lambda: not Path(f"/proc/{fork}").exists())


def test_forks_run_side_by_side(environ, tmp_path):
    running = [waiting(environ, tmp_path / f"pid{i}")[0] for i in range(3)]
    for process in running[::-1]:
        process.send_signal(signal.SIGUSR1)
        assert process.wait(60) == 40


@pytest.mark.parametrize("change", [{"OMP_NUM_THREADS": "2"}, {warm.ADDRESS: "/no/such/socket"}])
def test_otherwise_a_command_runs_in_its_own_process(environ, change):
    _, _, errors = run({**environ, **change}, "print", stdin=subprocess.DEVNULL)
    assert errors == "False\n"


def test_a_malformed_request_does_no_harm(environ):
    for request in (b"", b"{"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(environ[warm.ADDRESS])
            client.sendall(request)
    assert run(environ, "exit", "7")[0] == 7
